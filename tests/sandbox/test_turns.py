"""Candidates take turns, and each one's process is made ready before its turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import psutil

from coderl_exp.config import Lane
from coderl_exp.records import Program, VerdictStatus
from coderl_exp.sandbox import Judge


def sleepers(number: int, sleep_s: float) -> list[Program]:
    code = "import time\ndef f(x):\n time.sleep({s})\n return {n}"
    return [
        Program(code=code.format(s=sleep_s, n=n), entry_point="f", tests=(f"assert f(1) == {n}",))
        for n in range(number)
    ]


def test_no_more_candidates_run_at_once_than_there_are_workers(make: Callable[..., Judge]) -> None:
    judge, started = make(lane=Lane.strict, num_workers=2), time.monotonic()
    assert all(verdict.passed for verdict in judge.run(sleepers(6, 0.3)))
    assert time.monotonic() - started > 0.9


def test_the_next_process_is_made_ready_while_a_candidate_runs(make: Callable[..., Judge]) -> None:
    judge = make(lane=Lane.strict, num_workers=1)
    list(judge.run(sleepers(2, 0.0)))
    zygotes = {process.pid for process in psutil.Process().children(recursive=True)}
    stream = judge.run(sleepers(2, 1.0))
    worker = threading.Thread(target=list, args=(stream,))
    worker.start()
    time.sleep(0.5)
    children = {process.pid for process in psutil.Process().children(recursive=True)} - zygotes
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
