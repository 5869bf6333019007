"""SVG text for a page: transparent, readable on light and dark, the same in every run.

Text and axes take the page's text colour (`currentColor`), two series the page's `--before` and
`--after`; more series take `SERIES`. Text stays text, in the page's font.

Not covered: files; a figure that stands alone needs a page around it.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

WIDTH_IN = 4.8
"""Narrow enough that the text stays readable where a phone shrinks the figure to its screen."""

# Stand-ins that matplotlib draws with and `to_inline` replaces. Blue and orange stay apart for
# every kind of colour blindness, and differ in lightness.
INK, BEFORE, AFTER = "#010203", "#b45309", "#1d4ed8"
_REPLACED = {
    INK: "currentColor",
    BEFORE: f"var(--before, {BEFORE})",
    AFTER: f"var(--after, {AFTER})",
}
SERIES = ("#3b82c4", "#d07a22", "#2f9e6e", "#c2517a", "#8a6fd1", "#8c7a2b", "#2a9aa8", "#b0503c")
"""For many series: at least 3:1 against light and dark pages; line styles tell them apart too."""
QUIET = "#85888f"
"""For the series that are not named."""
NAMES = {"before": BEFORE, "after": AFTER}
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "coderl_exp",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.size": 9.5,
    "axes.labelsize": 9.5,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "grid.color": INK,
    "grid.alpha": 0.13,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
}


@contextmanager
def new_figure(height_in: float) -> Iterator[tuple[Figure, Axes]]:
    """A figure of its own: no state is shared with another figure or with pyplot."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure, figure.add_subplot()


def percent_axis() -> FuncFormatter:
    """With the decimals that a tick needs: 2.5 % must not read as 2 %."""
    return FuncFormatter(lambda value, _: f"{value * 100:.6g} %")


def points_axis() -> FuncFormatter:
    """Differences in percentage points, with their sign."""
    return FuncFormatter(lambda value, _: f"{value * 100:+.6g}".replace("-", "−") if value else "0")


def finish(axes: Axes, *, grid: Literal["x", "y"], num_series: int) -> None:
    axes.grid(visible=True, axis=grid)
    if num_series > 1:
        axes.legend(
            loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=num_series, handlelength=1.4,
            borderaxespad=0.2, columnspacing=1.4,
        )  # fmt: skip


def to_inline(figure: Figure, name: str, description: str) -> str:
    """An <svg> element for a page: labelled, page colours, and ids that no other figure has."""
    buffer = io.StringIO()
    # Not `savefig`, which draws twice: a sweep's reports have hundreds of figures.
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg ") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    for color, replacement in _REPLACED.items():
        text = text.replace(color, replacement)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"font-family: [^;\"]*; ", "", text)
    text = _own_ids(text, name)
    view_box = re.search(r'viewBox="([^"]*)"', text)
    label = html.escape(description, quote=True)
    opening = (
        f'<svg viewBox="{view_box.group(1) if view_box else ""}" role="img" aria-label="{label}"'
    )
    namespaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return re.sub(r"<svg [^>]*>", f"{opening} {namespaces}>", text, count=1).strip()


def _own_ids(text: str, name: str) -> str:
    """Drop ids that nothing refers to and prefix the others: many figures share one page."""
    used = set(re.findall(r"#([\w-]+)", " ".join(re.findall(r'(?:href="|url\()#[\w-]+', text))))

    def rename(match: re.Match[str]) -> str:
        return f' id="{name}-{match.group(1)}"' if match.group(1) in used else ""

    text = re.sub(r' id="([^"]*)"', rename, text)
    return re.sub(r'(href="|url\()#', rf"\1#{name}-", text)
