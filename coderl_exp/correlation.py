"""What goes along with passing? Correlations over candidates, with intervals over problems.

Candidates of one problem are alike, so the bootstrap draws whole problems (percentile intervals).
Spearman's rho is Pearson's r of the ranks in the whole set; the ranks are not drawn again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from coderl_exp.statistics import CONFIDENCE, Estimate, Matrix, draws

MIN_CORRELATED = 3
"""A correlation of fewer points is always ±1 or undefined."""


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """With passing (0 or 1). None: one side is constant, or there are too few candidates."""

    pearson: Estimate | None
    spearman: Estimate | None


def correlate(
    columns: Mapping[str, Sequence[float]], passed: Sequence[bool], problems: Sequence[str]
) -> dict[str, Correlation]:
    """Each column's correlation with passing; one entry per candidate in every sequence."""
    names = list(columns)
    if len(passed) < MIN_CORRELATED:
        return {name: Correlation(pearson=None, spearman=None) for name in names}
    values = np.array([columns[name] for name in names], dtype=float).T
    outcome = np.asarray(passed, dtype=float)[:, None]
    groups = np.unique(np.asarray(problems), return_inverse=True)[1]
    pearson = _intervals(values, outcome, groups)
    spearman = _intervals(stats.rankdata(values, axis=0), stats.rankdata(outcome, axis=0), groups)
    return {
        name: Correlation(pearson=p, spearman=s)
        for name, p, s in zip(names, pearson, spearman, strict=True)
    }


def _intervals(
    values: Matrix, outcome: Matrix, groups: np.ndarray[tuple[int], np.dtype[np.intp]]
) -> list[Estimate | None]:
    is_constant = (np.ptp(values, axis=0) == 0) | (np.ptp(outcome) == 0)
    x, y = _standardize(values), _standardize(outcome)
    num_columns, num_groups = x.shape[1], int(groups.max()) + 1
    moments = np.hstack([x, x**2, x * y, y, y**2, np.ones_like(y)])
    sums = np.zeros((num_groups, moments.shape[1]))
    np.add.at(sums, groups, moments)
    found = _correlation(sums.sum(axis=0)[None, :], num_columns)[0]
    drawn = np.concatenate([_correlation(d @ sums, num_columns) for d in draws(num_groups, 0)])
    return [
        None if constant else _estimate(value, sample, num_groups)
        for value, sample, constant in zip(found, drawn.T, is_constant, strict=True)
    ]


def _standardize(values: Matrix) -> Matrix:
    spread = values.std(axis=0)
    return np.asarray((values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0))


def _correlation(sums: Matrix, num_columns: int) -> Matrix:
    """From summed moments, row by row; NaN where a side is constant among what was drawn."""
    x, xx, xy = (sums[:, i * num_columns : (i + 1) * num_columns] for i in range(3))
    y, yy, count = (sums[:, [i]] for i in range(-3, 0))
    spread = (xx - x * x / count).clip(0) * (yy - y * y / count).clip(0)
    result = np.full(spread.shape, np.nan)
    np.divide(xy - x * y / count, np.sqrt(spread), out=result, where=spread > 1e-12)
    return result


def _estimate(value: float, sample: Matrix, num_groups: int) -> Estimate:
    """One problem, or two that say nothing when drawn, leave every correlation possible."""
    defined = sample[np.isfinite(sample)]
    value = float(np.clip(value, -1, 1))
    if num_groups < 2 or len(defined) < len(sample) / 2:
        return Estimate(mean=value, low=-1.0, high=1.0)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(defined.clip(-1, 1), [tail, 1 - tail]).tolist()
    return Estimate(mean=value, low=min(low, value), high=max(high, value))
