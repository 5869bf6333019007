"""Time limits from what the reference solutions need on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from coderl_exp.records import Problem
from coderl_exp.sandbox import Judge
from coderl_exp.sandbox.programs import program_for

if TYPE_CHECKING:
    from coderl_exp.config import SandboxConfig

MAX_REFERENCE_S = 60.0
"""No reference is waited for longer than this, in CPU seconds."""


def reference_timeouts(
    judge: Judge, problems: Iterable[Problem], config: SandboxConfig
) -> dict[str, float]:
    """CPU seconds per task id, for the problems that need a longer limit than `sandbox.timeout_s`.

    The limit is the problem's own where it has one, as after an audit; else
    `reference_timeout_factor` times what its reference takes here, and at least what the dataset
    says. A reference that does not pass changes nothing.
    """
    problems = list(problems)
    unknown = [p for p in problems if p.reference and p.timeout_s is None]
    verdicts = judge.run(program_for(p, p.reference, MAX_REFERENCE_S) for p in unknown)
    timeouts = {p.task_id: p.timeout_s for p in problems if p.timeout_s is not None}
    for problem, verdict in zip(unknown, verdicts, strict=True):
        if verdict.passed and verdict.usage is not None:
            is_stdin, usage = problem.entry_point is None, verdict.usage
            cpu_s = usage.longest_run_s if is_stdin else usage.cpu_s
            scaled = config.reference_timeout_factor * cpu_s
            longest = max(scaled, problem.origin.time_limit_s or 0.0)
            timeouts[problem.task_id] = round(longest, 2)
    return {name: limit for name, limit in timeouts.items() if limit > config.timeout_s}
