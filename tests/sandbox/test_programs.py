"""Whole programs: standard input in, printed output compared in the judge."""

from __future__ import annotations

import pytest

from coderl_exp.records import OutputRule, Program, StdinTest, Verdict, VerdictStatus
from coderl_exp.sandbox import Judge

DOUBLE = (StdinTest(stdin="4\n", stdout="8\n"), StdinTest(stdin="5\n", stdout="10\n"))
FAST_STREAMS = """import os
import sys
from io import BytesIO, IOBase

class Fast(IOBase):
    newlines = 0

    def __init__(self, file):
        self._fd = file.fileno()
        self.buffer = BytesIO()
        self.writable = "x" in file.mode or "r" not in file.mode
        self.write = self.buffer.write if self.writable else None

    def readline(self):
        while self.newlines == 0:
            b = os.read(self._fd, max(os.fstat(self._fd).st_size, 8192))
            self.newlines = b.count(b"\\n") + (not b)
            ptr = self.buffer.tell()
            self.buffer.seek(0, 2), self.buffer.write(b), self.buffer.seek(ptr)
        self.newlines -= 1
        return self.buffer.readline()

    def flush(self):
        if self.writable:
            os.write(self._fd, self.buffer.getvalue())
            self.buffer.truncate(0), self.buffer.seek(0)

class Wrapper(IOBase):
    def __init__(self, file):
        self.buffer = Fast(file)
        self.flush = self.buffer.flush
        self.writable = self.buffer.writable
        self.write = lambda s: self.buffer.write(s.encode("ascii"))
        self.readline = lambda: self.buffer.readline().decode("ascii")

sys.stdin, sys.stdout = Wrapper(sys.stdin), Wrapper(sys.stdout)
input = lambda: sys.stdin.readline().rstrip()
"""
HONEST = {
    "input": "print(int(input()) * 2)",
    "input till the end of file": "try:\n while True: print(int(input()) * 2)\n"
    "except EOFError: pass",
    "sys.stdin": "import sys\nfor line in sys.stdin: print(int(line) * 2)",
    "the buffer": "import sys\nprint(int(sys.stdin.buffer.read()) * 2)",
    "open(0)": "print(int(open(0).read()) * 2)",
    "os.read": "import os\nprint(int(os.read(0, os.fstat(0).st_size)) * 2)",
    "os.write": "import os\nos.write(1, b'%d' % (int(input()) * 2))",
    "sys.stdout.write": "import sys\nsys.stdout.write(str(int(sys.stdin.readline()) * 2))",
    "exit at the end": "print(int(input()) * 2)\nexit()",
    "sys.exit(0)": "import sys\nprint(int(input()) * 2)\nsys.exit(0)",
    "the main idiom": "def main(): print(int(input()) * 2)\nif __name__ == '__main__': main()",
    "a thread with a big stack": "import sys, threading\nsys.setrecursionlimit(10**6)\n"
    "threading.stack_size(64 * 1024 * 1024)\n"
    "def deep(n): return 0 if n == 0 else 1 + deep(n - 1)\n"
    "def main(): print(int(input()) * 2 + deep(20000) - 20000)\n"
    "t = threading.Thread(target=main)\nt.start()\nt.join()",
    "a thread that is not joined": "import threading, time\ndef main():\n time.sleep(0.05)\n"
    " print(int(input()) * 2)\nthreading.Thread(target=main).start()",
    "atexit": "import atexit\natexit.register(lambda: print(n * 2))\nn = int(input())",
    "a fast writer": "import io, os, sys\nn = int(input())\nout = io.BytesIO()\n"
    "out.write(str(n * 2).encode())\nos.write(1, out.getvalue())",
    "fast streams of its own": FAST_STREAMS + "print(int(input()) * 2)",
    "reading twice": "import sys\nfirst = sys.stdin.read()\nsys.stdin.seek(0)\n"
    "print(int(first) + int(sys.stdin.read()))",
    "bytes and text": "import os, sys\nn = int(os.read(0, 1))\nassert sys.stdin.read() == '\\n'\n"
    "sys.stdout.write('1'[:n > 4])\nsys.stdout.flush()\nos.write(1, b'%d' % (n * 2 % 10))",
    "no standard output at the end": "import sys\nprint(int(input()) * 2)\nsys.stdout.flush()\n"
    "sys.stdout = None",
    "a closed standard output": "import sys\nprint(int(input()) * 2)\nsys.stdout.close()",
    "trailing white space": "print(int(input()) * 2, '  ')\nprint()",
    "noise on stderr": "import sys\nprint('debug', file=sys.stderr)\nprint(int(input()) * 2)",
    "a class": "class A:\n def __init__(self, n): self.n = n\nprint(A(int(input())).n * 2)",
    "an import of itself": "import __main__\nn = int(input())\nprint(__main__.n * 2)",
}
WRONG = {
    "right output and then a failing exit": ("print(int(input()) * 2)\nexit(3)", "runtime_error"),
    "right output and then an exception": ("print(int(input()) * 2)\n1 / 0", "runtime_error"),
    "right output and then a signal": (
        "import os\nprint(int(input()) * 2, flush=True)\nos.kill(os.getpid(), 11)",
        "runtime_error",
    ),
    "output for another input": ("print(8)", "wrong_answer"),
    "more than is asked for": ("n = int(input())\nprint(n * 2)\nprint(n * 2)", "wrong_answer"),
    "fast streams and then an exception": (
        FAST_STREAMS + "print(int(input()) * 2)\nsys.stdout.flush()\n1 / 0",
        "runtime_error",
    ),
    "a stream that cannot be flushed": (
        "import sys\nprint(int(input()) * 2)\nsys.stdout.flush()\nsys.stdout = 3",
        "runtime_error",
    ),
    "a stream that fails to flush": (
        FAST_STREAMS + "print(int(input()) * 2)\nsys.stdout.flush()\nsys.stdout.flush = exit",
        "runtime_error",
    ),
    "nothing": ("input()", "wrong_answer"),
    "reading past the end": ("input()\ninput()", "runtime_error"),
    "no end": ("print(int(input()) * 2, flush=True)\nwhile True: pass", "timeout"),
    "a flood": ("while True: print('x' * 1000)", "output_limit"),
    "a syntax error": ("print(", "syntax_error"),
    "all memory": ("x = [0] * 10**10", "memory_limit"),
    "a broken standard output": ("import os\nprint(8)\nos.close(1)", "runtime_error"),
    "writing to its input": ("import os\nos.write(0, b'x')", "runtime_error"),
    "a socket": ("import socket\nsocket.socket()", "blocked"),
}


