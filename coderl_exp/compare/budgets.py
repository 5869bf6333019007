"""Methods at equal cost: the best configuration of each that a budget pays for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from coderl_exp.compare.data import EqualCost, Row
from coderl_exp.compare.ranking import Group, compare_groups

MEASURES = {
    "wall_s": "wall seconds",
    "cpu_s": "CPU seconds",
    "num_generated_tokens": "generated tokens",
    "num_trained_tokens": "trained tokens",
}
"""What a budget can be in, and how it reads."""


def compare_at_equal_cost(
    rows: Sequence[Row], groups: Mapping[str, Group], measure: str
) -> tuple[EqualCost, ...]:
    """For each budget at which the best of two methods change: the two best methods' best rows.

    `groups` by row name. A row that is better and cheaper than all others of its method stands for
    it at every budget from its cost on.
    """
    trained = [row for row in rows if row.is_trained]
    budgets = sorted({_cost(row, measure) for row in trained})
    meetings: list[tuple[float, Row, Row]] = []
    for budget in budgets:
        best = _best_by_method([row for row in trained if _cost(row, measure) <= budget])
        if len(best) >= 2 and (not meetings or (best[0], best[1]) != meetings[-1][1:]):
            meetings.append((budget, best[0], best[1]))
    differences = [
        groups[better.name].values - groups[other.name].values.mean(axis=0)
        for _, better, other in meetings
    ]
    return tuple(
        EqualCost(
            budget=budget,
            better=better.name,
            better_method=better.method,
            other=other.name,
            other_method=other.method,
            comparison=comparison,
        )
        for (budget, better, other), comparison in zip(
            meetings, compare_groups(differences), strict=True
        )
        if comparison is not None
    )


def _cost(row: Row, measure: str) -> float:
    return float(getattr(row.cost, measure))


def _best_by_method(rows: Sequence[Row]) -> list[Row]:
    """One row per method, best first."""
    best: dict[str, Row] = {}
    for row in rows:
        if row.method not in best or row.value.mean > best[row.method].value.mean:
            best[row.method] = row
    return sorted(best.values(), key=lambda row: -row.value.mean)
