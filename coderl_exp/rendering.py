"""What every page shares: templates, how numbers read, and model text shown as what it is.

Whatever a model wrote is shown as text: escaped, and with its control characters made visible.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import DiffLexer, PythonLexer

from coderl_exp.statistics import Estimate
from coderl_exp.store import write_atomically

CODE_STYLES = ("xcode", "github-dark")
"""Pygments styles for light and dark pages."""


def write_pages(record: Any, folder: Path, name: str, markdown: str, html: str) -> None:
    """Write `<name>.json` (the record, a dataclass), `.md` and `.html`, in that order.

    Each appears whole or not at all.
    """
    numbers = json.dumps(asdict(record), indent=2, allow_nan=False) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, text in (("json", numbers), ("md", markdown), ("html", html)):
        write_atomically(folder / f"{name}.{suffix}", text)


@cache
def html_environment() -> Environment:
    """Escapes all text."""
    environment = _environment(autoescape=True, finalize=visible)
    environment.globals["code_css"] = {name: Markup(_code_css(name)) for name in CODE_STYLES}
    return environment


@cache
def markdown_environment() -> Environment:
    """Escapes what Markdown or HTML would take for markup."""
    return _environment(finalize=_markdown_text)


def _environment(**options: Any) -> Environment:
    environment = Environment(
        loader=PackageLoader("coderl_exp"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **options,
    )
    environment.filters |= {
        "percent": percent, "points": points, "p": p_value, "num": number, "fence": _fence,
        "interval": interval, "change": change, "bounds": bounds, "python": highlight_python,
        "diff": highlight_diff, "short": short_number,
    }  # fmt: skip
    return environment


def highlight_python(code: str) -> Markup:
    return Markup(highlight(visible(code), PythonLexer(stripnl=False), HtmlFormatter(nowrap=True)))


def highlight_diff(diff: str) -> Markup:
    return Markup(highlight(visible(diff), DiffLexer(stripnl=False), HtmlFormatter(nowrap=True)))


def _code_css(style: str) -> str:
    return "\n".join(HtmlFormatter(style=style).get_token_style_defs(".code"))


_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
"""Control characters, characters that reorder or hide text, and lone surrogates."""


def visible(value: Any) -> Any:
    """Text with its invisible characters as `\\u…`: a page shows what is there, in that order."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return _UNSEEN.sub(lambda match: f"\\u{ord(match.group()):04x}", value.replace("\r\n", "\n"))


def _markdown_text(value: Any) -> Any:
    """Text that neither HTML nor a table cell takes for markup."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    line = " ".join(visible(value).split("\n"))
    return re.sub(r"([\\`*\[\]|])", r"\\\1", line.replace("&", "&amp;").replace("<", "&lt;"))


def _fence(text: str) -> Markup:
    """A code block whose fence is longer than any in the text."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Markup(f"{fence}\n{visible(text)}\n{fence}")


def percent(share: float | None) -> str:
    return "–" if share is None else f"{share * 100:.1f} %"


def points(difference: float) -> str:
    """Percentage points with their sign: a true minus sign, and no −0.0."""
    text = f"{difference * 100:+.1f}".replace("-", "−")
    return "0.0" if text in ("−0.0", "+0.0") else text


def interval(estimate: Estimate) -> Markup:
    """A share with its interval; only numbers, so nothing to escape."""
    low, high = f"{estimate.low * 100:.1f}", f"{estimate.high * 100:.1f}"
    return Markup(f"{percent(estimate.mean)} [{low}, {high}]")


def change(estimate: Estimate) -> Markup:
    """A difference in points with its interval."""
    low, high = points(estimate.low), points(estimate.high)
    return Markup(f"{points(estimate.mean)} [{low}, {high}]")


def bounds(estimate: Estimate) -> Markup:
    """A plain number with its interval."""
    low, high = number(estimate.low, 2), number(estimate.high, 2)
    return Markup(f"{number(estimate.mean, 2)} [{low}, {high}]")


def p_value(value: float) -> str:
    """Never zero: a permutation test cannot show that."""
    if value < 0.001:
        return "p < 0.001"
    return f"p = {value:.3f}" if value < 0.1 else f"p = {value:.2f}"


def number(value: float | None, digits: int = 0) -> str:
    """Thousands apart; a dash for what is undefined."""
    return "–" if value is None else f"{value:,.{digits}f}".replace(",", "\u202f").replace("-", "−")


def short_number(value: float | None) -> str:
    """Three significant digits; a dash for what is undefined."""
    return "–" if value is None else f"{value:.3g}".replace("-", "−")
