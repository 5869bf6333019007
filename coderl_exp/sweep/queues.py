"""Where submitted jobs wait and run: processes of this machine, or Slurm."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from coderl_exp.errors import ConfigError, SweepError
from coderl_exp.launcher_schemas import SlurmLauncherConfig, SubmititLauncherConfig
from coderl_exp.sweep.submitted import SubmittedJob, this_process

SUBMITIT_FOLDER = ".submitit"
_WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "SUSPENDED", "REQUEUE_HOLD", "REQUEUE_FED")


class Place(Enum):
    """Where a submitted job is."""

    waiting = "waiting"
    running = "running"
    gone = "gone"


class Queue(Protocol):
    """What runs submitted jobs."""

    def submit(self, jobs: Mapping[int, SubmittedJob]) -> dict[int, str]:
        """Give jobs by number to the queue; their ids in it."""

    def places(self) -> dict[int, Place]:
        """Where all jobs are that were submitted or adopted."""

    def adopt(self, submitted: Mapping[int, str]) -> None:
        """Follow jobs that an earlier command submitted, where they are still in the queue."""

    def log_of(self, number: int) -> str:
        """The file that holds what a job printed."""

    def close(self) -> None:
        """The command ends, perhaps before its jobs."""


class LocalQueue:
    """Processes of this machine, `max_parallel_jobs` at once, each with GPUs of its own."""

    def __init__(self, config: SubmititLauncherConfig, folder: Path) -> None:
        _quieten()
        self._config, self._folder = config, folder / SUBMITIT_FOLDER
        self._waiting: list[tuple[int, SubmittedJob]] = []
        self._slots: dict[int, int] = {}
        """Number of a running job → which share of the GPUs it has."""
        self._jobs: dict[int, Any] = {}

    def submit(self, jobs: Mapping[int, SubmittedJob]) -> dict[int, str]:
        for job in jobs.values():
            job.starter = this_process()
            job.gpus_are_shared = self._config.gpus_per_node is None
        self._waiting += jobs.items()
        self._start()
        return {number: job.job_id for number, job in self._jobs.items()}

    def places(self) -> dict[int, Place]:
        found: dict[int, Place] = dict.fromkeys(
            (number for number, _ in self._waiting), Place.waiting
        )
        for number, job in self._jobs.items():
            found[number] = Place.gone if job.done() else Place.running
            if job.done():
                self._slots.pop(number, None)
        self._start()
        return found

    def adopt(self, submitted: Mapping[int, str]) -> None:
        """They ended with the command that had started them."""

    def log_of(self, number: int) -> str:
        return str(self._jobs[number].paths.stderr) if number in self._jobs else ""

    def close(self) -> None:
        """Interrupt what still runs, and wait for its end."""
        for number in self._slots:
            self._jobs[number].cancel()
        for number in self._slots:
            self._jobs[number]._process.wait()

    def _start(self) -> None:
        while self._waiting and len(self._slots) < self._config.max_parallel_jobs:
            number, job = self._waiting.pop(0)
            slot = min(set(range(self._config.max_parallel_jobs)) - set(self._slots.values()))
            self._slots[number] = slot
            executor = self._executor(slot)
            # What starts a job writes a traceback when it is interrupted.
            with _stderr_in(self._folder / "submitit.log"):
                self._jobs[number] = executor.submit(job)

    def _executor(self, slot: int) -> Any:
        from submitit import LocalExecutor

        gpus = self._config.gpus_per_node or 0
        executor = LocalExecutor(self._folder / "%j", max_num_timeout=self._config.max_num_timeout)
        executor.update_parameters(
            timeout_min=self._config.timeout_min,
            signal_delay_s=self._config.signal_delay_s,
            gpus_per_node=gpus,
            visible_gpus=tuple(range(slot * gpus, (slot + 1) * gpus)),
            setup=self._config.setup,
        )
        return executor


class SlurmQueue:
    """A Slurm job array; the jobs go on when the command ends."""

    def __init__(self, config: SlurmLauncherConfig, folder: Path) -> None:
        if shutil.which("sbatch") is None or shutil.which("squeue") is None:
            raise ConfigError(
                f"launcher={config.name} needs Slurm's sbatch and squeue on this machine: log in "
                "to the cluster, or choose launcher=submitit_local."
            )
        _quieten()
        self._config, self._folder = config, folder / SUBMITIT_FOLDER
        self._ids: dict[int, str] = {}
        self._last: dict[str, Place] = {}

    def submit(self, jobs: Mapping[int, SubmittedJob]) -> dict[int, str]:
        from submitit import SlurmExecutor

        executor = SlurmExecutor(self._folder / "%j", max_num_timeout=self._config.max_num_timeout)
        executor.update_parameters(**self._parameters())
        try:
            with executor.batch():
                submitted = [executor.submit(job) for job in jobs.values()]
        except Exception as error:
            raise SweepError(f"Slurm took none of the jobs: {_last_line(error)}") from error
        self._ids |= {number: job.job_id for number, job in zip(jobs, submitted, strict=True)}
        return dict(self._ids)

    def places(self) -> dict[int, Place]:
        found = self._ask()
        if found is not None:
            self._last = found
        return {
            number: self._last.get(queue_id, Place.gone) for number, queue_id in self._ids.items()
        }

    def adopt(self, submitted: Mapping[int, str]) -> None:
        self._ids = dict(submitted)
        places = self.places()
        self._ids = {n: i for n, i in submitted.items() if places[n] is not Place.gone}

    def log_of(self, number: int) -> str:
        queue_id = self._ids.get(number)
        folder = f"{self._folder}/{queue_id}"
        return f"{folder}/{queue_id}_0_log.err" if queue_id else ""

    def close(self) -> None:
        """Nothing: its jobs are Slurm's."""

    def _ask(self) -> dict[str, Place] | None:
        """Where squeue sees jobs; None where it could not answer."""
        arrays = sorted({queue_id.partition("_")[0] for queue_id in self._ids.values()})
        if not arrays:
            return {}
        command = ["squeue", "--noheader", "--array", "--format=%i %T", "--jobs", ",".join(arrays)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        if done.returncode and "Invalid job id" not in done.stderr:
            return None
        return {
            queue_id: Place.waiting if state in _WAITING else Place.running
            for queue_id, state in (line.split()[:2] for line in done.stdout.splitlines())
        }

    def _parameters(self) -> dict[str, Any]:
        config = self._config
        optional = {
            "partition": config.partition,
            "account": config.account,
            "qos": config.qos,
            "constraint": config.constraint,
            "gres": config.gres,
            "gpus_per_node": None if config.gres else config.gpus_per_node,
            "cpus_per_task": config.cpus_per_task,
            "mem": f"{config.mem_gb}GB" if config.mem_gb else None,
            "setup": config.setup or None,
        }
        return {
            **{name: value for name, value in optional.items() if value is not None},
            "job_name": "coderl_exp",
            "nodes": config.nodes,
            "ntasks_per_node": 1,
            "time": config.timeout_min,
            "signal_delay_s": config.signal_delay_s,
            "array_parallelism": config.max_parallel_jobs,
            "additional_parameters": {"requeue": True, **config.additional_parameters},
        }


def make_queue(config: SubmititLauncherConfig, folder: Path) -> Queue:
    """The queue of a launcher.

    Raises:
        ConfigError: this machine does not have it.
    """
    if isinstance(config, SlurmLauncherConfig):
        return SlurmQueue(config, folder)
    return LocalQueue(config, folder)


@contextmanager
def _stderr_in(file: Path) -> Iterator[None]:
    """Processes started meanwhile write their errors there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    own = os.dup(2)
    with file.open("ab") as target:
        os.dup2(target.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(own, 2)
        os.close(own)


def _quieten() -> None:
    """Submitit warns at every look that accounting is off; the queue is asked instead."""
    logging.getLogger("submitit").setLevel(logging.ERROR)


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
