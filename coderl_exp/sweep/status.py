"""`status.json` in a run's folder: how far the run is, read by whoever follows a sweep.

One process at a time works in a run's folder; a file lock holds others off.
"""

from __future__ import annotations

import json
import os
import socket
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path

from filelock import FileLock, Timeout

from coderl_exp.errors import CoderlError, SweepError
from coderl_exp.progress import observed
from coderl_exp.store import write_json

STATUS = "status.json"
TRACEBACK = "traceback.txt"
_LOCK = ".lock"
_LOCK_TIMEOUT_S = 120.0
"""How long a shared disk may take to free the lock of a machine that died."""
_WRITE_INTERVAL_S = 1.0


class RunState(Enum):
    """Where a run stands."""

    running = "running"
    complete = "complete"
    failed = "failed"
    interrupted = "interrupted"


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """What a run last said of itself. One that was killed still says `running`."""

    state: RunState
    overrides: tuple[str, ...]
    attempt: int
    """1, or more where the run was started again in the same folder."""
    started_at: float
    """Seconds since 1970, of this attempt."""
    updated_at: float
    host: str
    pid: int
    stage: str = ""
    percent: float = 0.0
    """Of the stage."""
    objective: float | None = None
    """What the run was for, in [0, 1]; None where it was not measured."""
    objective_name: str = ""
    error: str = ""

    @property
    def elapsed_s(self) -> float:
        return self.updated_at - self.started_at


def read_status(run_dir: Path) -> RunStatus | None:
    """None where the run has not begun, or its file was damaged."""
    try:
        fields = json.loads((run_dir / STATUS).read_text(encoding="utf-8"))
        fields["state"] = RunState(fields["state"])
        return RunStatus(**{**fields, "overrides": tuple(fields["overrides"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def is_complete(run_dir: Path, overrides: Sequence[str]) -> bool:
    """A run with these overrides ended in this folder, with a result."""
    status = read_status(run_dir)
    return bool(
        status and status.state is RunState.complete and status.overrides == tuple(overrides)
    )


class StatusFile:
    """Writes the status of one attempt."""

    def __init__(self, run_dir: Path, overrides: Sequence[str]) -> None:
        previous = read_status(run_dir)
        now = time.time()
        self._path = run_dir / STATUS
        self._status = RunStatus(
            state=RunState.running,
            overrides=tuple(overrides),
            attempt=previous.attempt + 1 if previous else 1,
            started_at=now,
            updated_at=now,
            host=socket.gethostname(),
            pid=os.getpid(),
        )
        self._write(self._status)

    def progress(self, stage: str, share: float) -> None:
        """A stage has got so far (0 to 1); written about once a second."""
        is_new = stage != self._status.stage
        if is_new or time.time() - self._status.updated_at >= _WRITE_INTERVAL_S:
            status = replace(self._status, stage=stage, percent=round(100 * share, 1))
            with suppress(OSError):  # a full disk shall fail the stage, not this line about it
                self._write(status)

    def complete(self, name: str, objective: float | None) -> None:
        self._write(
            replace(
                self._status,
                state=RunState.complete,
                percent=100.0,
                objective=objective,
                objective_name=name,
            )
        )

    def fail(self, state: RunState, error: str) -> None:
        with suppress(OSError):  # the error itself is raised on, and matters more
            self._write(replace(self._status, state=state, error=error))

    def _write(self, status: RunStatus) -> None:
        self._status = replace(status, updated_at=time.time())
        write_json(self._path, {**asdict(self._status), "state": self._status.state.value})


def note_failure(run_dir: Path, overrides: Sequence[str], error: str) -> None:
    """The status of a run that was refused before it began."""
    StatusFile(run_dir, overrides).fail(RunState.failed, error)


@contextmanager
def reported(
    run_dir: Path, overrides: Sequence[str], explain: Callable[[BaseException], str]
) -> Iterator[StatusFile]:
    """Keep the status of a run while it lasts; the caller says when it is complete.

    Raises:
        SweepError: another process works in this folder.
    """
    lock = FileLock(run_dir / _LOCK)
    try:
        lock.acquire(timeout=_LOCK_TIMEOUT_S)
    except Timeout:
        raise SweepError(
            f"{run_dir} is in use by another run: wait for it, or choose another hydra.run.dir."
        ) from None
    try:
        status = StatusFile(run_dir, overrides)
        with observed(status.progress):
            yield status
    except Exception as error:
        if not isinstance(error, CoderlError):
            with suppress(OSError):
                (run_dir / TRACEBACK).write_text(traceback.format_exc(), encoding="utf-8")
        status.fail(RunState.failed, explain(error))
        raise
    except BaseException as error:
        status.fail(RunState.interrupted, explain(error))
        raise
    finally:
        lock.release()
