"""The Hydra launcher of every sweep: which jobs are still to do, where they run, how they ended."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus, configure_log, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from coderl_exp.config import LAUNCHER, TrackingConfig
from coderl_exp.errors import ConfigError, SweepError
from coderl_exp.launcher_schemas import LauncherConfig, SubmititLauncherConfig
from coderl_exp.progress import console
from coderl_exp.sweep.follow import follow
from coderl_exp.sweep.jobs import (
    SWEEP_FILE,
    Sweep,
    SweepJob,
    experiment_overrides,
    read_sweep,
    write_sweep,
)
from coderl_exp.sweep.queues import Queue, make_queue
from coderl_exp.sweep.resume import quoted
from coderl_exp.sweep.screen import JobView, Phase, line_of, view_finished
from coderl_exp.sweep.status import STATUS, RunState, read_status
from coderl_exp.sweep.submitted import GRACE_S, GROUP_VARIABLE, SubmittedJob

_MARGIN_S = 10.0
"""Between the end of a stopped run and its time limit: to requeue its job."""
_OF_THE_SWEEP = ("hydra.sweep", "hydra.run", "hydra.mode", "hydra/sweeper", "hydra/launcher")


@dataclass(frozen=True, kw_only=True)
class LaunchedSweep:
    """What the command has to report at its end."""

    sweep: Sweep
    logs: Mapping[int, str]
    """Number of a job → the file that holds what it printed."""
    is_detached: bool
    is_search: bool
    """A failed job is not run again: what was tried after it follows from its failure."""
    tracking: TrackingConfig


class SweepLauncher(Launcher):
    """Runs the jobs in this process, or submits them and follows them.

    A job that fails takes no other with it: it returns no objective, and the command ends with a
    table and an error.
    """

    launched: ClassVar[list[LaunchedSweep]] = []
    """The sweeps of this process, each as it was last seen."""
    is_resumed: ClassVar[bool] = False
    """Leave out the jobs that are complete."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self._context, self._task, self._config = hydra_context, task_function, config
        self._configs: dict[int, DictConfig] = {}

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        setup_globals()
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)
        self._check_search()
        settings = OmegaConf.to_object(self._config.launcher)
        assert isinstance(settings, LauncherConfig)
        jobs = [self._job(initial_job_idx + i, o) for i, o in enumerate(job_overrides)]
        if self._config.plan:
            return [self._planned(job) for job in jobs]
        sweep = self._sweep(jobs)
        remaining = [job for job in jobs if not (self.is_resumed and self._is_done(job))]
        done = "done" if self._is_search() else "complete"
        if len(remaining) < len(jobs):
            console.print(f"{len(jobs) - len(remaining)} of {len(jobs)} jobs are {done}")
        if isinstance(settings, SubmititLauncherConfig):
            self._submit(settings, sweep, remaining)
        else:
            self._run_here(sweep, remaining)
        return [_job_return(job, is_search=self._is_search()) for job in jobs]

    def _is_search(self) -> bool:
        """The sweeper chooses jobs by the results of others."""
        target: str = self._config.hydra.sweeper._target_
        return not target.endswith(".BasicSweeper")

    def _check_search(self) -> None:
        """Raises: ConfigError: a search would choose by the test split, or by nothing."""
        stages = self._config.stages
        if not self._is_search():
            return
        if self._config.launcher.detach:
            raise ConfigError(
                "a search with launcher.detach=true would not see what its trials find: leave it "
                "out, and start the command in tmux or with nohup."
            )
        if stages is None or "validate" not in stages:
            raise ConfigError(
                "a search chooses by pass@k on the validation split, but stages is "
                f"{stages and list(stages)}: add validate to it, as experiment=search does."
            )

    def _is_done(self, job: SweepJob) -> bool:
        """A search's failed trial, too: what it tries next follows from what it was told."""
        status = read_status(job.run_dir)
        has_failed = status is not None and status.state is RunState.failed
        return job.is_complete or (self._is_search() and has_failed)

    def _planned(self, job: SweepJob) -> JobReturn:
        returned = self._run(job)
        if self._is_search():
            returned.return_value = 0.0  # it would take none for a failure
        return returned

    def _job(self, number: int, overrides: Sequence[str]) -> SweepJob:
        """The job with the folder that Hydra gives it."""
        config = self._configs[number] = self._compose(number, overrides)
        run_dir = Path(str(config.hydra.sweep.dir)).resolve() / str(config.hydra.sweep.subdir)
        chosen = tuple(OmegaConf.to_container(config.hydra.overrides.task))  # type: ignore[arg-type]
        return SweepJob(number=number, overrides=experiment_overrides(chosen), run_dir=run_dir)

    def _compose(self, number: int, overrides: Sequence[str]) -> DictConfig:
        config = self._context.config_loader.load_sweep_config(self._config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        return config

    def _sweep(self, jobs: Sequence[SweepJob]) -> Sweep:
        folder = Path(str(self._config.hydra.sweep.dir)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        if self.launched or (self.is_resumed and (folder / SWEEP_FILE).exists()):
            sweep = self.launched[-1].sweep if self.launched else read_sweep(folder)
        else:
            overrides = self._config.hydra.overrides
            arguments = (*overrides.task, *overrides.hydra)
            kept = tuple(
                a for a in arguments if not a.startswith(("hydra.sweep.dir", "hydra.mode"))
            )
            sweep = Sweep(folder=folder, arguments=kept, submitted={})
        sweep = sweep.with_jobs(jobs)
        write_sweep(sweep)
        self._report(sweep)
        return sweep

    def _report(self, sweep: Sweep, queue: Queue | None = None, is_detached: bool = False) -> None:
        logs = {job.number: queue.log_of(job.number) for job in sweep.jobs} if queue else {}
        before = self.launched[-1].logs if self.launched else {}
        tracking = OmegaConf.to_object(self._config.tracking)
        assert isinstance(tracking, TrackingConfig)
        self.launched[:] = [
            LaunchedSweep(
                sweep=sweep,
                logs={**before, **logs},
                is_detached=is_detached,
                is_search=self._is_search(),
                tracking=tracking,
            )
        ]

    def _run_here(self, sweep: Sweep, jobs: Sequence[SweepJob]) -> None:
        with _group(sweep.name):
            for job in jobs:
                running = JobView(job=job, phase=Phase.running, detail="")
                console.print(line_of(sweep, running), soft_wrap=True, markup=False)
                self._run(job)
                console.print(line_of(sweep, view_finished(job)), soft_wrap=True, markup=False)

    def _run(self, job: SweepJob) -> JobReturn:
        returned = run_job(
            hydra_context=self._context,
            task_function=self._task,
            config=self._configs.pop(job.number),
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)
        return returned

    def _submit(
        self, settings: SubmititLauncherConfig, sweep: Sweep, jobs: Sequence[SweepJob]
    ) -> None:
        queue = make_queue(settings, sweep.folder)
        queue.adopt(sweep.submitted)
        in_queue = queue.places()
        grace_s = max(GRACE_S, settings.signal_delay_s - _MARGIN_S)
        new = {job.number: self._submitted(job, sweep, grace_s) for job in jobs
               if job.number not in in_queue}  # fmt: skip
        try:
            if new:
                submitted = queue.submit(new)
                sweep = replace(sweep, submitted={**sweep.submitted, **submitted})
                write_sweep(sweep)
            self._report(sweep, queue, is_detached=settings.detach)
            if not settings.detach and jobs:
                follow(queue, sweep, jobs, settings.poll_interval_s)
                self._report(sweep, queue)
        finally:
            queue.close()

    def _submitted(self, job: SweepJob, sweep: Sweep, grace_s: float) -> SubmittedJob:
        job.run_dir.mkdir(parents=True, exist_ok=True)
        (job.run_dir / STATUS).unlink(missing_ok=True)
        hydra = [o for o in self._config.hydra.overrides.hydra if not o.startswith(_OF_THE_SWEEP)]
        where = ["hydra.mode=RUN", f"hydra.run.dir={quoted(job.run_dir)}"]
        command = [sys.executable, "-m", "coderl_exp", *job.overrides, *hydra, *where]
        return SubmittedJob(command, Path.cwd(), sweep.name, grace_s)


def register_launcher() -> None:
    """Make it known to Hydra under the name that the configuration has for it."""
    SweepLauncher.__module__ = LAUNCHER.rpartition(".")[0]
    sys.modules[SweepLauncher.__module__] = sys.modules[__name__]
    Plugins.instance().register(SweepLauncher)


@contextmanager
def _group(name: str) -> Iterator[None]:
    os.environ[GROUP_VARIABLE] = name
    try:
        yield
    finally:
        del os.environ[GROUP_VARIABLE]


def _job_return(job: SweepJob, *, is_search: bool) -> JobReturn:
    """Complete in any case in a grid: Hydra's sweeper would stop at the first job that is not.

    A search is told of a failure, and tries something else.
    """
    status = read_status(job.run_dir)
    value: Any = status.objective if status else None
    has_failed = is_search and value is None
    returned = JobReturn(
        overrides=list(job.overrides),
        status=JobStatus.FAILED if has_failed else JobStatus.COMPLETED,
    )
    returned.return_value = SweepError(f"job {job.number} has no result") if has_failed else value
    return returned
