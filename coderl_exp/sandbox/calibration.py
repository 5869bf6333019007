"""Time limits from what the reference solutions need on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from coderl_exp.records import Problem
from coderl_exp.sandbox import Judge
from coderl_exp.sandbox.programs import program_for

if TYPE_CHECKING:
    from coderl_exp.config import SandboxConfig

_MAX_REFERENCE_S = 60.0


def reference_timeouts(
    judge: Judge, problems: Iterable[Problem], config: SandboxConfig
) -> dict[str, float]:
    """CPU seconds per task id, for the problems whose reference needs a longer limit.

    The limit of a problem is `sandbox.timeout_s`, or `reference_timeout_factor` times what its
    reference takes here, if that is more. A reference that does not pass changes nothing.
    """
    with_reference = [problem for problem in problems if problem.reference]
    verdicts = judge.run(
        program_for(problem, problem.reference, _MAX_REFERENCE_S) for problem in with_reference
    )
    timeouts = {}
    for problem, verdict in zip(with_reference, verdicts, strict=True):
        if verdict.passed and verdict.usage is not None:
            scaled = config.reference_timeout_factor * verdict.usage.cpu_s
            if scaled > config.timeout_s:
                timeouts[problem.task_id] = round(scaled, 1)
    return timeouts
