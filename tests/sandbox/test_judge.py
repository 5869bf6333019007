from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coderl_exp.config import Isolation
from coderl_exp.errors import ConfigError, DataError, SandboxError
from coderl_exp.records import Program, VerdictStatus
from coderl_exp.sandbox import Judge
from coderl_exp.sandbox.inside import confinement
from coderl_exp.sandbox.zygotes import Zygote

from .conftest import JudgeOne

GOOD = "def f(x): return x + 1"
STATUSES = [
    ("passed", GOOD),
    ("wrong_answer", "def f(x): return x"),
    ("wrong_answer", "def f(x): return [0] * 10**6"),
    ("wrong_answer", "def f(x): return 'lambda' if x else object()"),
    ("runtime_error", "def f(x): return x / 0"),
    ("runtime_error", "import not_a_module\ndef f(x): return 2"),
    ("runtime_error", "raise SystemExit"),
    ("timeout", "def f(x):\n while True: pass"),
    ("timeout", "import time\ndef f(x): time.sleep(60)"),
    ("memory_limit", "def f(x): return len(bytearray(10**9))"),
    ("output_limit", "def f(x):\n while True: print('x' * 1000)"),
    ("syntax_error", "def f(x) return 2"),
    ("syntax_error", "def f(x): return '\0'"),
    ("missing_entry_point", "def g(x): return 2"),
    ("missing_entry_point", "f = 3"),
    ("no_code", None),
]
HONEST = {
    "prints": "def f(x):\n print('hello')\n return x + 1",
    "a demo block that would fail": GOOD + "\nif __name__ == '__main__':\n f(None); input()",
    "setrecursionlimit": "import sys\nsys.setrecursionlimit(10**5)\n"
    "def g(n): return 0 if n == 0 else 1 + g(n - 1)\ndef f(x): return g(5000) - 4998",
    "common imports": "import math, collections, re, itertools, heapq, functools, typing, random\n"
    "import string, operator, bisect, decimal, datetime, dataclasses, json, enum, copy, abc\n"
    "@functools.lru_cache\ndef f(x): return math.floor(x) + 1",
    "a dataclass": "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    "@dataclass\nclass A:\n x: int\ndef f(x): return A(x).x + 1",
    "a global cache": "cache = {}\ndef f(x):\n cache[x] = x + 1\n return cache[x]",
    "dev null": "import os\ndef f(x):\n open(os.devnull, 'w').write('x')\n return 2",
}


@pytest.mark.parametrize(("status", "code"), STATUSES)
def test_every_status_has_a_candidate(judge_one: JudgeOne, status: str, code: str | None) -> None:
    verdict = judge_one(code)
    assert verdict.status == status, verdict
    assert verdict.passed == (status == "passed")


@pytest.mark.parametrize("name", HONEST)
def test_honest_programs_pass(judge_one: JudgeOne, name: str) -> None:
    assert judge_one(HONEST[name]).passed, judge_one(HONEST[name])


def test_tuples_generators_and_sets_are_returned_as_such(judge_one: JudgeOne) -> None:
    code = "def f(x):\n return (x, {1}) if x else (i for i in range(3))"
    assert judge_one(code, "assert f(1) == (1, {1})", "assert list(f(0)) == [0, 1, 2]").passed
    assert not judge_one(code, "assert f(1) == [1, {1}]").passed


def test_exit_at_module_level_is_a_runtime_error(judge_one: JudgeOne) -> None:
    verdict = judge_one(GOOD + "\nexit()")
    assert verdict.status is VerdictStatus.runtime_error
    assert verdict.error.startswith("SystemExit")


def test_judging_stops_at_the_first_failing_test_unless_fraction(
    make: Callable[..., Judge],
) -> None:
    tests = ("assert f(1) == 2", "assert f(2) == 9", "assert f(3) == 4")
    program = Program(code=GOOD, entry_point="f", tests=tests)
    first, every = (next(make(fraction=f).run([program])) for f in (False, True))
    assert first.tests == ("passed", "wrong_answer", None)
    assert every.tests == ("passed", "wrong_answer", "passed")
    assert first.status is every.status is VerdictStatus.wrong_answer
    assert first.error == "does not hold: assert f(2) == 9"


def test_setup_code_runs_after_the_code_and_its_imports_before(judge_one: JudgeOne) -> None:
    setup = "import math\nroot = Node(3)"
    code = "base = math.floor(1.5)\nclass Node:\n def __init__(s, v): s.v = v\ndef f(n): return n.v"
    assert judge_one(code, "assert f(root) == 3", setup_code=setup).passed
    verdict = judge_one(GOOD, "assert f(root) == 3", setup_code=setup)
    assert verdict.status is VerdictStatus.runtime_error
    assert "Node" in verdict.error


