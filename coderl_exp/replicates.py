"""Runs that differ in their seed only: are they replicates, and what varies between them?

A copy of a run is no replicate: its spread of zero would be reported as certainty. So replicates
must differ in seed and in samples, and are refused otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from coderl_exp.errors import DataError
from coderl_exp.metrics import ProblemResult
from coderl_exp.statistics import CONFIDENCE, Estimate, Matrix, mean_interval


@dataclass(frozen=True, kw_only=True)
class Replicate:
    """One training seed's evaluation."""

    name: str
    seed: int | None
    """None: not recorded."""
    samples: str
    """Digest of what was sampled; empty: not recorded."""
    scores: Mapping[str, float]
    """Metric → value at full precision."""
    results: Sequence[ProblemResult] = ()
    """Per problem; empty where only the scores are known."""


@dataclass(frozen=True, kw_only=True)
class VarianceParts:
    """Where the variance of a single candidate's outcome comes from, in (pass rate)².

    Two-way random effects: outcome = mean + problem + seed + problem × seed + sample.
    """

    problem: float
    seed: float
    """Between training seeds, the same for all problems."""
    problem_by_seed: float
    """Seeds that are better on some problems and worse on others."""
    sample: float
    """Between candidates of one problem and one seed."""


def check_replicates(replicates: Sequence[Replicate]) -> None:
    """Refuse copies.

    Raises:
        DataError: two share the seed, the samples, or every number; names them and says why.
    """
    for left, right in combinations(replicates, 2):
        if reason := _why_copies(left, right):
            raise DataError(
                f"{left.name} and {right.name} are no replicates: {reason}. A copy has no spread "
                "of its own, so its standard deviation of 0 would say nothing: train again with "
                "another seed, or leave one out."
            )


def _why_copies(left: Replicate, right: Replicate) -> str:
    if left.seed is not None and left.seed == right.seed:
        return f"both have seed {left.seed}"
    if left.samples and left.samples == right.samples:
        return "their sampled completions are identical"
    if left.samples and right.samples:
        return ""
    if left.results and right.results:
        same = list(left.results) == list(right.results)
        is_random = any(0 < r.num_passed < r.num_candidates for r in left.results)
        return (
            "they passed the same number of candidates of every problem"
            if same and (is_random)
            else ""
        )
    shared = left.scores.keys() & right.scores.keys()
    if shared and all(left.scores[name] == right.scores[name] for name in shared):
        listed = ", ".join(f"{name} {left.scores[name]:g}" for name in sorted(shared))
        return f"they agree in every number ({listed})"
    return ""


def split_variance(num_passed: Matrix, num_candidates: int) -> VarianceParts | None:
    """Of a (seeds × problems) matrix of passing candidates, by analysis of variance.

    Unbiased but for cutting negative estimates off at zero. None where it is undefined: fewer than
    two seeds, problems or candidates.
    """
    num_seeds, num_problems = num_passed.shape
    if min(num_seeds, num_problems, num_candidates) < 2:
        return None
    rates = num_passed / num_candidates
    sample = float((rates * (1 - rates)).mean()) * num_candidates / (num_candidates - 1)
    by_seed, by_problem, rest = _mean_squares(rates)
    return VarianceParts(
        problem=max(0.0, (by_problem - rest) / num_seeds),
        seed=max(0.0, (by_seed - rest) / num_problems),
        problem_by_seed=max(0.0, rest - sample / num_candidates),
        sample=sample,
    )


def replicate_interval(values: Matrix, lowest: float = -1.0) -> Estimate:
    """The mean over seeds and problems of a (seeds × problems) matrix, for new seeds and problems.

    Both are random: the variance of the mean is (MS problem + MS seed − MS rest) / cells, with
    Satterthwaite's degrees of freedom (https://doi.org/10.2307/3002019). One seed: the bootstrap
    over problems, which says nothing about other seeds. Cut off at `lowest` and 1, beyond which no
    mean can be: 0 for pass rates, −1 for their differences.
    """
    num_seeds, num_problems = values.shape
    if num_seeds < 2 or num_problems < 2:
        return mean_interval(values.mean(axis=0).tolist())
    mean = float(values.mean())
    squares = np.array(_mean_squares(values))
    signs = np.array([1.0, 1.0, -1.0])
    freedom = np.array(
        [num_seeds - 1, num_problems - 1, (num_seeds - 1) * (num_problems - 1)], dtype=float
    )
    # The difference may come out too small, even negative: never less than either factor alone.
    combined = max(float(signs @ squares), float(squares[:2].max()))
    if combined == 0:
        return Estimate(mean=mean, low=mean, high=mean)
    degrees = combined**2 / float((squares**2 / freedom).sum())
    quantile = float(stats.t.ppf(0.5 + CONFIDENCE / 2, max(degrees, 1.0)))
    half = quantile * (combined / values.size) ** 0.5
    return Estimate(mean=mean, low=max(lowest, mean - half), high=min(1.0, mean + half))


def _mean_squares(values: Matrix) -> tuple[float, float, float]:
    """Between seeds, between problems, and what is left."""
    num_seeds, num_problems = values.shape
    mean = values.mean()
    seeds, problems = values.mean(axis=1), values.mean(axis=0)
    rest = values - seeds[:, None] - problems[None, :] + mean
    return (
        float(num_problems * ((seeds - mean) ** 2).sum() / (num_seeds - 1)),
        float(num_seeds * ((problems - mean) ** 2).sum() / (num_problems - 1)),
        float((rest**2).sum() / ((num_seeds - 1) * (num_problems - 1))),
    )
