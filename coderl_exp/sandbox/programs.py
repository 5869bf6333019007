"""From a problem and code for it to what the judge runs."""

from __future__ import annotations

from coderl_exp.records import Problem, Program, StdinTest

Tests = tuple[str, ...] | tuple[StdinTest, ...]


def program_for(
    problem: Problem,
    code: str | None,
    timeout_s: float | None = None,
    tests: Tests | None = None,
) -> Program:
    """`code` against the problem's tests, or some of them; None: the judge's own time limit."""
    return Program(
        code=code,
        entry_point=problem.entry_point,
        tests=problem.tests if tests is None else tests,
        setup_code=problem.setup_code,
        output_rule=problem.output_rule,
        timeout_s=timeout_s,
    )
