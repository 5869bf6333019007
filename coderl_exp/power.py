"""How large a change can a study of n problems with k candidates each find?

A paired study compares two policies on the same problems. The variance of its mean difference has
two parts: sampling (π(1 − π) of each policy and problem, over k candidates) and change (policies
gain on some problems and lose on others). Both shrink with more problems, sampling also with more
candidates. An unpaired study adds the spread of the problems themselves, twice.

Normal approximation; for pass@1, which is a mean of single candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from coderl_exp.metrics import ProblemResult
from coderl_exp.statistics import CONFIDENCE

TARGET_POWER = 0.8
"""The usual aim: four of five studies find the change."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """What hides a change, per problem. All are variances of pass rates, in [0, 1]."""

    sampling: float
    """Of one candidate before plus one after: the mean of π₀(1 − π₀) + π₁(1 − π₁)."""
    change: float
    """Of the true change over problems."""
    problems: float
    """Of the pass rate over problems, before plus after; pairing removes it."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A planned study and the smallest change that it finds with `TARGET_POWER`."""

    num_problems: int
    num_candidates: int
    """Of each problem, before and after."""
    detectable: float
    """In pass@1, as a share."""


def estimate_noise(before: Sequence[ProblemResult], after: Sequence[ProblemResult]) -> Noise | None:
    """From two evaluations of the same problems in the same order, without bias.

    None where a variance is not estimable: fewer than two problems with two candidates each.
    """
    pairs = [
        (old, new)
        for old, new in zip(before, after, strict=True)
        if min(old.num_candidates, new.num_candidates) >= 2
    ]
    if len(pairs) < 2:
        return None
    rates = np.array([[r.num_passed / r.num_candidates for r in pair] for pair in pairs])
    counts = np.array([[r.num_candidates for r in pair] for pair in pairs], dtype=float)
    sampling = rates * (1 - rates) * counts / (counts - 1)
    of_means = (sampling / counts).mean(axis=0)
    changes = rates[:, 1] - rates[:, 0]
    return Noise(
        sampling=float(sampling.mean(axis=0).sum()),
        change=max(0.0, float(changes.var(ddof=1) - of_means.sum())),
        problems=max(0.0, float((rates.var(axis=0, ddof=1) - of_means).sum())),
    )


def paired_error(noise: Noise, num_problems: int, num_candidates: int) -> float:
    """Standard error of the mean difference on the same problems."""
    per_problem = noise.change + noise.sampling / num_candidates
    return float(np.sqrt(per_problem / num_problems))


def unpaired_error(noise: Noise, num_problems: int, num_candidates: int) -> float:
    """Standard error of the difference of two means, each on problems of its own."""
    per_problem = noise.problems + noise.sampling / num_candidates
    return float(np.sqrt(per_problem / num_problems))


def power(effect: float, error: float) -> float:
    """The chance that a two-sided test finds a true difference of `effect`."""
    if error == 0:
        return float(effect != 0)
    critical = stats.norm.ppf(0.5 + CONFIDENCE / 2)
    return float(stats.norm.sf(critical - abs(effect) / error)) + float(
        stats.norm.cdf(-critical - abs(effect) / error)
    )


def minimum_detectable_effect(error: float, target: float = TARGET_POWER) -> float:
    """The smallest true difference that is found with probability `target`."""
    return float((stats.norm.ppf(0.5 + CONFIDENCE / 2) + stats.norm.ppf(target)) * error)


def plan_study(noise: Noise, num_problems: int, num_candidates: int) -> Plan:
    """What a paired study of that size could find."""
    error = paired_error(noise, num_problems, num_candidates)
    return Plan(
        num_problems=num_problems,
        num_candidates=num_candidates,
        detectable=minimum_detectable_effect(error),
    )


def plans_around(noise: Noise, num_problems: int, num_candidates: int) -> tuple[Plan, ...]:
    """The study as it is, and with four times the candidates, the problems, or both."""
    sizes = ((1, 1), (1, 4), (4, 1), (4, 4))
    return tuple(
        plan_study(noise, num_problems * more_problems, num_candidates * more_candidates)
        for more_problems, more_candidates in sizes
    )
