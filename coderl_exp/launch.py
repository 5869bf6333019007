"""Start training processes with `accelerate launch`, follow them, and never leave one behind."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
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
from coderl_exp.method import AnyJob
from coderl_exp.store import write_atomically
from coderl_exp.worker import ERROR_FILE

WORKER = "coderl_exp.worker"
"""The module that every training process runs."""
POLL_INTERVAL_S = 0.5
GRACE_S = 10.0
_FULL_DISK_BYTES = 2**20
"""With less than this left a failed training is a full disk; torch and safetensors hide it."""


def launch_training(
    job: AnyJob, accelerate: AccelerateConfig, log_file: Path, on_poll: Callable[[], None]
) -> None:
    """Run `job` under `accelerate launch`; `on_poll` is called about twice a second meanwhile.

    Raises:
        TrainingError: the processes failed; names the log.
    """
    job_file = job.work / "job.json"
    write_atomically(job_file, TypeAdapter(type(job)).dump_json(job, indent=2).decode())
    (job.work / ERROR_FILE).unlink(missing_ok=True)
    with log_file.open("ab") as log:
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
            time.sleep(POLL_INTERVAL_S)
        on_poll()
    finally:
        _end(process)
    if process.returncode:
        if shutil.disk_usage(job.work).free < _FULL_DISK_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(job.work))
        raise TrainingError(_failure(job, process.returncode, log_file))


def environment(accelerate: AccelerateConfig) -> dict[str, str]:
    """`accelerate launch` would give each process a single thread; they share all there are.

    `single` sees one GPU: with several the Trainer would multiply the batch by their number.
    """
    num_cpus = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    threads = str(max(1, num_cpus // num_processes(accelerate)))
    environment = {"OMP_NUM_THREADS": threads, **os.environ, "CODERL_LAUNCHED": "1"}
    if accelerate.name == "single":
        environment["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(
            ","
        )[0]
    return environment


def num_processes(accelerate: AccelerateConfig) -> int:
    """How many processes train together."""
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
    config_file = accelerate_file(accelerate)
    launcher = [sys.executable, "-m", "accelerate.commands.launch"]
    options = ["--config_file", str(config_file)]
    if accelerate.num_processes is not None:
        options += ["--num_processes", str(accelerate.num_processes)]
    return [*launcher, *options, "-m", WORKER, str(job_file)]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the whole group to stop, then make it; harmless where it has ended."""
    if process.poll() is None:
        _signal_group(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
    _signal_group(process, signal.SIGKILL)
    process.wait()
    assert process.stdin is not None
    process.stdin.close()


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _failure(job: AnyJob, code: int, log_file: Path) -> str:
    error_file = job.work / ERROR_FILE
    if error_file.is_file():
        return error_file.read_text(encoding="utf-8").strip()
    lines = log_file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = next((line for line in reversed(lines) if "Error" in line), "no error in the log")
    return f"training ended with code {code} ({last.strip()}): see {log_file}"


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
