"""Every page in a real browser: wide and narrow, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from coderl_exp import analyze
from coderl_exp.compare import compare_runs, pages
from coderl_exp.records import write_jsonl
from coderl_exp.report import write_report
from tests.browser import Browser, Screen, find_browser
from tests.runs import make_candidates, make_report, write_run
from tests.test_data_health import health
from tests.test_report import AUDIT

PROGRAM = find_browser()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed"),
]
SCREENS = [
    Screen(width=width, scheme=scheme) for width in (1280, 390) for scheme in ("light", "dark")
]
STATUSES = [*["solvable"] * 30, "flaky", *["quarantined"] * 9]
LONG = "a_rather_long_name_that_does_not_break" * 6

LOW_CONTRAST = """
(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = color => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3]));
  const background = element => {
    const chain = [];
    for (let e = element; e; e = e.parentElement)
      chain.push(rgba(getComputedStyle(e).backgroundColor));
    return chain.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const luminance = color => {
    const [r, g, b] = color.map(c => c / 255).map(
      c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const below = background(element);
    const ink = element.closest('svg') ? rgba(style.fill) : rgba(style.color);
    const [low, high] = [luminance(over(ink, below)), luminance(below)].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) found.push(`${ratio.toFixed(2)} ${element.outerHTML.slice(0, 90)}`);
  }
  return found;
})()
"""
"""Texts whose contrast is below WCAG's 4.5 : 1."""

UNREACHABLE = """
[...document.querySelectorAll('*')].filter(
  e => e.scrollWidth > e.clientWidth + 1 && e.tabIndex < 0
    && ['auto', 'scroll'].includes(getComputedStyle(e).overflowX)
).map(e => e.outerHTML.slice(0, 90))
"""
"""Scrolled regions that the keyboard does not reach."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A report, a comparison and an analysis with all that they can show, and empty ones."""
    folder = tmp_path_factory.mktemp("pages")
    rates = np.random.default_rng(1).beta(0.5, 0.8, 40)
    full = make_report(
        rates.tolist(), np.clip(rates + 0.1, 0, 1).tolist(), with_analysis=True,
        options=[f"method.note={LONG}"], pairs=AUDIT, num_pairs={"pass_over_fail": 12},
        data=health(STATUSES),
        dropped={"candidate: duplicate by AST": 3}, merge={"max_logit_difference": 1e-5},
        warnings=[f"Something about {LONG}."], keys={"model": LONG, "train": "0123456789abcdef"},
    )  # fmt: skip
    write_report(full, folder / "full")
    write_report(make_report([], []), folder / "empty")
    for number in range(12):
        write_run(
            folder / "sweep" / str(number), rates.tolist(),
            np.clip(rates + 0.02 * (number % 6), 0, 1).tolist(), seed=number,
            method="dpo" if number % 2 else "grpo", train_s=50.0 + number,
            options=[f"method.lr={number % 6}e-6", f"method.note={LONG[:90]}{number % 3}"],
        )  # fmt: skip
    comparison = pages.write(compare_runs([folder / "sweep"]), folder / "comparison")
    one = pages.write(compare_runs([folder / "sweep" / "0"]), folder / "one")
    write_jsonl(folder / "rows.jsonl", make_candidates(rates.tolist(), 6, 3))
    analysis = analyze.write(analyze.analyze_file(folder / "rows.jsonl"), folder / "analysis")
    return {
        "report": folder / "full" / "mini_dpo_summary.html",
        "empty report": folder / "empty" / "mini_dpo_summary.html",
        "comparison": comparison,
        "comparison of one": one,
        "analysis": analysis,
    }


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert PROGRAM is not None
    with Browser(PROGRAM, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.mark.parametrize("screen", SCREENS, ids=lambda s: f"{s.width}-{s.scheme}")
@pytest.mark.parametrize(
    "name", ["report", "empty report", "comparison", "comparison of one", "analysis"]
)
def test_a_page_fits_its_screen_and_can_be_read_by_everyone(
    name: str, screen: Screen, made: dict[str, Path], browser: Browser, tmp_path: Path
) -> None:
    browser.open(made[name], screen)
    browser.screenshot(tmp_path / "page.png")
    root = "document.documentElement"
    assert browser.run(f"{root}.scrollWidth") <= screen.width
    assert browser.errors() == []
    assert browser.run(LOW_CONTRAST) == []
    assert browser.run(UNREACHABLE) == []
    assert browser.run("[...document.querySelectorAll('svg[role=img]')].every(s => s.ariaLabel)")


def test_the_checks_see_what_they_are_for(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text(
        "<body style='background:#fff'><p style='color:#aaa'>pale</p>"
        "<div style='width:2000px'>wide</div><div style='overflow-x:auto;width:50px'>"
        "<p style='width:900px'>far</p></div><script>console.error('oh')</script>"
    )
    browser.open(page, SCREENS[0])
    assert browser.run("document.documentElement.scrollWidth") > SCREENS[0].width
    assert len(browser.run(LOW_CONTRAST)) == 1
    assert len(browser.run(UNREACHABLE)) == 1
    assert len(browser.errors()) == 1
