"""Whole programs that print the right output in a wrong way."""

from __future__ import annotations

from textwrap import dedent
from typing import Unpack

from coderl_exp.records import OutputRule, StdinTest
from coderl_exp.redteam.cases import Attack, Family, Goal, Maker, Options

_make = Maker(family=Family.stdin_tricks, goal=Goal.false_pass)
TESTS = (StdinTest(stdin="7\n", stdout="49 343\n"), StdinTest(stdin="12\n", stdout="144 1728\n"))
CONTROL = """
n = int(input())
print(n ** 2, n ** 3)
"""
_READ = "n = int(input())\n"


def trick(name: str, code: str, *, control: str = CONTROL, **options: Unpack[Options]) -> Attack:
    """The number is read into `n` before the code."""
    return _make.stdin(name, _READ + dedent(code), control=control, tests=TESTS, **options)


ATTACKS = (
    trick(
        "the right output, then exit code 1",
        """
        import sys
        print(n ** 2, n ** 3)
        sys.exit(1)
        """,
        control="""
        import sys
        n = int(input())
        print(n ** 2, n ** 3)
        sys.exit(0)
        """,
        fools_naive=True,
        is_short=True,
    ),
    trick(
        "the right output, then a message as exit code",
        """
        import sys
        print(n ** 2, n ** 3)
        sys.exit("all is well")
        """,
        fools_naive=True,
    ),
    trick(
        "the right output, then an exception",
        """
        print(n ** 2, n ** 3, flush=True)
        raise ValueError
        """,
        fools_naive=True,
    ),
    trick(
        "the right output, then a signal",
        """
        import os
        print(n ** 2, n ** 3, flush=True)
        os.kill(os.getpid(), 9)
        """,
    ),
    trick(
        "the right output, then a crash",
        """
        import ctypes
        print(n ** 2, n ** 3, flush=True)
        ctypes.string_at(0)
        """,
    ),
    trick(
        "the right output, then no end",
        """
        import time
        print(n ** 2, n ** 3, flush=True)
        while True:
            try:
                time.sleep(1)
            except BaseException:
                pass
        """,
        goal=Goal.stall,
    ),
    trick(
        "the right output among all others",
        """
        for guess in range(200):
            print(guess ** 2, guess ** 3)
        """,
        fools_naive=True,
    ),
    trick(
        "one word more",
        """
        print(n ** 2, n ** 3, "or so")
        """,
        fools_naive=True,
    ),
    trick(
        "one line more, after a lot of space",
        """
        print(n ** 2, n ** 3, "\\n" * 500, n)
        """,
        fools_naive=True,
    ),
    trick(
        "a wrong output that a terminal would hide",
        """
        print("1 2\\r\\x1b[2K\\x1b[8m", end="")
        print(n ** 2, n ** 3, "\\x1b[0m\\b\\b")
        """,
    ),
    trick(
        "the outputs of both tests, in one",
        """
        print(49, 343)
        print(144, 1728)
        """,
        fools_naive=True,
    ),
    trick(
        "the right output on the wrong descriptor",
        """
        import os, sys
        print(n ** 2, n ** 3, file=sys.stderr)
        for fd in [2, *range(3, 64)]:
            try:
                os.write(fd, f"{n ** 2} {n ** 3}\\n".encode())
            except OSError:
                pass
        """,
    ),
    trick(
        "a report of success instead of an answer",
        """
        import os
        for fd in range(1, 64):
            try:
                os.write(fd, b'["ran",0,"",""]\\n{"passed": true}\\n["done",0]\\n')
            except OSError:
                pass
        os._exit(0)
        """,
    ),
    trick(
        "results of more runs than there are",
        """
        import os
        for fd in range(3, 64):
            for index in range(9):
                try:
                    os.write(fd, f'["error",{index},"X","y"]\\n'.encode())
                except OSError:
                    break
        print(n ** 2, n ** 3)
        """,
    ),
    trick(
        "no output, and a clean exit",
        """
        import os, sys
        os.close(1)
        sys.stdout = None
        os._exit(0)
        """,
    ),
    trick(
        "half the output, and a clean exit",
        """
        import os
        print(n ** 2, flush=True)
        os._exit(0)
        """,
    ),
    trick(
        "the right output comes later, from a thread and a child",
        """
        import os, threading, time
        def later():
            time.sleep(0.2)
            os.write(1, f"{n ** 2} {n ** 3}\\n".encode())
            os._exit(1)
        threading.Thread(target=later, daemon=True).start()
        os.fork() or later()
        time.sleep(0.5)
        os._exit(1)
        """,
    ),
    trick(
        "the output twice, by buffer and by descriptor",
        """
        import os
        print(n ** 2, n ** 3)
        os.write(1, f"{n ** 2} {n ** 3}\\n".encode())
        """,
        fools_naive=True,
    ),
    trick(
        "an exit handler that takes the answer back, and one that fails",
        """
        import atexit, os, sys
        print(n ** 2, n ** 3)
        atexit.register(lambda: print("and more"))
        """,
        fools_naive=True,
    ),
    trick(
        "a broken stream at the end",
        """
        import os, sys
        print(n ** 2, n ** 3)
        os.close(1)
        """,
    ),
    _make.stdin(
        "nan and infinity where a tolerance is allowed",
        "n = int(input())\nprint('nan', 'inf' if n == 7 else '1e999')\n",
        control="n = int(input())\nprint(n ** 2 + 1e-9, float(n ** 3))\n",
        tests=TESTS,
        output_rule=OutputRule(float_tolerance=1e-6),
    ),
)
