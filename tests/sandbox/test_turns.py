"""Candidates take turns, and each one's process is made ready before its turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from coderl_exp.config import Lane
from coderl_exp.errors import SandboxError
from coderl_exp.records import Program, VerdictStatus
from coderl_exp.sandbox import Judge, trusted
from coderl_exp.sandbox.children import Child
from coderl_exp.sandbox.outcome import WALL_LIMIT

from .conftest import forked


def sleepers(number: int, sleep_s: float) -> list[Program]:
    code = "import time\ndef f(x):\n time.sleep({s})\n return {n}"
    return [
        Program(code=code.format(s=sleep_s, n=n), entry_point="f", tests=(f"assert f(1) == {n}",))
        for n in range(number)
    ]


def test_no_more_candidates_run_at_once_than_there_are_workers(make: Callable[..., Judge]) -> None:
    judge = make(lane=Lane.strict, num_workers=2)
    list(judge.run(sleepers(6, 0.1)))  # every thread has its zygote
    started = time.monotonic()
    assert all(verdict.passed for verdict in judge.run(sleepers(6, 0.3)))
    assert time.monotonic() - started > 0.9


def test_the_next_process_is_made_ready_while_a_candidate_runs(make: Callable[..., Judge]) -> None:
    judge = make(lane=Lane.strict, num_workers=1)
    list(judge.run(sleepers(2, 0.0)))
    stream = judge.run(sleepers(2, 1.0))
    worker = threading.Thread(target=list, args=(stream,))
    worker.start()
    time.sleep(0.5)
    children = forked()
    worker.join()
    assert len(children) == 2


def test_waiting_for_a_turn_is_not_counted_as_wall_time(make: Callable[..., Judge]) -> None:
    judge = make(lane=Lane.strict, num_workers=1, timeout_s=0.05, wall_timeout_factor=4.0)  # 1.2 s
    for verdict in judge.run(sleepers(3, 0.9)):
        assert verdict.passed, verdict
        assert verdict.usage is not None
        assert 0.9 < verdict.usage.wall_s < 1.2


def test_who_prints_all_the_time_meets_the_wall_limit_too(make: Callable[..., Judge]) -> None:
    judge = make(timeout_s=0.5, wall_timeout_factor=1.0)
    code = "import time\ndef f(x):\n while True: print('.', flush=True) or time.sleep(0.02)"
    started = time.monotonic()
    verdict = next(judge.run([Program(code=code, entry_point="f", tests=("assert f(1) == 2",))]))
    assert (verdict.status, verdict.error) == (
        VerdictStatus.timeout,
        "the wall limit was reached",
    )
    assert time.monotonic() - started < 4.0


def test_who_sleeps_just_over_the_wall_limit_times_out(make: Callable[..., Judge]) -> None:
    judge = make(timeout_s=0.11, wall_timeout_factor=4.0)  # 1.44 s
    (verdict,) = judge.run(sleepers(1, 1.49))
    assert (verdict.status, verdict.error) == (VerdictStatus.timeout, WALL_LIMIT)
    assert verdict.usage is not None
    assert 1.44 < verdict.usage.wall_s < 1.48


def test_a_result_that_came_too_late_is_late_even_if_the_judge_looks_later(
    make: Callable[..., Judge], monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = make(timeout_s=0.05, wall_timeout_factor=1.0)  # 1.05 s
    receive = Child._receive

    def slow(child: Child, timeout_s: float = 0.1) -> bool:
        time.sleep(0.6)
        return receive(child, timeout_s)

    monkeypatch.setattr(Child, "_receive", slow)
    in_time, late = judge.run([*sleepers(1, 0.2), *sleepers(1, 1.1)])
    assert in_time.passed
    assert (late.status, late.error) == (VerdictStatus.timeout, WALL_LIMIT)


def test_who_has_given_its_results_does_not_run_on(make: Callable[..., Judge]) -> None:
    code = (
        "import os\ndef f(x):\n"
        " os.write(3, b'[\"value\",0,{n}]\\n')\n os.close(3)\n while True: pass"
    )
    programs = [
        Program(code=code.format(n=n), entry_point="f", tests=(f"assert f(1) == {n}",))
        for n in range(3)
    ]
    started = time.monotonic()
    list(make(num_workers=1, timeout_s=5.0).run(programs))
    assert time.monotonic() - started < 4.0


def test_nobody_gets_a_turn_once_the_judge_is_closed(make: Callable[..., Judge]) -> None:
    judge = make(lane=Lane.strict, num_workers=1)
    list(judge.run(sleepers(2, 0.0)))
    with ThreadPoolExecutor(1) as caller:
        verdicts = caller.submit(list, judge.run(sleepers(3, 1.0)))
        time.sleep(0.5)  # one runs, one waits
        started = time.monotonic()
        judge.close()
        assert time.monotonic() - started < 1.0
        with pytest.raises(SandboxError):
            verdicts.result()


def test_a_test_process_does_not_go_on_after_its_wall_time(
    make: Callable[..., Judge], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trusted, "_TEST_WALL_S", 0.2)
    judge = make(timeout_s=0.05, wall_timeout_factor=1.0, fraction=True, num_workers=2)
    code = (
        "import time\nasked = []\ndef f(x):\n asked.append(x)\n"
        " if len(asked) == 1: time.sleep(1.3)\n return 2\n#{n}"
    )
    tests = ("y = f(1)\nassert y == 2", "z = f(1)\nassert z == 2")
    for verdict in judge.run(
        [Program(code=code.format(n=n), entry_point="f", tests=tests) for n in range(6)]
    ):
        assert verdict.tests == (VerdictStatus.timeout, VerdictStatus.passed)
