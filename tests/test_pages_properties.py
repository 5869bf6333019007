"""Whatever was sampled and judged: the pages are made, hold no NaN, and show what the JSON says."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from coderl_exp.analysis import analyze
from coderl_exp.analyze import FileAnalysis, analyze_file
from coderl_exp.analyze import render_html as render_analysis
from coderl_exp.compare import Comparison, compare_runs
from coderl_exp.compare.pages import render_html as render_comparison
from coderl_exp.compare.pages import render_markdown as render_comparison_markdown
from coderl_exp.compare.pages import terminal_table
from coderl_exp.errors import CoderlError
from coderl_exp.records import JudgedCandidate, Verdict, VerdictStatus, to_json, write_jsonl
from coderl_exp.report import RunReport, RunSummary, render_html, render_markdown, summarize
from coderl_exp.report_data import LedgerRow
from coderl_exp.wandb_runs import REPORTS
from tests.conftest import make_judged
from tests.runs import make_report
from tests.test_data_health import health
from tests.test_report import AUDIT

PROGRAMS = (
    "def f(x):\n    return x + 1\n", "def f(x):\n    y = x\n    return y\n", "def f(:", "\x00", "",
    "x = '\ud800'", "if 1:\n\tpass\n        y", "</script><b>", "`" * 5, "|", "$a$ ^", "\u202e x",
)  # fmt: skip
TEXTS = st.text(st.characters(exclude_categories=["Nd", "Ll", "Lu"]), max_size=8)
STATUSES = st.sampled_from(list(VerdictStatus))
# Floats that a trainer logs, NaN and infinities included.
VALUES = st.floats(width=32) | st.floats(-2, 2)


@st.composite
def candidates(draw: Any, task_id: str, index: int) -> JudgedCandidate:
    status = draw(STATUSES)
    tests = tuple(draw(st.lists(st.none() | STATUSES, max_size=4)))
    code = draw(st.sampled_from((None, *PROGRAMS)))
    row = make_judged(
        code, status, index, task_id,
        completion=f"some words\n{code or ''}",
        num_completion_tokens=draw(st.integers(0, 3000)),
        finish_reason=draw(st.sampled_from(["eos", "stop", "length"])),
    )  # fmt: skip
    error = draw(TEXTS)
    return replace(row, verdict=Verdict(status=status, tests=tests, error=error))


@st.composite
def sets(draw: Any, num_problems: int, num_candidates: int) -> list[JudgedCandidate]:
    return [
        draw(candidates(f"mini/{i}", j)) for i in range(num_problems) for j in range(num_candidates)
    ]


@st.composite
def reports(draw: Any) -> RunReport:
    problems = draw(st.integers(0, 4))
    each = draw(st.integers(1, 3))
    before, after, train = (
        draw(st.just([]) | sets(problems, each)) for _ in ("before", "after", "train")
    )
    whole = make_report([], [])
    analyses = {"before": before, "after": after, "train": train}
    curves = draw(
        st.lists(st.dictionaries(st.sampled_from(["loss", "kl", "reward"]), VALUES), max_size=4)
    )
    return replace(
        whole,
        ks=tuple(draw(st.sets(st.integers(1, 4), min_size=1))),
        before=before,
        after=after,
        train=train,
        analyses={name: analyze(rows) for name, rows in analyses.items() if draw(st.booleans())},
        curves=[{"step": float(i), **row} for i, row in enumerate(curves)],
        merge=draw(st.none() | st.fixed_dictionaries({"max_logit_difference": VALUES})),
        ledger=draw(st.just([]) | st.just([_COST])),
        data=draw(st.none() | st.just(health(["solvable", "flaky", "quarantined"]))),
        pairs=draw(st.none() | st.just(AUDIT)),
    )


_COST = LedgerRow(
    stage="train", wall_s=0.0, cpu_s=0.0, num_prompt_tokens=0, num_generated_tokens=0,
    num_trained_tokens=0, sandbox_cpu_s=0.0, was_reused=False,
)  # fmt: skip


class _Text(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, _: str, attrs: list[tuple[str, str | None]]) -> None:
        self.words += [value or "" for name, value in attrs if name in ("aria-label", "style")]

    def handle_data(self, data: str) -> None:
        if self.lasttag != "style":
            self.words.append(data)


def text_of(page: str) -> str:
    return " ".join(_Text(page).words).replace("\u00a0", " ")


_NOT_NUMBERS = re.compile(r".{0,40}\b([Nn]a[Nn]|[Ii]nf|Infinity|None)\b.{0,9}")


def assert_no_nan(*texts: str) -> None:
    for text in texts:
        found = _NOT_NUMBERS.search(text_of(text))
        assert not found, found


def few(max_examples: int) -> Callable[[Any], Any]:
    return settings(
        max_examples=max_examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.reuse, Phase.generate),  # shrinking would take minutes
    )


def check_report(report: RunReport) -> None:
    summary = summarize(report)
    text = json.dumps(asdict(summary), allow_nan=False)
    read_back = TypeAdapter(RunSummary).validate_json(text)
    page, short = render_html(summary), render_markdown(summary)
    assert render_html(read_back) == page
    assert render_markdown(read_back) == short
    assert_no_nan(page, short)
    shown = text_of(page)
    for estimates in (summary.before, summary.after):
        for estimate in estimates.values():
            assert f"{estimate.mean * 100:.1f} %" in shown
            assert f"[{estimate.low * 100:.1f}, {estimate.high * 100:.1f}]" in shown
    assert summary.answer in shown


def can_be_written(row: JudgedCandidate) -> bool:
    """Completions and the judge's messages hold no lone surrogates."""
    try:
        return bool(to_json(row).encode())
    except UnicodeEncodeError:
        return False