def test_a_test_that_cannot_be_judged_is_a_data_error(judge_one: JudgeOne) -> None:
    with pytest.raises(DataError, match="1 == 1"):
        judge_one(GOOD, "assert 1 == 1")


def test_verdicts_are_deterministic_apart_from_usage(judge: Judge) -> None:
    code = (
        "import random\nprint(object(), hash('a'))\n"
        "def f(x):\n print(list({'a', 'b', 'c'}), random.random())\n raise ValueError(object())"
    )
    programs = [Program(code=code + f"\n# {i}", entry_point="f", tests=("assert f(1) == 2",))
                for i in range(3)]  # fmt: skip
    verdicts = list(judge.run(programs))
    assert len({(v.status, v.error, v.output) for v in verdicts}) == 1
    assert "0x…" in verdicts[0].output
    assert "0x…" in verdicts[0].error


def test_verdicts_stream_in_order_with_bounded_work_in_flight(judge: Judge) -> None:
    taken = 0

    def programs() -> Iterator[Program]:
        nonlocal taken
        for number in range(10_000):
            taken += 1
            yield Program(code=GOOD, entry_point="f", tests=(f"assert f({number}) % 2 == 0",))

    stream = judge.run(programs())
    first = next(stream)
    assert taken <= 1024
    passed = [first.passed, *(next(stream).passed for _ in range(300))]
    assert passed == [number % 2 == 1 for number in range(301)]
    stream.close()  # type: ignore[attr-defined]


def test_usage_is_measured(judge_one: JudgeOne) -> None:
    code = "def f(x):\n s = bytearray(10**8)\n t = sum(range(5 * 10**6))\n return x + 1"
    usage = judge_one(code).usage
    assert usage is not None
    assert 0.05 < usage.cpu_s <= usage.wall_s * 2
    assert 100 < usage.memory_mb < 200  # not the peak of this process, which forked it


def test_closing_the_iterator_ends_what_runs_and_closing_the_judge_everything(
    make: Callable[..., Judge],
) -> None:
    descriptors, threads = len([*Path("/proc/self/fd").iterdir()]), threading.active_count()
    judge = make(wall_timeout_factor=60.0)
    sleeper = Program(
        code="import time\ndef f(x): time.sleep(60)", entry_point="f", tests=("assert f(1) == 2",)
    )
    quick = Program(code=GOOD, entry_point="f", tests=("assert f(1) == 2",))
    stream = judge.run([quick, sleeper, quick, sleeper])
    assert next(stream).passed
    started = time.monotonic()
    stream.close()  # type: ignore[attr-defined]
    assert next(judge.run([quick])).passed
    assert time.monotonic() - started < 2.0
    judge.close()
    assert len([*Path("/proc/self/fd").iterdir()]) == descriptors
    assert threading.active_count() == threads
    assert next(judge.run([quick])).passed  # it starts again when it is needed


def test_an_infrastructure_failure_is_tried_again_and_is_no_verdict(
    make: Callable[..., Judge], monkeypatch: pytest.MonkeyPatch
) -> None:
    judge, tries = make(), []
    program = Program(code=GOOD, entry_point="f", tests=("assert f(1) == 2",))
    spawn = Zygote._spawn

    def fail(times: int) -> None:
        def flaky(self: Zygote, control: int) -> object:
            tries.append(1)
            if len(tries) <= times:
                raise OSError("no more processes")
            return spawn(self, control)

        tries.clear()
        monkeypatch.setattr(Zygote, "_spawn", flaky)

    fail(times=1)
    assert next(judge.run([program])).passed
    judge.close()
    fail(times=9)
    verdict = next(judge.run([program]))
    assert verdict.status is VerdictStatus.sandbox_error
    assert "no more processes" in verdict.error
    assert len(tries) == 5


def test_strict_isolation_names_the_missing_layer_and_kernel_feature(
    make: Callable[..., Judge], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confinement, "readable_paths", lambda: ["/nowhere"])
    with pytest.raises(SandboxError, match=r"'files'.*Landlock.*best_effort"):
        make(isolation=Isolation.strict)
    report = make().describe()
    assert "files" in report.missing
    assert "network" in report.active


def test_an_unknown_sandbox_is_a_config_error(make: Callable[..., Judge]) -> None:
    with pytest.raises(ConfigError, match="local"):
        make(name="docker")
