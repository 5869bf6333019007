"""Start training processes with `accelerate launch`, follow them, and never leave one behind."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import yaml
from pydantic import TypeAdapter

from coderl_exp.config import AccelerateConfig, project_path
from coderl_exp.errors import ConfigError, TrainingError
from coderl_exp.machines import find_machines
from coderl_exp.meeting import Meeting
from coderl_exp.method import AnyJob
from coderl_exp.process_group import GRACE_VARIABLE, end_group, logged_since
from coderl_exp.store import write_atomically
from coderl_exp.worker import ERROR_FILE, JOB_FILE

WORKER = "coderl_exp.worker"
"""The module that every training process runs."""
POLL_INTERVAL_S = 0.5
_GRACE_S = 10.0
"""From the request for a checkpoint to the end of the processes; the variable sets another."""
_END_S = 5.0
_ENDED_BY_CHILD = re.compile("ChildFailedError|CalledProcessError")
"""What accelerate's launcher says when a process that it started has failed for its own reasons."""
_FULL_DISK_BYTES = 2**20
"""With less than this left a failed training is a full disk; torch and safetensors hide it."""


def launch_training(
    job: AnyJob,
    accelerate: AccelerateConfig,
    log_file: Path,
    on_poll: Callable[[], None],
    meeting: Meeting,
) -> None:
    """Run `job` under `accelerate launch`; `on_poll` is called about twice a second meanwhile.

    Raises:
        TrainingError: the processes failed, here or on another machine; names the log.
    """
    job_file = job.work / JOB_FILE
    write_atomically(job_file, TypeAdapter(type(job)).dump_json(job, indent=2).decode())
    (job.work / ERROR_FILE).unlink(missing_ok=True)
    meeting.begin(job_file)
    _run(job_file, accelerate, log_file, on_poll, meeting)


def join_training(
    job_file: Path, accelerate: AccelerateConfig, log_file: Path, meeting: Meeting
) -> None:
    """Run this machine's part of a training that the first machine has launched.

    Raises:
        TrainingError: as `launch_training`.
    """
    _run(job_file, accelerate, log_file, lambda: None, meeting)


def _run(
    job_file: Path,
    accelerate: AccelerateConfig,
    log_file: Path,
    on_poll: Callable[[], None],
    meeting: Meeting,
) -> None:
    with log_file.open("ab") as log:
        log_start = log.tell()
        process = subprocess.Popen(
            _command(accelerate, job_file),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment(accelerate),
        )
    try:
        while process.poll() is None:
            on_poll()
            meeting.check()
            time.sleep(POLL_INTERVAL_S)
        on_poll()
    finally:
        assert process.stdin is not None
        try:
            _let_checkpoint(process, process.stdin.fileno())
        finally:
            end_group(process, _END_S)
            process.stdin.close()
    if process.returncode:
        disk = job_file.parents[1]  # still there where the first machine has already finished
        if shutil.disk_usage(disk).free < _FULL_DISK_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(disk))
        raise TrainingError(_failure(job_file.parent, process.returncode, log_file, log_start))


def _let_checkpoint(process: subprocess.Popen[bytes], stdin: int) -> None:
    """Give a training that is to end early the time to finish its step."""
    if process.poll() is None:
        with suppress(BrokenPipeError):
            os.write(stdin, b".")
        with suppress(subprocess.TimeoutExpired):
            process.wait(float(os.environ.get(GRACE_VARIABLE, _GRACE_S)))


def environment(accelerate: AccelerateConfig) -> dict[str, str]:
    """`accelerate launch` would give each process a single thread; they share all there are.

    `single` sees one GPU: with several the Trainer would multiply the batch by their number.
    """
    num_cpus = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    num_here = num_processes(accelerate) // find_machines(accelerate, os.environ).count
    threads = str(max(1, num_cpus // num_here))
    environment = {"OMP_NUM_THREADS": threads, **os.environ, "CODERL_LAUNCHED": "1"}
    if accelerate.name == "single":
        environment["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(
            ","
        )[0]
    return environment


def check_launch(accelerate: AccelerateConfig) -> None:
    """Whether training can be launched like this.

    Raises:
        ConfigError: a file or a package is missing, or the machines are not what they should be.
    """
    accelerate_file(accelerate)
    total, machines = num_processes(accelerate), find_machines(accelerate, os.environ)
    if total % machines.count:
        raise ConfigError(
            f"accelerate.num_processes is {total} on {machines.count} machines: give a multiple "
            "of their number."
        )


def num_processes(accelerate: AccelerateConfig) -> int:
    """How many processes train together, on all machines."""
    if accelerate.num_processes is not None:
        return accelerate.num_processes
    file = yaml.safe_load(accelerate_file(accelerate).read_text(encoding="utf-8"))
    return int(file.get("num_processes", 1))


def accelerate_file(accelerate: AccelerateConfig) -> Path:
    """The file that `accelerate launch` is given.

    Raises:
        ConfigError: it does not exist, or needs a package that is not installed.
    """
    path = project_path(accelerate.config_file)
    if not path.is_file():
        raise ConfigError(
            f"accelerate.config_file {path} does not exist: see launchers/accelerate/."
        )
    if "DEEPSPEED" in path.read_text(encoding="utf-8") and find_spec("deepspeed") is None:
        raise ConfigError(
            f"accelerate={accelerate.name} needs DeepSpeed, which is not installed: "
            "pip install -c constraints.txt -e '.[deepspeed]', or choose accelerate=ddp."
        )
    return path


def _command(accelerate: AccelerateConfig, job_file: Path) -> list[str]:
    machines = find_machines(accelerate, os.environ)
    options: dict[str, object] = {
        "config_file": accelerate_file(accelerate),
        "num_processes": num_processes(accelerate),
        "num_machines": machines.count,
        "machine_rank": machines.rank,
        "main_process_ip": machines.main_ip,
        "main_process_port": machines.main_port,
    }
    flags = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    launcher = [sys.executable, "-m", "accelerate.commands.launch", *flags]
    return [*launcher, "-m", WORKER, str(job_file)]


def _failure(work: Path, code: int, log_file: Path, log_start: int) -> str:
    """What a training process said, or what the log says of this attempt."""
    error_file = work / ERROR_FILE
    if error_file.is_file():
        return error_file.read_text(encoding="utf-8").strip()
    lines = logged_since(log_file, log_start, _ENDED_BY_CHILD)
    killed = [line for line in lines if "SIGKILL" in line]
    errors = killed or [line for line in lines if "Error" in line]
    return (
        f"training ended with code {code} ({errors[-1] if errors else 'no error in the log'}): "
        f"see {log_file}"
    )


class MetricsFollower:
    """Reads the rows that a training process appends to its metrics file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._num_read = 0

    def new_rows(self) -> list[dict[str, float]]:
        """Complete rows that were not returned before."""
        if not self._path.exists():
            return []
        lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
        new = [line for line in lines[self._num_read :] if line.endswith("\n")]
        self._num_read += len(new)
        return [json.loads(line) for line in new]
