"""The figures of a run's report, as SVG text (`svg.py`)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from coderl_exp.analysis import NUM_SIMILARITY_BINS, SetAnalysis
from coderl_exp.changes import Histogram
from coderl_exp.report_data import RunSummary
from coderl_exp.statistics import Estimate
from coderl_exp.svg import AFTER, NAMES, finish, new_figure, percent_axis, to_inline

_Key = TypeVar("_Key")


def run_figures(summary: RunSummary) -> dict[str, str]:
    """The figures of a run's report by name; absent where there is nothing to draw."""
    figures = {}
    if summary.before or summary.after:
        means = [f"pass@{k}" for k in summary.ks]
        figures["pass_at_k"] = pass_at_k_plot(
            summary.ks,
            [summary.before.get(k) for k in summary.ks],
            [summary.after.get(k) for k in summary.ks],
            f"{', '.join(means)} with 95 % intervals; the table has the numbers.",
        )
    if summary.verdicts_before or summary.verdicts_after:
        figures["verdicts"] = verdict_plot(
            _shares(summary.verdicts_before),
            _shares(summary.verdicts_after),
            "Share of candidates per verdict; the table has the numbers.",
        )
    if lengths := summary.lengths:
        figures["lengths"] = lengths_plot(lengths, "before", "after")
    tested = {name: summary.analyses[name] for name in NAMES if name in summary.analyses}
    if any(analysis.similarity for analysis in tested.values()):
        figures["similarity"] = similarity_plot(tested)
    return figures


def curve_figures(summary: RunSummary) -> dict[str, str]:
    """A figure per curve of the training, by the metric's name."""
    return {
        name: curve_plot(
            name,
            [step for step, _ in points],
            [value for _, value in points],
            f"{name}: {points[0][1]:.4g} at step {points[0][0]:g}, "
            f"{points[-1][1]:.4g} at step {points[-1][0]:g}.",
        )
        for name, points in summary.drawn_curves.items()
    }


def _shares(counts: Mapping[_Key, int]) -> dict[_Key, float]:
    total = sum(counts.values())
    return {key: count / total for key, count in counts.items()}


def pass_at_k_plot(
    ks: Sequence[int],
    before: Sequence[Estimate | None],
    after: Sequence[Estimate | None],
    description: str,
) -> str:
    """pass@k over k with 95 % intervals; k stands at even distances. None: not drawn."""
    with new_figure(2.9) as (figure, axes):
        series = {"before": before, "after": after}
        drawn = {name: row for name, row in series.items() if any(row)}
        for name, row in drawn.items():
            shift = 0.0 if len(drawn) == 1 else -0.07 if name == "before" else 0.07
            _draw_estimates(axes, name, row, shift)
        axes.set_xticks(range(len(ks)), [str(k) for k in ks])
        axes.set_xlim(-0.5, len(ks) - 0.5)
        axes.set_ylim(bottom=0, top=min(1.02, axes.get_ylim()[1] * 1.06))
        axes.yaxis.set_major_formatter(percent_axis())
        axes.set(xlabel="k (candidates drawn per problem)", ylabel="pass@k")
        finish(axes, grid="y", num_series=len(drawn))
        return to_inline(figure, "passk", description)


def verdict_plot(before: Mapping[str, float], after: Mapping[str, float], description: str) -> str:
    """Shares of each verdict as bars; a set that is empty is not drawn."""
    names = list(dict.fromkeys([*before, *after]))
    drawn = {name: row for name, row in (("before", before), ("after", after)) if row}
    height = 0.8 / max(len(drawn), 1)
    with new_figure(0.75 + len(names) * (0.42 if len(drawn) == 2 else 0.3)) as (figure, axes):
        for position, (label, shares) in enumerate(drawn.items()):
            offset = (position - (len(drawn) - 1) / 2) * height
            values = [shares.get(name, 0.0) for name in names]
            places = [index + offset for index in range(len(names))]
            bars = axes.barh(places, values, height * 0.9, color=NAMES[label], label=label)
            axes.bar_label(
                bars, [f"{value * 100:.1f}" for value in values], padding=3, fontsize=8.5
            )
        axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_formatter(percent_axis())
        axes.set_xlabel("share of candidates")
        finish(axes, grid="x", num_series=len(drawn))
        return to_inline(figure, "verdicts", description)


def histogram_plot(
    name: str,
    edges: Sequence[float],
    series: Mapping[str, Sequence[int]],
    labels: tuple[str, str],
    description: str,
) -> str:
    """Shares of up to two series of counts per bin; an empty one is not drawn. `labels`: x, y."""
    colors = dict(zip(series, NAMES.values(), strict=False))
    drawn = {label: counts for label, counts in series.items() if sum(counts)}
    with new_figure(2.5) as (figure, axes):
        for label, counts in drawn.items():
            shares = [count / sum(counts) for count in counts]
            axes.stairs(shares, edges, fill=True, color=colors[label], alpha=0.16)
            axes.stairs(shares, edges, color=colors[label], linewidth=1.5, label=label)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(percent_axis())
        axes.set(xlabel=labels[0], ylabel=labels[1])
        finish(axes, grid="y", num_series=len(drawn))
        return to_inline(figure, name, description)


def lengths_plot(lengths: Histogram, first: str, second: str) -> str:
    """`first` and `second` name the histogram's two sets."""
    return histogram_plot(
        "lengths",
        lengths.edges,
        {first: lengths.before, second: lengths.after},
        ("completion length (tokens)", "share of completions"),
        "Histogram of completion lengths in tokens.",
    )


def similarity_plot(sets: Mapping[str, SetAnalysis]) -> str:
    """How alike two candidates of one problem are, of up to two sets."""
    return histogram_plot(
        "similarity",
        [position / NUM_SIMILARITY_BINS for position in range(NUM_SIMILARITY_BINS + 1)],
        {name: analysis.similarity_bins for name, analysis in sets.items()},
        ("similarity of two candidates", "share of pairs"),
        "Histogram of the token similarity of two candidates of one problem.",
    )


def curve_plot(
    label: str, steps: Sequence[float], values: Sequence[float], description: str
) -> str:
    """One training curve over optimizer steps. `label` is the metric's logged name."""
    with new_figure(2.2) as (figure, axes):
        marker = "o" if len(steps) <= 40 else None
        axes.plot(steps, values, color=AFTER, linewidth=1.5, marker=marker, markersize=3)
        if label.endswith("accuracies"):
            axes.set_ylim(-0.03, 1.03)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.set(xlabel="optimizer step", ylabel=label)
        finish(axes, grid="y", num_series=1)
        name = "curve-" + re.sub(r"[^a-z0-9]+", "-", label.lower())
        return to_inline(figure, name, description)


def _draw_estimates(axes: Axes, name: str, row: Sequence[Estimate | None], shift: float) -> None:
    points = [(index + shift, value) for index, value in enumerate(row) if value]
    means = [value.mean for _, value in points]
    axes.errorbar(
        [x for x, _ in points],
        means,
        yerr=[
            [value.mean - value.low for _, value in points],
            [value.high - value.mean for _, value in points],
        ],
        color=NAMES[name],
        marker="o" if name == "before" else "s",
        markersize=4.5,
        linestyle="none",
        elinewidth=1.2,
        capsize=2.5,
        label=name,
    )
    side = -1 if name == "before" else 1
    for (x, _), mean in zip(points, means, strict=True):
        axes.annotate(
            f"{mean * 100:.1f}",
            (x, mean),
            xytext=(side * 5, 0),
            textcoords="offset points",
            ha="right" if side < 0 else "left",
            va="center",
            fontsize=8.5,
        )
