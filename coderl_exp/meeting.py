"""How the machines of one training meet: through files in the shared store.

Every machine runs the same command. The first computes all stages; the others wait for the
training, take part in it and end. Each machine writes one file of its own and reads the others':
a random token, a counter that grows while it lives, and what it has to say. Only a counter that
moves is a living machine, so a file that an earlier attempt left is never taken for one.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import uuid4

from coderl_exp.config import AccelerateConfig
from coderl_exp.errors import CoderlError, TrainingError
from coderl_exp.machines import Machines, find_machines
from coderl_exp.store import write_json

BEAT_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Status:
    """What a machine tells the others."""

    token: str
    """Of this very process."""
    beat: int = 0
    job: str = ""
    """Of the first machine, when training starts: the job's file."""
    invited: Mapping[str, str] = field(default_factory=dict)
    """With `job`: rank → token of those who are to take part."""
    failure: str = ""


class Meeting:
    """The machines of one training while a run lasts; with a single machine it does nothing.

    Entered, it tells the others that this machine lives; left by an exception, that it failed.
    """

    def __init__(self, machines: Machines, folder: Path, timeout_s: float) -> None:
        """`timeout_s`: how long a machine may give no sign of life."""
        self.machines = machines
        self._folder, self._timeout_s = folder, timeout_s
        self._others = [rank for rank in range(machines.count) if rank != machines.rank]
        self._status = Status(token=uuid4().hex)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._seen: dict[int, Status | None] = {}
        self._moved_at: dict[int, float] = {}
        self._living: dict[int, str] = {}
        self._partners: dict[int, str] = {}

    def __enter__(self) -> Meeting:
        if self._others:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._seen = {rank: self._read(rank) for rank in self._others}
            self._moved_at = dict.fromkeys(self._others, time.monotonic())
            self._thread.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if not self._others:
            return
        self._ended.set()
        self._thread.join()
        if error is not None:
            text = str(error) if isinstance(error, CoderlError | OSError) else ""
            self._write(failure=text or type(error).__name__)
            return
        with suppress(OSError):
            self._file(self.machines.rank).unlink()
            self._folder.rmdir()

    def begin(self, job_file: Path) -> None:
        """The first machine: wait until all others are there, and tell them to start.

        Raises:
            TrainingError: one of them is dead or failed.
        """
        if not self._others:
            return
        self._moved_at = dict.fromkeys(self._others, time.monotonic())
        while len(self._living) < len(self._others):
            time.sleep(BEAT_S)
            self.check()
        self._partners = dict(self._living)
        invited = {str(rank): token for rank, token in self._partners.items()}
        self._write(job=str(job_file), invited=invited)

    def wait_for_job(self, is_needless: Callable[[], bool]) -> Path | None:
        """Another machine: the job to take part in, or None once there is no need to.

        Raises:
            TrainingError: the first machine is dead or failed.
        """
        while not is_needless():
            self.check()
            first = self._seen[0]
            if first and first.invited.get(str(self.machines.rank)) == self._status.token:
                self._partners = {0: first.token}
                return Path(first.job)
            time.sleep(BEAT_S)
        return None

    def check(self) -> None:
        """Look at the other machines.

        Raises:
            TrainingError: one of them is dead, failed, or was started again during training.
        """
        for rank in self._others:
            status = self._read(rank)
            if status is not None and status != self._seen[rank]:
                self._seen[rank], self._moved_at[rank] = status, time.monotonic()
                self._living[rank] = status.token
                if status.failure:
                    raise TrainingError(f"machine {rank} failed: {status.failure}")
                if self._partners.get(rank, status.token) != status.token:
                    raise TrainingError(f"machine {rank} was started again during training.")
            if time.monotonic() - self._moved_at[rank] > self._timeout_s:
                raise TrainingError(
                    f"machine {rank} gave no sign of life for {self._timeout_s:.0f} s: see its "
                    "log, and whether store_dir is on a disk that all machines share."
                )

    def _beat(self) -> None:
        while not self._ended.is_set():
            with suppress(OSError):  # a shared disk may be away for a while
                self._write()
            self._ended.wait(BEAT_S)

    def _write(self, **changes: Any) -> None:
        with self._lock:
            self._status = replace(self._status, beat=self._status.beat + 1, **changes)
            write_json(self._file(self.machines.rank), asdict(self._status))

    def _read(self, rank: int) -> Status | None:
        try:
            return Status(**json.loads(self._file(rank).read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return None

    def _file(self, rank: int) -> Path:
        return self._folder / f"{rank}.json"


def make_meeting(accelerate: AccelerateConfig, training: Path) -> Meeting:
    """The meeting of a training, by the path of its artefact; unlike that of any other job."""
    machines = find_machines(accelerate, os.environ)
    folder = training.with_suffix(f".{machines.main_ip}-{machines.main_port}")
    return Meeting(machines, folder, accelerate.machine_timeout_s)
