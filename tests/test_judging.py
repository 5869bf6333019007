"""Annotation: in order, resumed, and failures of the judge are tried again, never believed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from coderl_exp.errors import SandboxError
from coderl_exp.judging import annotate, read_judged
from coderl_exp.judging_ahead import EarlyVerdicts
from coderl_exp.pipeline import evaluate
from coderl_exp.records import Program, Usage, Verdict, VerdictStatus, write_jsonl
from coderl_exp.sandbox import IsolationReport
from coderl_exp.store import Summary
from tests.conftest import make_judged, make_problem, sandbox_config


class FakeJudge:
    """Gives candidates statuses in turn and passes references; remembers the candidates."""

    def __init__(self, *statuses: VerdictStatus, cpu_s: float = 0.1) -> None:
        self._statuses = statuses
        self._usage = Usage(cpu_s=cpu_s, wall_s=0.1, memory_mb=9.0)
        self.judged: list[Program] = []

    def run(self, programs: Iterable[Program]) -> Iterator[Verdict]:
        for number, program in enumerate(programs):
            is_reference = program.code == REFERENCE
            if not is_reference:
                self.judged.append(program)
            status = PASSED if is_reference else self._statuses[number % len(self._statuses)]
            yield Verdict(status=status, tests=(status,), usage=self._usage)

    def describe(self) -> IsolationReport:
        return IsolationReport(active=("network",), missing={"files": "no Landlock"})

    def close(self) -> None: ...


PASSED, FAILED = VerdictStatus.passed, VerdictStatus.sandbox_error
REFERENCE = "def double(x): return x + x"


@pytest.fixture
def candidates(tmp_path: Path) -> Path:
    path = tmp_path / "candidates.jsonl"
    rows = [make_judged("def double(x):\n    return 2 * x\n", index=i) for i in range(70)]
    write_jsonl(path, [row.candidate for row in rows])
    return path


def run(candidates: Path, judge: FakeJudge, work: Path, max_rate: float = 0.0) -> Summary:
    work.mkdir(exist_ok=True)
    problems = {"mini/1": replace(make_problem(), references=(REFERENCE,))}
    config = sandbox_config(max_sandbox_error_rate=max_rate)
    return annotate("judge", candidates, problems, lambda: judge, config, EarlyVerdicts(), work)


def test_every_candidate_is_judged_once_and_in_order(candidates: Path, tmp_path: Path) -> None:
    run(candidates, FakeJudge(PASSED), tmp_path / "work")
    judged = read_judged(tmp_path / "work")
    assert [row.candidate.index for row in judged] == list(range(70))
    assert all(row.verdict.usage and row.verdict.usage.cpu_s == 0.1 for row in judged)


def test_an_interrupted_annotation_judges_only_the_rest(candidates: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    run(candidates, FakeJudge(PASSED), work)
    annotated = work / "candidates_annotated.jsonl"
    lines = annotated.read_text().splitlines(keepends=True)
    annotated.write_text("".join(lines[:40]) + lines[40][:25])
    judge = FakeJudge(PASSED)
    run(candidates, judge, work)
    assert len(judge.judged) == 30
    assert len(read_judged(work)) == 70


def test_a_slow_reference_gives_its_candidates_more_time(candidates: Path, tmp_path: Path) -> None:
    quick, slow = FakeJudge(PASSED), FakeJudge(PASSED, cpu_s=0.5)
    run(candidates, quick, tmp_path / "quick")
    summary = run(candidates, slow, tmp_path / "slow")
    assert {program.timeout_s for program in quick.judged} == {None}
    assert {program.timeout_s for program in slow.judged} == {5.0}
    assert summary.counts["problems_with_longer_timeout"] == 1


def test_the_summary_says_which_layers_were_on(candidates: Path, tmp_path: Path) -> None:
    summary = run(candidates, FakeJudge(PASSED), tmp_path / "work")
    assert summary.isolation == {"network": "on", "files": "no Landlock"}


def test_too_many_failures_of_the_judge_stop_the_run_and_are_tried_again(
    candidates: Path, tmp_path: Path
) -> None:
    with pytest.raises(SandboxError, match="could not be judged"):
        run(candidates, FakeJudge(PASSED, FAILED), tmp_path / "work", max_rate=0.01)
    run(candidates, FakeJudge(PASSED), tmp_path / "work", max_rate=0.01)
    assert all(row.verdict.passed for row in read_judged(tmp_path / "work"))


def test_a_tolerated_failure_leaves_out_the_ks_it_makes_undefined() -> None:
    rows = [make_judged("a = 1\n", PASSED, 0), make_judged("a = 2\n", FAILED, 1)]
    assert list(evaluate(rows, [1, 2])["pass_at_k"]) == ["pass@1"]
