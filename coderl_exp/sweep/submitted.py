"""What submitit pickles and runs: the command of one job, in a process of its own.

The process in between is light and does what a cluster asks of it. On the signal before the time
limit or a preemption it ends the run, which keeps what it has, and requeues the job. SIGTERM alone
is not the end of a job: on preemption it comes first, and a job that ended then would not come
back.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from coderl_exp.errors import SweepError
from coderl_exp.process_group import GRACE_VARIABLE, end_group

JOB_VARIABLE = "CODERL_SWEEP_JOB"
GROUP_VARIABLE = "CODERL_SWEEP_GROUP"
_POLL_S = 0.2
GRACE_S = 20.0
"""From SIGTERM to SIGKILL for a run that is told to stop, if its queue gives no more."""
_AFTER_TRAINING_S = 10.0
"""Of that, for the run itself: the rest is for its training to finish a step."""
_PREEMPTION_S = 600.0
"""How long a cluster may take to requeue a job after its SIGTERM."""
_TERMINATED = (128 + signal.SIGTERM, -signal.SIGTERM)


@dataclass(frozen=True, kw_only=True)
class Starter:
    """A process, also after its number was given to another."""

    pid: int
    started_at: float

    def is_alive(self) -> bool:
        try:
            return bool(psutil.Process(self.pid).create_time() == self.started_at)
        except psutil.NoSuchProcess:
            return False


def this_process() -> Starter:
    return Starter(pid=os.getpid(), started_at=psutil.Process().create_time())


class SubmittedJob:
    """One job of a sweep."""

    starter: Starter | None = None
    """The job ends when this process does; None for one that outlives its command."""
    gpus_are_shared = False
    """It sees the GPUs that its command saw, in place of those that submitit gave it."""

    def __init__(self, command: list[str], cwd: Path, group: str, grace_s: float = GRACE_S) -> None:
        self.command, self.cwd, self.group, self.grace_s = command, cwd, group, grace_s
        self._visible_gpus = os.environ.get("CUDA_VISIBLE_DEVICES")
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> None:
        """Run the command to its end.

        Raises:
            SweepError: it failed; the run's folder says why.
        """
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            cwd=self.cwd,
            env=self._environment(),
            start_new_session=True,
            preexec_fn=_ignore_warnings,
        )
        try:
            # Not `wait`: the signal's handler would find its lock taken.
            while (code := self._process.poll()) is None:
                time.sleep(_POLL_S)
                if self.starter and not self.starter.is_alive():
                    raise SweepError("the sweep's command has ended")
            if code in _TERMINATED:
                time.sleep(_PREEMPTION_S)
        finally:
            self._end()
        if code:
            raise SweepError(f"the run ended with code {code}")

    def checkpoint(self) -> Any:
        """What submitit is to run when the job comes back: the same; the run continues."""
        from submitit.helpers import DelayedSubmission

        process, self._process = self._process, None
        if process is not None:
            _stop(process.pid, self.grace_s)
        return DelayedSubmission(self)

    def _environment(self) -> dict[str, str]:
        environment = {
            **os.environ,
            JOB_VARIABLE: "1",
            GROUP_VARIABLE: self.group,
            GRACE_VARIABLE: str(self.grace_s - _AFTER_TRAINING_S),
        }
        if self.gpus_are_shared:
            del environment["CUDA_VISIBLE_DEVICES"]
            if self._visible_gpus is not None:
                environment["CUDA_VISIBLE_DEVICES"] = self._visible_gpus
        return environment

    def _end(self) -> None:
        if self._process is not None:
            end_group(self._process, self.grace_s)
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process = None


def _ignore_warnings() -> None:
    """Slurm sends the signal before the time limit to all processes; it is meant for ours alone."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def _stop(group: int, grace_s: float) -> None:
    """End a process group from within a signal handler, without the locks of `subprocess`."""
    deadline = time.monotonic() + grace_s
    with suppress(ProcessLookupError, ChildProcessError):
        os.killpg(group, signal.SIGTERM)
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while time.monotonic() < deadline and not os.waitid(os.P_PID, group, options):
            time.sleep(_POLL_S)
        os.killpg(group, signal.SIGKILL)
