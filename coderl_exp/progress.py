"""Progress of long work: a bar with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
)
from rich.text import Text

PLAIN_INTERVAL_S = 15.0

console = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 100)


class Bar(Protocol):
    """One running piece of work."""

    def advance(self, steps: float, note: str = "") -> None:
        """`steps` more are done; `note` (a rate, a loss) is shown beside them."""


def pace(done: float, resumed: float, total: float, elapsed_s: float) -> str:
    """Rate and time left since this run began: "1.9/s, 40 s left".

    An average over the whole run: completions end in bursts, and the last few say nothing about
    the rest, nor do the first, before which the prompts are read.
    """
    rate = (done - resumed) / max(elapsed_s, 1e-9)
    is_early = done - resumed < 0.05 * total
    left_s = max(0.0, total - done) / rate if rate else 0.0
    return f"{rate:.1f}/s" + ("" if is_early else f", {left_s:.0f} s left")


Observer = Callable[[str, float], None]
"""Is told the work's description and the share of it (0 to 1) that is done."""

_observers: list[Observer] = []


@contextmanager
def observed(observer: Observer) -> Iterator[None]:
    """Tell the observer of every bar's progress meanwhile."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


class _ObservedBar:
    def __init__(self, bar: Bar, description: str, total: float, done: float) -> None:
        self._bar, self._description = bar, description
        self._total, self._done = total, done
        self._tell()

    def advance(self, steps: float, note: str = "") -> None:
        self._bar.advance(steps, note)
        self._done += steps
        self._tell()

    def _tell(self) -> None:
        for observer in _observers:
            observer(self._description, self._done / max(self._total, 1e-9))


class _RichBar:
    def __init__(self, progress: Progress, description: str, total: float, done: float) -> None:
        self._progress = progress
        self._task = progress.add_task(
            description, total=total, completed=int(done), resumed=done, note=""
        )

    def advance(self, steps: float, note: str = "") -> None:
        self._progress.advance(self._task, steps)
        if note:
            self._progress.update(self._task, note=note)


class _PlainBar:
    def __init__(self, description: str, total: float, unit: str, done: float) -> None:
        self._description, self._total, self._unit = description, total, unit
        self._done = self._resumed = done
        self._started = self._printed = time.monotonic()

    def advance(self, steps: float, note: str = "") -> None:
        self._done += steps
        now = time.monotonic()
        if now - self._printed >= PLAIN_INTERVAL_S or self._done >= self._total:
            self._printed = now
            self._print(now, note)

    def _print(self, now: float, note: str) -> None:
        how_fast = pace(self._done, self._resumed, self._total, now - self._started)
        console.print(
            f"{self._description}: {self._done:.0f}/{self._total:.0f} {self._unit}, "
            f"{how_fast}{', ' + note if note else ''}",
            soft_wrap=True,
        )


class _PaceColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        total, elapsed_s = task.total or 0.0, task.elapsed or 0.0
        how_fast = pace(task.completed, task.fields["resumed"], total, elapsed_s)
        return Text(how_fast, style="progress.data.speed")


@contextmanager
def progress_bar(description: str, total: float, unit: str, done: float = 0) -> Iterator[Bar]:
    """A bar from `done` to `total` in `unit`s."""
    if not console.is_terminal:
        bar: Bar = _PlainBar(description, total, unit, done)
        yield _ObservedBar(bar, description, total, done)
        return
    columns = (
        TextColumn("[bold]{task.description:<18}"),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:.0f}/{task.total:.0f} " + unit),
        _PaceColumn(),
        TextColumn("[dim]{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as progress:
        bar = _RichBar(progress, description, total, done)
        yield _ObservedBar(bar, description, total, done)
