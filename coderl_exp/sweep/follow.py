"""Follow submitted jobs to their end."""

from __future__ import annotations

import time
from collections.abc import Sequence

from coderl_exp.sweep.jobs import Sweep, SweepJob
from coderl_exp.sweep.queues import Place, Queue
from coderl_exp.sweep.screen import JobView, Phase, SweepScreen, view_finished, view_running
from coderl_exp.sweep.status import RunState, read_status

_GRACE_S = 15.0
"""How long after a job's end its last words may take over a shared disk."""


def follow(
    queue: Queue, sweep: Sweep, jobs: Sequence[SweepJob], poll_interval_s: float
) -> list[JobView]:
    """Show where the jobs stand until all have ended; how they ended."""
    follower = _Follower(queue)
    with SweepScreen(sweep) as screen:
        while True:
            views = follower.look(jobs)
            screen.show(views)
            if all(view.phase.is_final for view in views):
                return views
            time.sleep(poll_interval_s)


class _Follower:
    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._gone_since: dict[int, float] = {}

    def look(self, jobs: Sequence[SweepJob]) -> list[JobView]:
        places = self._queue.places()
        return [self._view(job, places.get(job.number, Place.gone)) for job in jobs]

    def _view(self, job: SweepJob, place: Place) -> JobView:
        if place is Place.waiting:
            return JobView(job=job, phase=Phase.queued, detail="")
        if place is Place.running:
            return view_running(job)
        gone_since = self._gone_since.setdefault(job.number, time.monotonic())
        status = read_status(job.run_dir)
        has_ended = status is not None and status.state in (RunState.complete, RunState.failed)
        if has_ended or time.monotonic() - gone_since > _GRACE_S:
            return view_finished(job)
        return view_running(job)