def check_analysis(rows: list[JudgedCandidate]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        sound = [row for row in rows if can_be_written(row)]
        write_jsonl(path, sound)
        if not sound:
            return
        found = analyze_file(path)
    text = json.dumps(asdict(found), allow_nan=False)
    page = render_analysis(found)
    assert render_analysis(TypeAdapter(FileAnalysis).validate_json(text)) == page
    assert_no_nan(page)


def check_comparison(runs: list[RunReport]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number, report in enumerate(runs):
            place = Path(folder) / str(number) / REPORTS
            place.mkdir(parents=True)
            text = json.dumps(asdict(summarize(report)))
            (place / f"{number}_summary.json").write_text(text)
        try:
            comparison = compare_runs([Path(folder)])
        except CoderlError as error:
            refusal = str(error)
        else:
            refusal = ""
    if refusal:
        assert "\n" not in refusal
        return
    text = json.dumps(asdict(comparison), allow_nan=False)
    page, short = render_comparison(comparison), render_comparison_markdown(comparison)
    read_back = TypeAdapter(Comparison).validate_json(text)
    assert render_comparison(read_back) == page
    assert_no_nan(page, short)
    assert terminal_table(comparison).row_count == len(comparison.rows)


@few(8)
@given(reports())
def test_a_report_of_any_candidates_is_whole(report: RunReport) -> None:
    check_report(report)


@few(6)
@given(sets(3, 3))
def test_an_analysis_of_any_candidates_is_whole(rows: list[JudgedCandidate]) -> None:
    check_analysis(rows)


def judged_for_sure(rows: list[JudgedCandidate]) -> list[JudgedCandidate]:
    late = VerdictStatus.timeout
    return [
        replace(row, verdict=replace(row.verdict, status=late))
        if row.verdict.status is VerdictStatus.sandbox_error
        else row
        for row in rows
    ]


@st.composite
def several_runs(draw: Any) -> list[RunReport]:
    whole = make_report([], [])
    sizes = [2, 2, 2] if draw(st.integers(0, 5)) else [1, 2, 3]
    return [
        replace(
            whole,
            seed=number,
            method=draw(st.sampled_from(["dpo", "grpo"])),
            ks=(1,),
            before=draw(st.just([]) | sets(sizes[number], 2).map(judged_for_sure)),
            after=draw(sets(sizes[number], 2).map(judged_for_sure)),
            config_yaml=f"seed: {number}\nlr: {draw(st.integers(0, 2))}\n",
        )
        for number in range(draw(st.integers(1, 3)))
    ]


@few(8)
@given(several_runs())
def test_a_comparison_of_any_runs_is_whole_or_refused_in_one_line(runs: list[RunReport]) -> None:
    check_comparison(runs)


@pytest.mark.exhaustive
@few(60)
@given(reports(), sets(4, 4), several_runs())
def test_pages_of_many_more_candidates_are_whole(
    report: RunReport, rows: list[JudgedCandidate], runs: list[RunReport]
) -> None:
    check_report(report)
    check_analysis(rows)
    check_comparison(runs)
