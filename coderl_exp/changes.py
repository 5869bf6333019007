"""Two evaluations side by side: which problems changed, and how completions grew or shrank."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from coderl_exp.errors import CoderlError
from coderl_exp.metrics import ProblemResult
from coderl_exp.records import JudgedCandidate

NUM_BINS = 24


@dataclass(frozen=True, kw_only=True)
class ProblemChange:
    """One problem's candidates that passed, of those judged."""

    task_id: str
    num_passed_before: int
    num_before: int
    num_passed_after: int
    num_after: int
    pass_rate_before: float
    pass_rate_after: float


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Completions per bin of length in tokens; empty counts where a stage did not run."""

    edges: tuple[float, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]


def problem_changes(
    before: Sequence[ProblemResult], after: Sequence[ProblemResult]
) -> list[ProblemChange]:
    """Per problem of two aligned evaluations; without those that one of them could not judge."""
    return [
        ProblemChange(
            task_id=old.task_id,
            num_passed_before=old.num_passed,
            num_before=old.num_candidates,
            num_passed_after=new.num_passed,
            num_after=new.num_candidates,
            pass_rate_before=old.num_passed / old.num_candidates,
            pass_rate_after=new.num_passed / new.num_candidates,
        )
        for old, new in zip(before, after, strict=True)
        if old.num_candidates and new.num_candidates
    ]


def length_histogram(
    before: Sequence[JudgedCandidate], after: Sequence[JudgedCandidate]
) -> Histogram | None:
    """Bins of one whole width for both sets, from zero to the longest completion."""
    lengths = [[row.candidate.num_completion_tokens for row in rows] for rows in (before, after)]
    longest = max((length for row in lengths for length in row), default=None)
    if longest is None:
        return None
    width = max(1, math.ceil((longest + 1) / NUM_BINS))
    num_bins = longest // width + 1
    counts = [[0] * num_bins if row else [] for row in lengths]
    for row, bins in zip(lengths, counts, strict=True):
        for length in row:
            bins[length // width] += 1
    edges = tuple(float(index * width) for index in range(num_bins + 1))
    return Histogram(edges=edges, before=tuple(counts[0]), after=tuple(counts[1]))


def align(
    before: list[ProblemResult], after: list[ProblemResult]
) -> tuple[list[ProblemResult], list[ProblemResult]]:
    """Both in the order of `before`, so that they can be compared by problem.

    Raises:
        CoderlError: they are not of the same problems.
    """
    if not before or not after:
        return before, after
    found = {result.task_id: result for result in after}
    differing = sorted({result.task_id for result in before} ^ found.keys())
    if differing:
        raise CoderlError(
            f"{len(differing)} problems were evaluated only before or only after training, "
            f"{differing[0]} first: a paired comparison needs the same ones; evaluate both again."
        )
    return before, [found[result.task_id] for result in before]
