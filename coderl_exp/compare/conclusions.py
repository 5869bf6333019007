"""One honest sentence about many runs: who leads, by how much, and whether that settles it."""

from __future__ import annotations

from collections.abc import Sequence

from coderl_exp.compare.data import Metric, Row
from coderl_exp.rendering import p_value, percent, points
from coderl_exp.statistics import Estimate, PairedComparison

CLEARLY = 0.95
"""Share of resampled sets of problems."""


def answer_of(
    rows: Sequence[Row], metric: Metric, reference: str, runner_up: PairedComparison | None
) -> str:
    """`runner_up` is the best row less the second on the same problems; None with one row."""
    best = rows[0]
    shown = points if metric.is_change else percent
    value = f"{shown(best.value.mean)} ({_range(best.value, metric)})"
    if runner_up is None:
        return f"{best.name or 'The run'} has {metric.name} {value}{_against(best, reference)}."
    lead = runner_up.difference
    gap = (
        f"{points(lead.mean)} points (95 % interval {points(lead.low)} to {points(lead.high)}), "
        f"{p_value(runner_up.p_value)}"
    )
    leads = f"Of {len(rows)} configurations, {best.name} has the highest {metric.name}, {value}"
    if lead.low > 0 and runner_up.is_significant:
        return f"{leads}, ahead of {rows[1].name} by {gap}: unlikely to be chance."
    chance = f"it is the best in {percent(best.share_best)} of resampled sets of problems"
    return (
        f"{leads}, but its lead on {rows[1].name} is {gap}, and {chance}: this comparison does not "
        "show which is best."
    )


def _range(value: Estimate, metric: Metric) -> str:
    shown = points if metric.is_change else percent
    unit = " points, " if metric.is_change else ""
    return f"{unit}95 % interval {shown(value.low)} to {shown(value.high)}".lstrip()


def _against(row: Row, reference: str) -> str:
    if row.comparison is None:
        return ""
    change = row.comparison.difference
    return (
        f", {points(change.mean)} points from {reference} (95 % interval {points(change.low)} to "
        f"{points(change.high)}, {p_value(row.comparison.p_value)})"
    )
