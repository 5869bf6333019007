"""`python -m coderl_exp.compare DIR…`: the table here, the pages in a folder.

Bad input is one line on stderr and exit code 2.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dotenv import load_dotenv

from coderl_exp.command import OneLineParser, run_command
from coderl_exp.compare import compare_runs
from coderl_exp.compare.budgets import MEASURES
from coderl_exp.compare.pages import MAX_TABLE_ROWS, NAME, terminal_table
from coderl_exp.config import PROJECT_ROOT
from coderl_exp.errors import ConfigError
from coderl_exp.progress import console
from coderl_exp.wandb_runs import download_summaries, parse_place


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    load_dotenv(PROJECT_ROOT / ".env")
    return run_command(lambda: _compare(_parser().parse_args(arguments)))


def _compare(options: argparse.Namespace) -> None:
    folders = list(options.folders)
    if options.wandb:
        folders += download_summaries(parse_place(options.wandb), options.out / "runs")
    if not folders:
        raise ConfigError("give the folders of runs, or --wandb ENTITY/PROJECT/GROUP.")
    comparison = compare_runs(
        folders,
        baseline=options.baseline,
        metric=options.metric,
        by=[key for key in options.by.split(",") if key],
        cost=options.cost,
        out=options.out,
    )
    console.print(terminal_table(comparison))
    if (hidden := len(comparison.rows) - MAX_TABLE_ROWS) > 0:
        console.print(f"and {hidden} more in the page")
    console.print()
    console.print(comparison.answer, markup=False)
    for warning in comparison.warnings:
        console.print(f"note: {warning}", markup=False, style="dim")
    page = options.out / f"{NAME}.html"
    console.print(f"page     {page}", markup=False, soft_wrap=True)


def _parser() -> OneLineParser:
    parser = OneLineParser(
        prog="python -m coderl_exp.compare",
        description="Compare finished runs on the same test problems.",
    )
    parser.add_argument(
        "folders", nargs="*", type=Path, metavar="DIR",
        help="a run's folder, or one that holds runs, such as a sweep's",
    )  # fmt: skip
    parser.add_argument(
        "--wandb", metavar="ENTITY/PROJECT[/GROUP]",
        help="finished runs in W&B, too; their summaries are kept in DIR/runs",
    )  # fmt: skip
    parser.add_argument(
        "--baseline", metavar="RUN",
        help="the run that others are compared with, by name or folder; "
        "without it, each run's own base model",
    )  # fmt: skip
    parser.add_argument(
        "--metric", metavar="NAME", help="pass@k or delta/pass@k; pass@1 without it"
    )
    parser.add_argument(
        "--by", default="", metavar="KEY[,KEY]",
        help="options for the heat map, such as learning_rate,beta; "
        "without it, those with the most values",
    )  # fmt: skip
    parser.add_argument(
        "--cost", default="wall_s", choices=list(MEASURES), help="what an equal cost is counted in"
    )
    parser.add_argument(
        "--out", type=Path, default=Path(NAME), metavar="DIR",
        help=f"where {NAME}.html, .md and .json go (default: %(default)s)",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
