"""From a problem and code for it to what the judge runs."""

from __future__ import annotations

from coderl_exp.records import Problem, Program


def program_for(
    problem: Problem,
    code: str | None,
    timeout_s: float | None = None,
    tests: tuple[str, ...] | None = None,
) -> Program:
    """`code` against the problem's tests, or some of them; None: the judge's own time limit."""
    return Program(
        code=code,
        entry_point=problem.entry_point,
        tests=problem.tests if tests is None else tests,
        setup_code=problem.setup_code,
        timeout_s=timeout_s,
    )
