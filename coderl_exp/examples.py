"""Problems that went from failing to passing or back: their text, programs and failing tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coderl_exp.analysis import first_failing_test
from coderl_exp.changes import ProblemChange
from coderl_exp.records import JudgedCandidate, Problem, StdinTest, VerdictStatus
from coderl_exp.text import sound_text

MAX_EXAMPLES = 40
"""Problems fixed, and as many broken, that are shown with code."""
MAX_CODE_CHARS = 20_000
MAX_TEST_CHARS = 2_000


@dataclass(frozen=True, kw_only=True)
class ShownProgram:
    """One candidate as a page shows it."""

    index: int
    status: VerdictStatus
    error: str
    has_code: bool
    """False: no code was found, and `code` is the completion."""
    code: str
    num_hidden: int
    """Characters that were cut off."""
    failing_test_number: int | None
    """From 1; None: it passed, or no test was reached."""
    failing_test: str
    """Its source, or what it writes and expects; empty where it is not known."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """A problem with one candidate before and one after."""

    text: str
    """Empty where the problem is not among the report's data."""
    before: ShownProgram
    after: ShownProgram


def examples_of(
    fixed: Sequence[ProblemChange],
    broken: Sequence[ProblemChange],
    problems: Mapping[str, Problem],
    before: Sequence[JudgedCandidate],
    after: Sequence[JudgedCandidate],
) -> dict[str, Example]:
    """Of the first `MAX_EXAMPLES` problems fixed and broken: the first candidate that failed and
    the first that passed."""
    old, new = _first_by_outcome(before), _first_by_outcome(after)
    shown = [(change.task_id, False) for change in fixed[:MAX_EXAMPLES]]
    shown += [(change.task_id, True) for change in broken[:MAX_EXAMPLES]]
    return {
        task_id: Example(
            text=sound_text(problems[task_id].text) if task_id in problems else "",
            before=_show(old[task_id, passed_before], problems.get(task_id)),
            after=_show(new[task_id, not passed_before], problems.get(task_id)),
        )
        for task_id, passed_before in shown
    }


def _first_by_outcome(
    rows: Sequence[JudgedCandidate],
) -> dict[tuple[str, bool], JudgedCandidate]:
    """Problem and whether it passed → its first candidate that ended so."""
    first: dict[tuple[str, bool], JudgedCandidate] = {}
    for row in rows:
        if row.verdict.status is not VerdictStatus.sandbox_error:
            first.setdefault((row.candidate.task_id, row.verdict.passed), row)
    return first


def _show(row: JudgedCandidate, problem: Problem | None) -> ShownProgram:
    text = sound_text(row.candidate.completion if row.code is None else row.code)
    position = None if row.verdict.passed else first_failing_test(row)
    return ShownProgram(
        index=row.candidate.index,
        status=row.verdict.status,
        error=sound_text(row.verdict.error),
        has_code=row.code is not None,
        code=text[:MAX_CODE_CHARS],
        num_hidden=max(0, len(text) - MAX_CODE_CHARS),
        failing_test_number=None if position is None else position + 1,
        failing_test=_test_text(problem, position),
    )


def _as_text(test: str | StdinTest) -> str:
    if isinstance(test, str):
        return test
    return f"standard input:\n{test.stdin}\n\nexpected output:\n{test.stdout}"


def _test_text(problem: Problem | None, position: int | None) -> str:
    if problem is None or position is None or position >= len(problem.tests):
        return ""
    test = sound_text(_as_text(problem.tests[position]))
    hidden = len(test) - MAX_TEST_CHARS
    return test if hidden <= 0 else f"{test[:MAX_TEST_CHARS]}\n… {hidden} more characters"
