"""`python -m coderl_exp.analyze FILE`: describe a file of judged candidates, wherever it is from.

FILE has the rows of a run's `candidates_annotated.jsonl`. A `usage.jsonl` beside it, as the store
has, adds the programs' CPU times. Bad input is one line on stderr and exit code 2.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from markupsafe import Markup

from coderl_exp.analysis import SetAnalysis, analyze
from coderl_exp.changes import Histogram, length_histogram
from coderl_exp.command import OneLineParser, run_command
from coderl_exp.errors import DataError, StoreError
from coderl_exp.judging import USAGE
from coderl_exp.metrics import count_results, pass_at_k
from coderl_exp.plots import lengths_plot, similarity_plot, verdict_plot
from coderl_exp.progress import console
from coderl_exp.records import JudgedCandidate, Usage, read_jsonl
from coderl_exp.rendering import html_environment, markdown_environment, percent, write_pages
from coderl_exp.statistics import Estimate, mean_interval

NAME = "analysis"


@dataclass(frozen=True, kw_only=True)
class FileAnalysis:
    """Every number of the pages."""

    file: str
    answer: str
    """One sentence."""
    pass_at_1: Estimate | None
    """Over the problems with a judged candidate; None: there is none."""
    analysis: SetAnalysis
    lengths: Histogram | None
    """Of passing (`before`) and failing (`after`) completions."""


def analyze_file(path: Path) -> FileAnalysis:
    """Describe the candidates of a file.

    Raises:
        DataError: it cannot be read, a row is none of a judged candidate, or there is none.
    """
    judged = _read(path)
    rates = [
        pass_at_k(result.num_candidates, result.num_passed, 1)
        for result in count_results(judged)
        if result.num_candidates
    ]
    score = mean_interval(rates) if rates else None
    analysis = analyze(judged)
    return FileAnalysis(
        file=path.name,
        answer=_answer(analysis, score),
        pass_at_1=score,
        analysis=analysis,
        lengths=length_histogram(
            [row for row in judged if row.verdict.passed],
            [row for row in judged if not row.verdict.passed],
        ),
    )


def write(found: FileAnalysis, folder: Path) -> Path:
    """Write `analysis.json`, `.md` and `.html`; returns the page."""
    markdown = markdown_environment().get_template("analysis.md.j2").render(f=found)
    write_pages(found, folder, NAME, markdown, render_html(found))
    return folder / f"{NAME}.html"


def render_html(found: FileAnalysis) -> str:
    """One page that needs nothing beside it."""
    figures = {
        "verdicts": verdict_plot(
            {}, found.analysis.verdict_shares, "Share of candidates per verdict."
        )
    }
    if found.lengths:
        figures["lengths"] = lengths_plot(found.lengths, "passing", "failing")
    if found.analysis.similarity:
        figures["similarity"] = similarity_plot({"": found.analysis})
    return (
        html_environment()
        .get_template("analysis.html.j2")
        .render(f=found, figures={name: Markup(svg) for name, svg in figures.items()})
    )


def _read(path: Path) -> list[JudgedCandidate]:
    if not path.is_file():
        raise DataError(f"{path} is no file: give a candidates_annotated.jsonl.")
    try:
        judged = list(read_jsonl(path, JudgedCandidate))
        usage_file = path.resolve().with_name(USAGE)
        usages = list(read_jsonl(usage_file, Usage)) if usage_file.is_file() else []
    except (StoreError, UnicodeDecodeError) as error:
        raise DataError(str(error)) from None
    if not judged:
        raise DataError(f"{path} is empty: give a file with judged candidates.")
    measured = {(usage.task_id, usage.index): usage for usage in usages}
    return [
        replace(
            row,
            verdict=replace(
                row.verdict, usage=measured.get((row.candidate.task_id, row.candidate.index))
            ),
        )
        for row in judged
    ]


def _answer(analysis: SetAnalysis, score: Estimate | None) -> str:
    count = f"{analysis.num_candidates} candidates of {analysis.num_problems} problems"
    if score is None:
        return f"{count}, none of which could be judged."
    interval = f"95 % interval {percent(score.low)} to {percent(score.high)}"
    distinct = (
        "" if analysis.distinct_share is None
        else f"; {percent(analysis.distinct_share)} of their programs are distinct"
    )  # fmt: skip
    return f"{count}: pass@1 is {percent(score.mean)} ({interval}){distinct}."


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = OneLineParser(
        prog="python -m coderl_exp.analyze", description="Describe a file of judged candidates."
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a candidates_annotated.jsonl")
    parser.add_argument(
        "--out", type=Path, default=Path(NAME), metavar="DIR",
        help=f"where {NAME}.html, .md and .json go (default: %(default)s)",
    )  # fmt: skip
    return run_command(lambda: _analyze(parser.parse_args(arguments)))


def _analyze(options: argparse.Namespace) -> None:
    found = analyze_file(options.file)
    page = write(found, options.out)
    console.print(found.answer, markup=False)
    console.print(f"page     {page}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
