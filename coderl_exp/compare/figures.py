"""The figures of a comparison, as SVG text: forest plots, learning curves, score against cost."""

from __future__ import annotations

import re
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from coderl_exp.compare.data import Comparison, Curve, Row
from coderl_exp.statistics import Estimate
from coderl_exp.svg import (
    AFTER,
    INK,
    QUIET,
    SERIES,
    finish,
    new_figure,
    percent_axis,
    points_axis,
    to_inline,
)

MAX_LABEL_CHARS = 26
_STYLES = ("-", "--", "-.", ":")


def comparison_figures(comparison: Comparison, costs: Sequence[float]) -> dict[str, str]:
    """By name; absent where there is nothing to draw. `costs`: of the rows, in the same order."""
    rows = comparison.rows
    figures = {
        "forest": forest_plot(
            "forest",
            [row.name for row in rows],
            [row.value for row in rows],
            comparison.metric,
            f"{comparison.metric} of {len(rows)} configurations with 95 % intervals, best first; "
            "the table has the numbers.",
            is_change=comparison.metric.startswith("delta"),
        )
    }
    if compared := [(row.name, row.comparison.difference) for row in rows if row.comparison]:
        figures["differences"] = forest_plot(
            "differences",
            [name for name, _ in compared],
            [difference for _, difference in compared],
            "difference (points)",
            f"Paired differences from {comparison.reference} with 95 % intervals; the table has "
            "the numbers.",
            is_change=True,
        )
    if len({row.method for row in rows if row.is_trained}) > 1 and any(costs):
        figures["cost"] = cost_plot(rows, costs, comparison)
    return figures


def curve_overlays(comparison: Comparison) -> dict[str, str]:
    """One figure per logged value; the first rows in colour, the others in grey."""
    named = [row.name for row in comparison.rows][: len(SERIES)]
    return {name: overlay_plot(name, curves, named) for name, curves in comparison.curves.items()}


def forest_plot(
    name: str,
    labels: Sequence[str],
    estimates: Sequence[Estimate],
    axis_label: str,
    description: str,
    *,
    is_change: bool,
) -> str:
    """One line per row, the first on top; changes have a line at zero."""
    with new_figure(0.9 + 0.27 * len(labels)) as (figure, axes):
        places = range(len(labels))
        means = [estimate.mean for estimate in estimates]
        below = [estimate.mean - estimate.low for estimate in estimates]
        above = [estimate.high - estimate.mean for estimate in estimates]
        axes.errorbar(
            means, list(places), xerr=[below, above], color=AFTER, marker="s", markersize=4.5,
            linestyle="none", elinewidth=1.2, capsize=2.5,
        )  # fmt: skip
        if is_change:
            axes.axvline(0, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
        axes.set_yticks(list(places), [_label(label) for label in labels])
        axes.set_ylim(len(labels) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.xaxis.set_major_formatter(points_axis() if is_change else percent_axis())
        axes.set_xlabel(axis_label)
        finish(axes, grid="x", num_series=1)
        return to_inline(figure, name, description)


def overlay_plot(name: str, curves: Sequence[Curve], named: Sequence[str]) -> str:
    """Curves of many runs; seeds of one row share its colour. The legend is on the page."""
    with new_figure(2.4) as (figure, axes):
        for curve in sorted(curves, key=lambda curve: curve.row in named):
            _draw_curve(axes, curve, named)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.set(xlabel="optimizer step", ylabel=name)
        finish(axes, grid="y", num_series=1)
        figure_name = "overlay-" + re.sub(r"[^a-z0-9]+", "-", name.lower())
        return to_inline(figure, figure_name, f"{name} over the training of {len(curves)} runs.")


def _draw_curve(axes: Axes, curve: Curve, named: Sequence[str]) -> None:
    steps, values = zip(*curve.points, strict=True)
    if curve.row in named:
        position = named.index(curve.row)
        style = _STYLES[position % len(_STYLES)]
        axes.plot(steps, values, color=SERIES[position], linestyle=style, linewidth=1.5)
    else:
        axes.plot(steps, values, color=QUIET, linewidth=0.7, alpha=0.6)


def cost_plot(rows: Sequence[Row], costs: Sequence[float], comparison: Comparison) -> str:
    """The metric over what making the model cost, one marker per method."""
    trained = [(row, cost) for row, cost in zip(rows, costs, strict=True) if row.is_trained]
    methods = list(dict.fromkeys(row.method for row, _ in trained))
    with new_figure(2.9) as (figure, axes):
        for position, method in enumerate(methods):
            points = [(cost, row.value) for row, cost in trained if row.method == method]
            means = [value.mean for _, value in points]
            below = [value.mean - value.low for _, value in points]
            above = [value.high - value.mean for _, value in points]
            axes.errorbar(
                [cost for cost, _ in points], means, yerr=[below, above], label=method.upper(),
                color=SERIES[position % len(SERIES)], marker="os^Dv"[position % 5], markersize=5,
                linestyle="none", elinewidth=0.9, capsize=2,
            )  # fmt: skip
        least, most = min(cost for _, cost in trained), max(cost for _, cost in trained)
        if least > 0 and most > 10 * least:
            axes.set_xscale("log")
        is_change = comparison.metric.startswith("delta")
        axes.yaxis.set_major_formatter(points_axis() if is_change else percent_axis())
        axes.set(xlabel=comparison.cost_measure, ylabel=comparison.metric)
        finish(axes, grid="y", num_series=max(2, len(methods)))
        description = f"{comparison.metric} against {comparison.cost_measure} by method."
        return to_inline(figure, "cost", description)


def _label(name: str) -> str:
    """`method=grpo learning_rate=5e-6` as `grpo · 5e-6`; long ones lose their middle."""
    text = " · ".join(word.partition("=")[2] or word for word in name.split())
    if len(text) > MAX_LABEL_CHARS:
        half = (MAX_LABEL_CHARS - 1) // 2
        text = f"{text[:half]}…{text[-half:]}"
    return text.replace("$", r"\$")  # matplotlib takes it for mathematics
