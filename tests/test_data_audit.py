"""Every reference solution is judged before its problem is used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from coderl_exp.data_audit import ProblemAudit, apply_audit, audit_problems, machine, run_audit
from coderl_exp.errors import SandboxError
from coderl_exp.records import Origin, Problem, Program, StdinTest, Verdict, VerdictStatus
from coderl_exp.sandbox import Judge, make_judge
from coderl_exp.sandbox.calibration import reference_timeouts
from tests.conftest import make_problem, sandbox_config
from tests.dataset.taco import loaded


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    judge = make_judge(sandbox_config(memory_mb=512))
    yield judge
    judge.close()


@pytest.fixture(scope="module")
def taco(judge: Judge) -> dict[int, tuple[Problem, ProblemAudit]]:
    """Row of the fixture → problem and audit."""
    problems = loaded()
    audits = audit_problems(problems, judge)
    return {
        int(p.task_id.split("/")[1]): (p, audit) for p, audit in zip(problems, audits, strict=True)
    }


def audited(problem: Problem, judge: Judge) -> ProblemAudit:
    [audit] = audit_problems([problem], judge)
    return audit


def test_of_the_easy_problems_every_solution_passes(
    taco: dict[int, tuple[Problem, ProblemAudit]],
) -> None:
    for number in range(20):
        problem, audit = taco[number]
        assert audit.passing == tuple(range(len(problem.references))), number


@pytest.mark.parametrize(
    ("number", "passing"),
    [(31, (0, 1, 2)), (32, (0,)), (42, (1,)), (44, (1, 2)), (56, (1,))],
)
def test_only_right_solutions_pass(
    taco: dict[int, tuple[Problem, ProblemAudit]], number: int, passing: tuple[int, ...]
) -> None:
    assert taco[number][1].passing == passing


def test_a_solution_that_passes_now_and_then_vouches_for_nothing(
    taco: dict[int, tuple[Problem, ProblemAudit]],
) -> None:
    assert 1 in taco[43][1].passing


@pytest.mark.parametrize(("number", "reason"), [(40, "no reference"), (41, "wrong_answer")])
def test_a_problem_that_nothing_solves_is_quarantined_with_the_reason(
    taco: dict[int, tuple[Problem, ProblemAudit]], number: int, reason: str
) -> None:
    audit = taco[number][1]
    assert audit.status == "quarantined"
    assert reason in audit.reason


def test_all_other_problems_of_the_fixture_are_solvable(
    taco: dict[int, tuple[Problem, ProblemAudit]],
) -> None:
    unsolvable = {n for n, (_, audit) in taco.items() if audit.status != "solvable"}
    assert unsolvable == {40, 41}


@pytest.mark.parametrize(
    ("number", "test"),
    [
        (23, r"== \d+$"),  # wrapped
        (24, r"== \[.*\]$"),  # a list of one element, really
        (25, r"in \(.*\)$"),  # a list that means a tuple
        (27, r"== (True|False|'\w+'|\d+)$"),  # wrapped, of a method
    ],
)
def test_the_solutions_decide_how_outputs_are_read(
    taco: dict[int, tuple[Problem, ProblemAudit]], number: int, test: str
) -> None:
    problem, audit = taco[number]
    [after] = apply_audit([problem], {problem.task_id: audit}, sandbox_config())
    assert all(re.search(test, str(found)) for found in after.tests)
    assert (audit.reading > 0) == (number != 24)
    assert after.readings == ()


def test_a_flaky_problem_is_told_from_a_wrong_one(judge: Judge) -> None:
    coin = "import os\ndef double(x):\n    return 2 * x if os.urandom(1)[0] % 2 else 0\n"
    tests = tuple(f"assert double({n}) == {2 * n}" for n in range(1, 2))
    statuses = {
        audited(make_problem(references=(coin,), tests=tests), judge).status for _ in range(12)
    }
    assert statuses <= {"flaky", "quarantined", "solvable"}
    assert "flaky" in statuses


def test_wrong_problems_leave_train_but_not_test() -> None:
    def audit_of(problem: Problem, status: str) -> ProblemAudit:
        return ProblemAudit(
            task_id=problem.task_id,
            split=problem.split,
            status=status,  # type: ignore[arg-type]
            reason="",
            num_references=1,
            passing=(0,) if status == "solvable" else (),
            reading=0,
            cpu_s=0.5,
            machine=machine(),
        )

    problems = [
        make_problem("m/1", "train"),
        make_problem("m/2", "train"),
        make_problem("m/3", "test"),
        make_problem("m/4", "validation"),
        make_problem("m/5", "prompt"),
    ]
    statuses = ("solvable", "flaky", "quarantined", "flaky", "quarantined")
    pairs = zip(problems, statuses, strict=True)
    audits = {problem.task_id: audit_of(problem, status) for problem, status in pairs}
    kept = apply_audit(problems, audits, sandbox_config())
    assert [p.task_id for p in kept] == ["m/1", "m/3", "m/4"]
    assert [bool(p.references) for p in kept] == [True, False, False]


def test_limits_follow_from_the_solution_and_are_at_least_the_datasets_own(judge: Judge) -> None:
    slow = "def double(x):\n    n = 0\n    while n < 3 * 10**6: n += 1\n    return 2 * x\n"
    problem = make_problem(references=(slow,))
    strict = replace(problem, origin=replace(problem.origin, time_limit_s=1000.0))
    config = sandbox_config(timeout_s=0.01, reference_timeout_factor=3.0)
    for given, low, high in ((problem, 0.05, 60), (strict, 1000, 1000)):
        audit = audited(given, judge)
        [after] = apply_audit([given], {given.task_id: audit}, config)
        assert audit.cpu_s > 0.01
        assert after.timeout_s is not None
        assert low <= after.timeout_s <= high
        timeouts = reference_timeouts(judge, [after], config)
        assert timeouts == {given.task_id: after.timeout_s}


def test_times_of_another_machine_are_not_used(judge: Judge) -> None:
    problem = make_problem()
    audit = replace(audited(problem, judge), machine="another", cpu_s=500.0)
    [after] = apply_audit([problem], {problem.task_id: audit}, sandbox_config())
    assert after.timeout_s is None
    assert reference_timeouts(judge, [after], sandbox_config()) == {}


def test_a_whole_programs_limit_is_for_one_run_not_for_all(judge: Judge) -> None:
    code = "n = 0\nwhile n < 10**6: n += 1\nprint(input())\n"
    tests = tuple(StdinTest(stdin=str(n), stdout=str(n)) for n in range(10))
    problem = make_problem(entry_point=None, signature="", references=(code,), tests=tests)
    [verdict] = judge.run([Program(code=code, entry_point=None, tests=tests)])
    assert verdict.usage is not None
    audit = audited(problem, judge)
    assert 0 < audit.cpu_s < 0.5 * verdict.usage.cpu_s


class _Scripted:
    """Gives these verdicts, whatever it is asked; remembers what it was asked."""

    def __init__(self, *statuses: str) -> None:
        self._statuses = list(statuses)
        self.programs: list[Program] = []

    def run(self, programs: Iterator[Program]) -> Iterator[Verdict]:
        for program in programs:
            self.programs.append(program)
            yield Verdict(status=VerdictStatus(self._statuses.pop(0)), tests=())


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [
        (("passed", "passed", "passed"), "solvable"),
        (("passed", "passed", "wrong_answer"), "flaky"),
        (("wrong_answer", "passed", "passed"), "flaky"),
        (("wrong_answer", "wrong_answer", "runtime_error"), "flaky"),
        (("wrong_answer", "wrong_answer", "wrong_answer"), "quarantined"),
        (("timeout",), "quarantined"),
        (("missing_entry_point",), "quarantined"),
    ],
)
def test_three_runs_that_end_alike_decide(verdicts: tuple[str, ...], status: str) -> None:
    judge = _Scripted(*verdicts)
    audit = audited(make_problem(), judge)  # type: ignore[arg-type]
    assert audit.status == status
    assert audit.passing == ((0,) if status == "solvable" else ())
    assert len(judge.programs) == len(verdicts)


def test_another_reading_counts_only_where_a_solution_passes_it() -> None:
    problem = make_problem(readings=(("assert double(1) == [2]",), ("assert double(1) == (2,)",)))
    wrong, right = ["wrong_answer"] * 3, ["passed"] * 3
    for verdicts, reading in ((right, 0), (wrong + right, 1), (wrong * 2 + right, 2)):
        audit = audited(problem, _Scripted(*verdicts))  # type: ignore[arg-type]
        assert (audit.status, audit.reading) == ("solvable", reading)
    audit = audited(problem, _Scripted(*wrong * 3))  # type: ignore[arg-type]
    assert (audit.status, audit.reading) == ("quarantined", 0)


@pytest.mark.parametrize(("own_s", "patience_s"), [(None, 10), (1.0, 10), (4.0, 20), (100.0, 60)])
def test_a_solution_may_take_several_times_the_datasets_own_limit(
    own_s: float | None, patience_s: float
) -> None:
    judge = _Scripted("timeout")
    audited(make_problem(origin=Origin(time_limit_s=own_s)), judge)  # type: ignore[arg-type]
    assert [program.timeout_s for program in judge.programs] == [patience_s]


def test_what_no_audit_has_timed_may_take_the_datasets_own_limit_too(judge: Judge) -> None:
    problem = make_problem(origin=Origin(time_limit_s=50.0))
    assert reference_timeouts(judge, [problem], sandbox_config()) == {"mini/1": 50.0}


class _Broken:
    def run(self, programs: Iterator[Program]) -> Iterator[Verdict]:
        for _ in programs:
            yield Verdict(status=VerdictStatus.sandbox_error, tests=(), error="no memory")


def test_a_failure_of_the_judge_quarantines_nothing() -> None:
    with pytest.raises(SandboxError, match=r"mini/1 could not be judged \(no memory\)"):
        audit_problems([make_problem()], _Broken())  # type: ignore[arg-type]


def test_an_interrupted_audit_goes_on_where_it_was(
    judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coderl_exp.data_audit._CHUNK", 2)
    problems = [make_problem(f"mini/{n}") for n in range(1, 6)]
    whole = run_audit(problems, lambda: judge, tmp_path)
    lines = (tmp_path / "audits.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "audits.jsonl").write_text("".join(lines[:3]) + lines[3][:20])
    assert run_audit(problems, lambda: judge, tmp_path) == whole
    assert len((tmp_path / "audits.jsonl").read_text().splitlines()) == 5
    assert whole.counts == {"problems": 5, "solvable": 5, "flaky": 0, "quarantined": 0}
