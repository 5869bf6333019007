"""What the learning benchmark found, as text that fits 100 columns, and as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from coderl_exp.statistics import Estimate
from tests.learning import Learning

DPO_NAME, GRPO_NAME = "DPO", "GRPO"
CONTROL_OF = {DPO_NAME: "DPO, wrong verdicts", GRPO_NAME: "GRPO, constant reward"}

# Blue, vermilion and grey of Okabe and Ito's palette: apart for every kind of colour blindness.
# Controls are dashed too.
_COLORS = {DPO_NAME: "#D55E00", GRPO_NAME: "#0072B2"} | dict.fromkeys(
    CONTROL_OF.values(), "#6B6B6B"
)
_NO_PREFERENCE = 0.6931
"""DPO's loss before its first step, ln 2."""
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "learning",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
}
_HEADER = (
    f"{'run':<22}{'seed':>5}{'before':>9}{'after':>9}{'difference (95 % interval)':>30}"
    f"{'wall s':>8}{'CPU s':>7}{'tokens':>9}"
)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of the command line."""

    name: str
    seed: int
    learnt: Learning


def table(runs: Sequence[Run]) -> str:
    """A row per run."""
    lines = [
        "pass@1 on held-out problems before and after training",
        "(difference: paired by problem, in points · wall s and CPU s: of all stages of the run,",
        "stored ones too · tokens: that the trainer saw, prompts and completions)",
        "",
        _HEADER,
    ]
    return "\n".join([*lines, *map(_line, runs)])


def _line(run: Run) -> str:
    learnt, cost = run.learnt, run.learnt.cost
    mean, low, high = (
        f"{100 * value:+.1f}"
        for value in (learnt.difference.mean, learnt.difference.low, learnt.difference.high)
    )
    before, after = (f"{100 * value.mean:.1f} %" for value in (learnt.before, learnt.after))
    difference = f"{mean} ({low} to {high})"
    return (
        f"{run.name:<22}{run.seed:>5}{before:>9}{after:>9}"
        f"{difference:>30}{cost['wall_s']:>8.0f}{cost['cpu_s']:>7.0f}"
        f"{cost['num_trained_tokens']:>9,}"
    )


def save_figure(runs: Sequence[Run], path: Path) -> None:
    """`path` with .png and .svg: both trainings' curves, and what they did to pass@1."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(10.5, 7.2), layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        (rollouts, margins), (results, losses) = figure.subplots(2, 2)
        seeds = ", ".join(map(str, dict.fromkeys(run.seed for run in runs)))
        figure.suptitle(f"A policy of a million parameters · seeds: {seeds}", x=0.01, ha="left")
        _draw_rollouts(rollouts, runs)
        _draw_margins(margins, runs)
        _draw_losses(losses, runs)
        _draw_results(results, runs)
        figure.savefig(path.with_suffix(".png"), dpi=150)
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})


def _draw_rollouts(axes: Axes, runs: Sequence[Run]) -> None:
    _draw_curves(axes, runs, GRPO_NAME, "verdict/passed")
    axes.set(title="GRPO: reward", ylabel="rollouts that pass (binary reward)", ylim=(0, 1.04))
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes.legend(loc="center right", bbox_to_anchor=(1, 0.6))


def _draw_margins(axes: Axes, runs: Sequence[Run]) -> None:
    _draw_curves(axes, runs, DPO_NAME, "rewards/margins")
    axes.set(title="DPO: reward margin", ylabel="chosen − rejected (β × nats)")
    axes.legend(loc="upper left")


def _draw_losses(axes: Axes, runs: Sequence[Run]) -> None:
    _draw_curves(axes, runs, DPO_NAME, "loss")
    axes.axhline(_NO_PREFERENCE, color="black", linewidth=0.8, linestyle=":")
    axes.annotate("no preference (ln 2)", (1, _NO_PREFERENCE), (0, 4), textcoords="offset points")
    axes.set(title="DPO: loss", ylabel="loss per pair (nats)", ylim=(None, 0.72))
    axes.legend(loc="lower left")


def _draw_curves(axes: Axes, runs: Sequence[Run], method: str, metric: str) -> None:
    """The method and its control, one line per seed."""
    named: set[str] = set()
    for run in runs:
        if run.name not in (method, CONTROL_OF[method]):
            continue
        points = [(row["step"], row[metric]) for row in run.learnt.curves if metric in row]
        axes.plot(
            [step for step, _ in points],
            [value for _, value in points],
            color=_COLORS[run.name],
            linestyle="-" if run.name == method else "--",
            linewidth=1.6,
            label=None if run.name in named else run.name,
        )
        named.add(run.name)
    axes.set_xlabel("optimizer step")


def _draw_results(axes: Axes, runs: Sequence[Run]) -> None:
    """Before and after of every run; the runs of several seeds stand side by side."""
    names = list(dict.fromkeys(run.name for run in runs))
    seeds = list(dict.fromkeys(run.seed for run in runs))
    for run in runs:
        middle = names.index(run.name) + 0.7 * ((seeds.index(run.seed) + 0.5) / len(seeds) - 0.5)
        color, before, after = _COLORS[run.name], run.learnt.before, run.learnt.after
        axes.plot([middle - 0.04, middle + 0.04], [before.mean, after.mean], ":", color=color)
        _draw_estimate(axes, middle - 0.04, before, color, is_after=False)
        _draw_estimate(axes, middle + 0.04, after, color, is_after=True)
    axes.errorbar([], [], marker="o", mfc="white", color="black", linestyle="none", label="before")
    axes.errorbar([], [], marker="s", color="black", linestyle="none", label="after")
    axes.set_xticks(range(len(names)), [name.replace(", ", ",\n") for name in names])
    axes.set(title="pass@1 on held-out problems", ylabel="pass@1, 95 % interval", ylim=(0, 1.04))
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes.grid(visible=False, axis="x")
    axes.legend(loc="lower left", ncols=2)


def _draw_estimate(axes: Axes, x: float, value: Estimate, color: str, *, is_after: bool) -> None:
    axes.errorbar(
        [x],
        [value.mean],
        yerr=[[value.mean - value.low], [value.high - value.mean]],
        color=color,
        marker="s" if is_after else "o",
        markerfacecolor=color if is_after else "white",
        markersize=6,
        capsize=3,
        linewidth=1.4,
    )
