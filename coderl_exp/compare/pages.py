"""A comparison as a table for the terminal, and as JSON, Markdown and one HTML page."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup
from rich.markup import escape
from rich.table import Table

from coderl_exp.compare.budgets import MEASURES
from coderl_exp.compare.data import Comparison, Row
from coderl_exp.compare.figures import comparison_figures, curve_overlays
from coderl_exp.rendering import (
    change,
    html_environment,
    interval,
    markdown_environment,
    p_value,
    percent,
    write_pages,
)
from coderl_exp.svg import SERIES

NAME = "comparison"
MAX_TABLE_ROWS = 40
"""In the terminal; the pages have all."""


def write(comparison: Comparison, folder: Path) -> Path:
    """Write `comparison.json`, `.md` and `.html`; returns the page."""
    write_pages(comparison, folder, NAME, render_markdown(comparison), render_html(comparison))
    return folder / f"{NAME}.html"


def render_html(comparison: Comparison) -> str:
    """One page that needs nothing beside it."""
    costs = _costs(comparison)
    figures = comparison_figures(comparison, costs)
    overlays = curve_overlays(comparison)
    return (
        html_environment()
        .get_template("compare.html.j2")
        .render(
            c=comparison,
            is_change=comparison.metric.startswith("delta"),
            costs=costs,
            series=SERIES,
            figures={name: Markup(svg) for name, svg in figures.items()},
            curves={name: Markup(svg) for name, svg in overlays.items()},
        )
    )


def render_markdown(comparison: Comparison) -> str:
    """The comparison in short form."""
    return (
        markdown_environment()
        .get_template("compare.md.j2")
        .render(
            c=comparison,
            is_change=comparison.metric.startswith("delta"),
            costs=_costs(comparison),
        )
    )


def _costs(comparison: Comparison) -> list[float]:
    """Of the rows, in the comparison's measure."""
    field = next(name for name, reads in MEASURES.items() if reads == comparison.cost_measure)
    return [float(getattr(row.cost, field)) for row in comparison.rows]


def terminal_table(comparison: Comparison) -> Table:
    """Fits 100 columns."""
    table = Table(box=None, pad_edge=False, width=100)
    table.add_column("configuration", overflow="fold", ratio=1)
    for title in ("seeds", comparison.metric, "difference, points", "p", "best in"):
        table.add_column(title, justify="right", no_wrap=True)
    is_change = comparison.metric.startswith("delta")
    for row in comparison.rows[:MAX_TABLE_ROWS]:
        table.add_row(*_cells(row, is_change))
    return table


def _cells(row: Row, is_change: bool) -> tuple[str, ...]:
    compared = row.comparison
    return (
        escape(row.name),
        str(len(row.seeds)),
        escape(change(row.value) if is_change else interval(row.value)),
        escape(change(compared.difference)) if compared else "–",
        p_value(compared.p_value).removeprefix("p ").removeprefix("= ") if compared else "–",
        percent(row.share_best),
    )
