"""Judging while generation goes on: same verdicts, earlier; what is doubtful is judged again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from coderl_exp.errors import SandboxError
from coderl_exp.judging import annotate, read_judged
from coderl_exp.judging_ahead import EarlyVerdicts, JudgingAhead
from coderl_exp.records import Candidate, Program, Usage, Verdict, VerdictStatus, write_jsonl
from coderl_exp.sandbox import IsolationReport
from tests.conftest import make_judged, make_problem, sandbox_config

PASSED, TIMEOUT = VerdictStatus.passed, VerdictStatus.timeout


class RecordingJudge:
    """Gives every program one status, and lets a test wait until so many were judged."""

    def __init__(
        self,
        status: VerdictStatus = PASSED,
        error: SandboxError | None = None,
        pause_s: float = 0,
        cpu_s: float = 0,
    ) -> None:
        self._usage = Usage(cpu_s=cpu_s, wall_s=cpu_s, memory_mb=9.0)
        self._status, self._error, self._pause_s = status, error, pause_s
        self.judged: list[Program] = []
        self.three_judged = threading.Event()

    def run(self, programs: Iterable[Program]) -> Iterator[Verdict]:
        for program in programs:
            if self._error is not None:
                raise self._error
            self.judged.append(program)
            time.sleep(self._pause_s)
            yield Verdict(status=self._status, tests=(self._status,), usage=self._usage)
            if len(self.judged) == 3:
                self.three_judged.set()

    def describe(self) -> IsolationReport:
        return IsolationReport(active=("network",), missing={})

    def close(self) -> None: ...


def candidates(number: int) -> list[Candidate]:
    codes = [f"def double(x):\n    return {i} * x\n" for i in range(number)]
    return [make_judged(code, index=i).candidate for i, code in enumerate(codes)]


def ahead() -> JudgingAhead:
    return JudgingAhead([make_problem(references=())], sandbox_config())


def annotated(early: EarlyVerdicts, judge: RecordingJudge, folder: Path, number: int) -> bytes:
    folder.mkdir()
    write_jsonl(folder / "given.jsonl", candidates(number))
    problems = {"mini/1": make_problem(references=())}
    given = folder / "given.jsonl"
    annotate("judge", given, problems, lambda: judge, sandbox_config(), early, folder)
    assert len(read_judged(folder)) == number
    return (folder / "candidates_annotated.jsonl").read_bytes()


def test_the_first_candidates_are_judged_while_others_are_still_to_come() -> None:
    judge, judging = RecordingJudge(), ahead()
    with judging.following(lambda: judge) as add:
        add(candidates(3))
        assert judge.three_judged.wait(10), "nothing was judged before generation ended"
        add(candidates(5)[3:])
    assert len(judging.result().verdicts) == 5


def test_the_annotation_is_the_same_and_judges_only_what_is_left(tmp_path: Path) -> None:
    judging = ahead()
    with judging.following(RecordingJudge) as add:
        add(candidates(3))
    rest, everything = RecordingJudge(), RecordingJudge()
    early = annotated(judging.result(), rest, tmp_path / "early", 5)
    late = annotated(EarlyVerdicts(), everything, tmp_path / "late", 5)
    assert early == late
    assert (len(rest.judged), len(everything.judged)) == (2, 5)


@pytest.mark.parametrize(("cpu_s", "num_again"), [(1.1, 2), (1.3, 0)])
def test_a_timeout_is_judged_again_unless_it_was_no_matter_of_a_busy_machine(
    cpu_s: float, num_again: int, tmp_path: Path
) -> None:
    judging = ahead()
    assert sandbox_config().timeout_s == 1.0
    with judging.following(lambda: RecordingJudge(TIMEOUT, cpu_s=cpu_s)) as add:
        add(candidates(2))
    again = RecordingJudge()
    annotated(judging.result(), again, tmp_path / "work", 2)
    assert len(again.judged) == num_again


def test_a_failing_judge_costs_no_candidates_and_is_told_at_the_annotation() -> None:
    judging = ahead()
    with judging.following(lambda: RecordingJudge(error=SandboxError("no memory"))) as add:
        add(candidates(2))
    with pytest.raises(SandboxError, match="no memory"):
        judging.result()


def test_a_machine_without_a_judge_is_told_before_anything_is_generated() -> None:
    def refuse() -> RecordingJudge:
        raise SandboxError("no namespaces")

    with pytest.raises(SandboxError, match="no namespaces"), ahead().following(refuse):
        pytest.fail("generation began")


def test_an_interrupted_generation_waits_for_no_verdicts() -> None:
    def interrupt(judge: RecordingJudge) -> None:
        with ahead().following(lambda: judge) as add:
            add(candidates(50))
            raise KeyboardInterrupt

    slow = RecordingJudge(pause_s=0.1)
    with pytest.raises(KeyboardInterrupt):
        interrupt(slow)
    assert len(slow.judged) < 10
