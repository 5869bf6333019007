"""The end of a sweep: its table, here and where its runs are tracked, and the comparison of its
runs; an error if a job failed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

from coderl_exp.compare import compare_runs
from coderl_exp.errors import CoderlError, SweepError
from coderl_exp.progress import console
from coderl_exp.store import digest_of
from coderl_exp.sweep.jobs import Sweep, SweepJob
from coderl_exp.sweep.launcher import LaunchedSweep
from coderl_exp.sweep.screen import JobView, show_summary, view_finished
from coderl_exp.sweep.status import read_status
from coderl_exp.tracking import RunIdentity, make_tracker

_COLUMNS = ("job", "options", "state", "baseline", "after", "after/low", "after/high", "detail")


def finish_sweep(launched: LaunchedSweep) -> None:
    """Show how the jobs ended, or how to follow them.

    Raises:
        SweepError: some failed.
    """
    sweep = launched.sweep
    resume = f"python -m coderl_exp resume={sweep.folder}"
    if launched.is_detached:
        console.print(
            f"{len(sweep.jobs)} jobs of {sweep.folder} are in the queue; `{resume} "
            "launcher.detach=false` follows them",
            soft_wrap=True,
        )
        return
    failed = show_summary(sweep, launched.logs)
    track_sweep(launched, [view_finished(job) for job in sweep.jobs])
    if (winner := validated_winner(sweep)) is not None:
        console.print(winner, soft_wrap=True, markup=False, highlight=False)
    if winner is None or _is_tested(sweep):
        compare_sweep(sweep)
    if failed:
        again = (
            "The search did without" if launched.is_search else f"`{resume}` runs only those again"
        )
        raise SweepError(
            f"{len(failed)} of {len(sweep.jobs)} jobs failed, as the table says; the others are "
            f"complete. {again}."
        )
    console.print(f"sweep    {sweep.folder}", soft_wrap=True)


def validated_winner(sweep: Sweep) -> str | None:
    """The best on the validation split, and how to measure it; None where that was not used."""
    found = _objectives(sweep)
    if not found or not all(name.startswith("validation") for name, _ in found.values()):
        return None
    best = max(found, key=lambda number: found[number][1])
    job = next(job for job in sweep.jobs if job.number == best)
    name, value = found[best]
    line = (
        f"best     {sweep.label(job)}: {name} {100 * value:.1f} %, the highest of {len(found)}, "
        "which flatters it."
    )
    if _is_tested(sweep):
        return line
    options = [option for option in job.overrides if not option.startswith("stages=")]
    command = ["python", "-m", "coderl_exp", *options, "stages=null", "hydra.mode=RUN"]
    return f"{line} On the test split: {shlex.join(command)}"


def _is_tested(sweep: Sweep) -> bool:
    return any(_pass_at_k(job, "after") for job in sweep.jobs)


def compare_sweep(sweep: Sweep) -> None:
    """Show the answer, and write the pages to `comparison/` in the sweep's folder."""
    folders = [job.run_dir for job in sweep.jobs if job.is_complete]
    if len(folders) < 2:
        return
    out = sweep.folder / "comparison"
    try:
        comparison = compare_runs(folders, out=out)
    except CoderlError as error:
        console.print(f"no comparison: {error}", soft_wrap=True, markup=False)
        return
    console.print()
    console.print(comparison.answer, markup=False)
    console.print(f"page     {out / 'comparison.html'}", soft_wrap=True, markup=False)


def track_sweep(launched: LaunchedSweep, views: Sequence[JobView]) -> None:
    """A run of its own in the sweep's group: the table of its jobs, and the best of them."""
    sweep = launched.sweep
    tracker = make_tracker(
        launched.tracking,
        sweep.folder,
        RunIdentity(
            run_id=digest_of(str(sweep.folder))[:16],
            name=sweep.name,
            group=launched.tracking.group or sweep.name,
            job_type="sweep",
        ),
        {"arguments": list(sweep.arguments)},
    )
    tracker.log_table("sweep", _COLUMNS, [_row(sweep, view) for view in views])
    tracker.summarize(_best(sweep))
    tracker.finish()


def _row(sweep: Sweep, view: JobView) -> list[Any]:
    before, after = (_pass_at_k(view.job, when) for when in ("baseline", "after"))
    return [
        view.job.number,
        sweep.label(view.job),
        view.phase.value,
        before.get("mean"),
        *(after.get(name) for name in ("mean", "low", "high")),
        view.detail,
    ]


def _pass_at_k(job: SweepJob, when: str) -> dict[str, float]:
    """Mean and interval for the smallest k; empty where it was not measured."""
    file = job.run_dir / "artifacts" / "test" / f"evaluations_{when}.json"
    if not file.exists():
        return {}
    estimates: dict[str, dict[str, float]] = json.loads(file.read_text())["pass_at_k"]
    return next(iter(estimates.values()), {})


def _best(sweep: Sweep) -> dict[str, float | str]:
    """The highest number; `compare` says whether it is more than chance."""
    found = _objectives(sweep)
    if not found:
        return {}
    number = max(found, key=lambda n: found[n][1])
    best = next(job for job in sweep.jobs if job.number == number)
    return {"best/objective": found[number][1], "best/options": sweep.label(best)}


def _objectives(sweep: Sweep) -> dict[int, tuple[str, float]]:
    """Number of a complete job → the name and the value of what it measured last."""
    found = {job.number: read_status(job.run_dir) for job in sweep.jobs if job.is_complete}
    return {
        number: (status.objective_name, status.objective)
        for number, status in found.items()
        if status is not None and status.objective is not None
    }
