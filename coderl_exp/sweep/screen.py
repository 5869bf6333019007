"""A sweep in the terminal: one line per job, and a table at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from rich.live import Live
from rich.markup import escape
from rich.table import Table

from coderl_exp.progress import console
from coderl_exp.sweep.jobs import Sweep, SweepJob
from coderl_exp.sweep.status import TRACEBACK, RunState, RunStatus, read_status


class Phase(Enum):
    """Where a job stands, seen from outside."""

    queued = "queued"
    running = "running"
    complete = "complete"
    failed = "failed"

    @property
    def is_final(self) -> bool:
        return self in (Phase.complete, Phase.failed)


@dataclass(frozen=True, kw_only=True)
class JobView:
    """One job as it is shown."""

    job: SweepJob
    phase: Phase
    detail: str
    """Stage and percent, pass@1, or what went wrong."""


def view_finished(job: SweepJob) -> JobView:
    """A job that has ended, as its run's folder tells."""
    status = read_status(job.run_dir)
    if status is None:
        return JobView(job=job, phase=Phase.failed, detail="it ended before it began")
    if status.state is RunState.complete:
        return JobView(job=job, phase=Phase.complete, detail=_result(status))
    if status.state is RunState.running:
        return JobView(
            job=job, phase=Phase.failed, detail=f"killed {_where(status)} on {status.host}"
        )
    return JobView(job=job, phase=Phase.failed, detail=status.error)


def view_running(job: SweepJob) -> JobView:
    """A job that is at work."""
    status = read_status(job.run_dir)
    detail = _where(status) if status else "starting"
    return JobView(job=job, phase=Phase.running, detail=detail)


def _where(status: RunStatus) -> str:
    return f"in {status.stage}, {status.percent:.0f} %" if status.stage else "while starting"


def _result(status: RunStatus) -> str:
    if status.objective is None:
        return f"in {status.elapsed_s:.0f} s"
    return f"{status.objective_name} {100 * status.objective:.1f} %, in {status.elapsed_s:.0f} s"


class SweepScreen:
    """Shows what changed: a table that is drawn anew on a terminal, plain lines elsewhere."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._shown: dict[int, tuple[str, ...]] = {}
        self._live = Live(console=console, refresh_per_second=2) if console.is_terminal else None

    def __enter__(self) -> SweepScreen:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, views: Sequence[JobView]) -> None:
        """Where all jobs stand now."""
        if self._live:
            self._live.update(table_of(self._sweep, views))
            return
        for view in views:
            said = _line_key(view)
            if self._shown.get(view.job.number) != said:
                self._shown[view.job.number] = said
                console.print(line_of(self._sweep, view), soft_wrap=True, markup=False)


def _line_key(view: JobView) -> tuple[str, ...]:
    """What a new plain line is worth: another phase or stage, not every percent."""
    stage = view.detail.rpartition(",")[0] if view.phase is Phase.running else view.detail
    return view.phase.value, stage


def line_of(sweep: Sweep, view: JobView) -> str:
    """`job 3 (method.learning_rate=5e-6): running, in train, 40 %`."""
    now = time.strftime("%H:%M:%S")
    label = sweep.label(view.job)
    detail = f", {view.detail}" if view.detail else ""
    return f"{now} job {view.job.number} ({label}): {view.phase.value}{detail}"


def table_of(sweep: Sweep, views: Sequence[JobView]) -> Table:
    """One row per job."""
    table = Table(box=None, pad_edge=False)
    for column in ("job", "options", "state", ""):
        table.add_column(column, overflow="fold")
    for view in views:
        label = sweep.label(view.job)
        shown = escape(label), view.phase.value, escape(view.detail)
        table.add_row(str(view.job.number), *shown)
    return table


def _traceback(job: SweepJob) -> str:
    file = job.run_dir / TRACEBACK
    return str(file) if file.exists() else ""


def show_summary(sweep: Sweep, log_of: Mapping[int, str]) -> list[JobView]:
    """The table at the end; the jobs that failed.

    Args:
        sweep: with all its jobs.
        log_of: Number of a job → the file that has more about its failure.
    """
    views = [view_finished(job) for job in sweep.jobs]
    console.print()
    console.print(table_of(sweep, views))
    failed = [view for view in views if view.phase is Phase.failed]
    for view in failed:
        log = log_of.get(view.job.number) or _traceback(view.job)
        if log:
            console.print(f"job {view.job.number}: see {log}", soft_wrap=True, markup=False)
    return failed
