"""Do the labels hold? The pairs' programs are judged again, and pairs that flip are left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from coderl_exp.config import SandboxConfig
from coderl_exp.pair_audit import LabelChecks
from coderl_exp.records import JudgedCandidate, PreferencePair, Problem, VerdictStatus
from coderl_exp.sandbox import Judge
from coderl_exp.sandbox.calibration import reference_timeouts
from coderl_exp.sandbox.programs import program_for

_Name = tuple[str, int]
"""Task and index of a candidate."""


@dataclass(frozen=True, kw_only=True)
class CheckedPairs:
    """The pairs whose labels held, and what judging again showed."""

    kept: tuple[PreferencePair, ...]
    checks: LabelChecks


def check_labels(
    pairs: Sequence[PreferencePair],
    judged: Iterable[JudgedCandidate],
    problems: Mapping[str, Problem],
    make_judge: Callable[[], Judge],
    config: SandboxConfig,
    num_repeats: int,
) -> CheckedPairs | None:
    """Judge each program of the pairs `num_repeats` times more, under the same limits.

    A failure of the judge itself is no evidence either way. None without pairs or repeats.
    """
    if not pairs or not num_repeats:
        return None
    named = {(p.task_id, i): None for p in pairs for i in (p.chosen_index, p.rejected_index)}
    rows = {name: row for row in judged if (name := _name(row)) in named}
    changed = _changed(rows, problems, make_judge(), config, num_repeats)
    return CheckedPairs(
        kept=tuple(
            pair
            for pair in pairs
            if not {(pair.task_id, pair.chosen_index), (pair.task_id, pair.rejected_index)}
            & changed
        ),
        checks=LabelChecks(
            num_programs=len(rows), num_repeats=num_repeats, num_changed=len(changed)
        ),
    )


def _name(row: JudgedCandidate) -> _Name:
    return row.candidate.task_id, row.candidate.index


def _changed(
    rows: Mapping[_Name, JudgedCandidate],
    problems: Mapping[str, Problem],
    judge: Judge,
    config: SandboxConfig,
    num_repeats: int,
) -> set[_Name]:
    needed = {task_id: problems[task_id] for task_id, _ in rows}
    timeouts = reference_timeouts(judge, needed.values(), config)
    programs = [
        program_for(needed[task_id], row.code, timeouts.get(task_id))
        for (task_id, _), row in rows.items()
    ]
    changed: set[_Name] = set()
    for _ in range(num_repeats):
        for (name, row), verdict in zip(rows.items(), judge.run(programs), strict=True):
            is_known = verdict.status is not VerdictStatus.sandbox_error
            if is_known and verdict.passed != row.verdict.passed:
                changed.add(name)
    return changed