def judged(judge: Judge, code: str, *tests: StdinTest, **options: object) -> Verdict:
    program = Program(code=code, entry_point=None, tests=tests or DOUBLE, **options)  # type: ignore[arg-type]
    return next(judge.run([program]))


@pytest.mark.parametrize("name", HONEST)
def test_honest_programs_pass(judge: Judge, name: str) -> None:
    verdict = judged(judge, HONEST[name])
    assert verdict.passed, verdict
    assert verdict.tests == ("passed", "passed")


@pytest.mark.parametrize("name", WRONG)
def test_wrong_programs_fail(judge: Judge, name: str) -> None:
    code, status = WRONG[name]
    verdict = judged(judge, code)
    assert verdict.status == status, verdict


def test_each_run_starts_afresh(judge: Judge) -> None:
    code = "try: print(seen)\nexcept NameError:\n seen = 1\n print(0)"
    assert judged(judge, code, *[StdinTest(stdin="", stdout="0\n")] * 3).passed


def test_the_runs_stop_at_the_first_failure(judge: Judge) -> None:
    verdict = judged(judge, "print(8)", DOUBLE[1], DOUBLE[0])
    assert verdict.tests == ("wrong_answer", None)
    assert "instead of '10'" in verdict.error


def test_large_input_and_output_pass_through(judge: Judge) -> None:
    text = "".join(f"{n}\n" for n in range(60_000))
    test = StdinTest(stdin=text, stdout=text)
    assert judged(judge, "import sys\nsys.stdout.write(sys.stdin.read())", test).passed


def test_floats_may_differ_only_where_it_is_declared(judge: Judge) -> None:
    test = StdinTest(stdin="", stdout="0.3333333\n")
    assert not judged(judge, "print(1 / 3)", test).passed
    rule = OutputRule(float_tolerance=1e-6)
    assert judged(judge, "print(1 / 3)", test, output_rule=rule).passed


def test_the_error_of_a_program_is_told(judge: Judge) -> None:
    assert judged(judge, "print(1)\nraise KeyError('x')").error == "KeyError: 'x'"


def test_a_program_that_writes_many_messages_ends_nothing_but_itself(judge: Judge) -> None:
    message = r'["error",{n},"X","y"]\n'
    code = f"import os\nos.write(3, b'{message.format(n=0)}{message.format(n=1)}')"
    verdict = next(judge.run([Program(code=code, entry_point=None, tests=DOUBLE[:1])]))
    assert verdict.status is VerdictStatus.runtime_error
