"""Candidates that attack the judge; none passes, none is lasting, each honest control passes."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from coderl_exp.records import Program, VerdictStatus
from coderl_exp.sandbox import Judge

from .conftest import JudgeOne, forked

SECRET = 987654321
CONTROL = "import sys, os, gc\ndef f(x):\n print('ok')\n return 987654321"
LIE = """
class Any:
 def __eq__(s, o): return True
 def __ne__(s, o): return False
 __bool__ = __contains__ = __lt__ = __gt__ = lambda *a: True
 __class__ = int
 __hash__ = lambda s: 0
 def __getattr__(s, n): return s
"""
ATTACKS = {
    "sys.exit": "import sys\ndef f(x): sys.exit(0)",
    "sys.exit at import": "import sys\nf = print\nsys.exit(0)",
    "os._exit": "import os\ndef f(x): os._exit(0)",
    "os._exit at import": "import os\nos._exit(0)",
    "exit": "def f(x): exit()",
    "quit in a finaliser": "def f(x):\n try: return 1\n finally: quit()",
    "KeyboardInterrupt": "def f(x): raise KeyboardInterrupt",
    "kill self": "import os\ndef f(x): os.kill(os.getpid(), 9)",
    "kill the parent": "import os\ndef f(x): os.kill(os.getppid(), 9); os._exit(0)",
    "kill all": "import os\ndef f(x):\n os.kill(-1, 9)",
    "always equal": LIE + "def f(x): return Any()",
    "always equal within a list": LIE + "def f(x): return [Any()]",
    "lying int": LIE + "class L(int):\n"
    " __eq__ = lambda *a: True\n __index__ = __int__ = __hash__ = lambda s: 987654321\n"
    "def f(x): return L(1)",
    "lying str": LIE + "class L(str):\n __eq__ = lambda *a: True\n __str__ = lambda s: 'x'\n"
    "def f(x): return L('1')",
    "lying list": LIE + "class L(list):\n __eq__ = lambda *a: True\n __iter__ = lambda s: 1\n"
    "def f(x): return L([1])",
    "lying metaclass": "class M(type):\n __mro__ = __eq__ = property(lambda s: (int,))\n"
    "class A(metaclass=M): pass\ndef f(x): return A()",
    "patched builtins": "import builtins\n"
    "for n in ('repr', 'str', 'len', 'callable', 'eval', 'map'):\n"
    " setattr(builtins, n, lambda *a: 1)\ndef f(x): return 1",
    "patched os.write": "import os, sys\nos.write = lambda *a: 1\nsys.stdout = None\n"
    "def f(x): return 1",
    "patched encode": "import sys\ndef f(x):\n fr = sys._getframe()\n"
    " while fr:\n  s = fr.f_locals.get('self')\n"
    "  if hasattr(s, '_encode'): s._encode = lambda v: 'true'\n"
    "  fr = fr.f_back\n return 1",
    "closed descriptors": "import os\ndef f(x):\n os.closerange(0, 65)\n return 987654321",
    "forged lines on all descriptors": "import os\ndef f(x):\n for fd in range(65):\n"
    "  try: os.write(fd, b'[\"value\",0,1]\\n[\"value\",1,1]\\n')\n  except OSError: pass\n"
    " os._exit(0)",
    "forged readiness": "import os\nfor fd in range(3, 65):\n"
    " try: os.write(fd, b'[\"ready\",1]\\n')\n"
    " except OSError: pass\ndef f(x): return 987654321",
    "garbage on all descriptors": "import os\ndef f(x):\n for fd in range(3, 65):\n"
    "  try: os.write(fd, bytes(range(256)))\n  except OSError: pass\n return 987654321",
    "deep recursion": "import sys\nsys.setrecursionlimit(10**9)\ndef f(x): return f([x])",
    "infinite generator": "def f(x):\n while True: yield 987654321",
    "self-reference": "def f(x):\n a = []\n a.append(a)\n return a",
    "huge int": "def f(x): return 1 << 10**7",
    "nested list": "def f(x):\n a = []\n for _ in range(10**4): a = [a]\n return a",
    "memory bomb": "def f(x):\n a = []\n while True:\n"
    "  try: a.append(bytearray(10**7))\n  except BaseException: pass",
    "output bomb": "def f(x):\n while True:\n  try: print('x' * 10**5)\n"
    "  except BaseException: pass",
    "CPU bomb": "import signal\nsignal.setitimer(signal.ITIMER_PROF, 0)\n"
    "for s in range(1, 32):\n try: signal.signal(s, signal.SIG_IGN)\n except OSError: pass\n"
    "def f(x):\n while True:\n  try: sum(range(10**6))\n  except BaseException: pass",
    "sleep bomb": "import time\ndef f(x):\n while True:\n  try: time.sleep(9)\n"
    "  except BaseException: pass",
    "fork bomb": "import os\ndef f(x):\n while True:\n  try: os.fork()\n  except OSError: pass",
    "exec": "import os\ndef f(x): os.execv('/bin/true', ['true'])",
    "subprocess": "import subprocess\ndef f(x): return subprocess.run(['/bin/true']).returncode",
    "read passwd": "def f(x): return open('/etc/passwd').read() and 987654321",
    "parent's environment": "def f(x): return open('/proc/1/environ').read() or 987654321",
    "own environment": "import os\ndef f(x): return 987654321 if os.environ.get('HOME') else 0",
    "list root": "import os\ndef f(x): return 987654321 if os.path.exists('/etc/passwd') else 0",
    "write here": "def f(x):\n open('left', 'w').write('x')\n return 987654321",
    "write tmp": "def f(x):\n open('/tmp/left', 'w').write('x')\n return 987654321",
    "write home": "import os\ndef f(x):\n os.makedirs('/root/left')\n return 987654321",
    "chmod": "import os, sys\ndef f(x):\n os.chmod(os.__file__, 0o644)\n return 987654321",
    "frames": "import sys\ndef f(x):\n fr = sys._getframe()\n while fr:\n"
    "  for d in (fr.f_locals, fr.f_globals):\n"
    "   if str(493827160 * 2 + 1) in repr(d): return 493827160 * 2 + 1\n"
    "  fr = fr.f_back\n return 0",
    "garbage collector": "import gc\nK = 493827160 * 2 + 1\ndef f(x):\n"
    " for o in gc.get_objects():\n"
    "  if type(o) in (list, tuple, dict) and o is not globals():\n"
    "   if K in (o.values() if type(o) is dict else o) and o is not f.__globals__: return K\n"
    " return 0",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_is_left(judge: Judge) -> Iterator[None]:
    yield
    limit = time.monotonic() + 1
    while forked() and time.monotonic() < limit:
        time.sleep(0.05)
    assert not forked()


@pytest.mark.parametrize("name", ATTACKS)
def test_no_attack_passes(judge_one: JudgeOne, name: str) -> None:
    # "987654321" in the attacks is only ever returned after the forbidden act has succeeded.
    verdict = judge_one(ATTACKS[name], f"assert f(1) == {SECRET}", f"assert f(2) == {SECRET}")
    assert not verdict.passed, verdict
    assert verdict.status is not VerdictStatus.sandbox_error, verdict
    assert not Path("/left").exists()
    assert not Path("/tmp/left").exists()


def test_the_honest_control_passes(judge_one: JudgeOne) -> None:
    assert judge_one(CONTROL, f"assert f(1) == {SECRET}", f"assert f(2) == {SECRET}").passed


@pytest.mark.parametrize("name", ["CPU bomb", "sleep bomb", "memory bomb", "fork bomb"])
def test_bombs_end_as_a_timeout(judge_one: JudgeOne, name: str) -> None:
    assert judge_one(ATTACKS[name]).status is VerdictStatus.timeout


def test_forging_results_can_only_claim_a_value(judge_one: JudgeOne) -> None:
    verdict = judge_one(ATTACKS["forged lines on all descriptors"], "assert f(1) == 2")
    assert verdict.status is VerdictStatus.wrong_answer


def test_a_daemon_that_could_start_does_not_outlive_its_candidate(
    make: Callable[..., Judge],
) -> None:
    code = (
        "import os, time\ndef f(x):\n if os.fork() == 0:\n  os.setsid()\n"
        "  if os.fork() == 0:\n   time.sleep(60)\n  os._exit(0)\n return 2"
    )
    program = Program(code=code, entry_point="f", tests=("assert f(1) == 2",))
    before = set(psutil.Process().children(recursive=True))
    judge = make(disabled_layers=["syscalls"], num_workers=1)
    assert next(judge.run([program])).passed
    started = set(psutil.Process().children(recursive=True)) - before
    assert len(started) == 2  # the zygote and its parent
    assert next(make().run([program])).status is VerdictStatus.blocked


def test_threads_and_atexit_that_print_do_not_change_the_result(judge_one: JudgeOne) -> None:
    code = (
        "import atexit, threading, time\natexit.register(print, 'late')\n"
        "def g():\n while True: time.sleep(0.01)\n"
        "threading.Thread(target=g, daemon=False).start()\ndef f(x): return 2"
    )
    verdict = judge_one(code)
    assert verdict.passed
    assert verdict.output == ""


def test_no_connection_arrives(judge: Judge, judge_one: JudgeOne) -> None:
    if "network" not in judge.describe().active:
        pytest.skip("no network namespaces here")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        port = server.getsockname()[1]
        code = (
            "import socket\ndef f(x):\n try:\n"
            f"  socket.create_connection(('127.0.0.1', {port}), 1)\n  return 1\n"
            " except OSError: return 2"
        )
        assert judge_one(code).passed
        with pytest.raises(TimeoutError):
            server.accept()


def test_no_unix_socket_can_be_reached_by_path(
    judge: Judge, judge_one: JudgeOne, tmp_path: Path
) -> None:
    if "files" not in judge.describe().active:
        pytest.skip("no private root here")
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        code = (
            "import socket\ndef f(x):\n try:\n"
            f"  socket.socket(socket.AF_UNIX).connect({path!r})\n  return 1\n"
            " except OSError: return 2"
        )
        assert judge_one(code).passed


def test_the_parents_environment_is_not_inherited(
    judge_one: JudgeOne, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    code = "import os\ndef f(x): return sorted(os.environ)"
    verdict = judge_one(code, "assert f(1) == []")
    assert verdict.passed, verdict


def test_no_descriptor_of_the_judge_is_inherited(judge_one: JudgeOne, tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        code = (
            "import os\ndef f(x):\n n = 0\n for fd in range(64):\n"
            "  try: os.fstat(fd)\n  except OSError: continue\n  n += 1\n return n"
        )
        assert judge_one(code, "assert f(1) == 4").passed  # 0, 1, 2 and the channel


def test_one_candidate_cannot_change_anothers_verdict(judge: Judge) -> None:
    codes = [*[*ATTACKS.values()][:6], CONTROL]
    tests = (f"assert f(1) == {SECRET}",)
    programs = [Program(code=code, entry_point="f", tests=tests) for code in codes * 2]
    passed = [verdict.passed for verdict in judge.run(programs)]
    assert passed == ([False] * 6 + [True]) * 2
    assert threading.active_count() < 20


def test_no_datagram_arrives(judge: Judge, judge_one: JudgeOne) -> None:
    if "network" not in judge.describe().active:
        pytest.skip("no network namespaces here")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.5)
        code = (
            "import socket\ndef f(x):\n try:\n"
            "  s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            f"  s.sendto(b'x', {server.getsockname()})\n except OSError: pass\n return 2"
        )
        assert judge_one(code).passed
        with pytest.raises(TimeoutError):
            server.recv(1)


def test_the_number_of_processes_is_capped(make: Callable[..., Judge]) -> None:
    code = (
        "import os, signal\ndef f(x):\n for n in range(1000):\n  try: pid = os.fork()\n"
        "  except OSError: return n\n  if pid == 0:\n   signal.pause()\n return n"
    )
    program = Program(code=code, entry_point="f", tests=("assert 0 < f(1) <= 364",))
    verdict = next(make(timeout_s=10.0, disabled_layers=["syscalls"]).run([program]))
    assert verdict.passed, verdict


def test_a_repeated_result_is_no_result_of_the_next_test(judge_one: JudgeOne) -> None:
    code = ATTACKS["forged lines on all descriptors"].replace('"value\\",1,1', '"value\\",0,1')
    code = code.replace('["value",1,1]', '["value",0,1]')
    verdict = judge_one(code, "assert f(1) == 1", "assert f(2) == 1")
    assert verdict.tests == ("passed", "runtime_error")
    assert "channel" in verdict.error
