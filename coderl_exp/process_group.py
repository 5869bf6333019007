"""Process groups that never outlive who started them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from contextlib import suppress
from pathlib import Path


def end_group(process: subprocess.Popen[bytes], grace_s: float) -> None:
    """Ask the whole group of `process` to stop, then make it; harmless where it has ended."""
    if process.poll() is None:
        _signal_group(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
    _signal_group(process, signal.SIGKILL)
    process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def logged_since(log_file: Path, start: int, ignoring: re.Pattern[str]) -> list[str]:
    """The lines of a log from byte `start` on, stripped, without those that `ignoring` finds."""
    text = log_file.read_bytes()[start:].decode(errors="replace")
    return [line.strip() for line in text.splitlines() if not ignoring.search(line)]


def die_with_starter(descriptor: int = 0) -> None:
    """Kill this process' group when the other end of the pipe `descriptor` is closed.

    Nothing else may read from it.
    """
    threading.Thread(target=_wait_and_die, args=(descriptor,), daemon=True).start()


def _wait_and_die(descriptor: int) -> None:
    # Not `sys.stdin.read()`: its lock, held by a daemon thread, aborts the interpreter's shutdown.
    while os.read(descriptor, 1):
        pass
    os.killpg(0, signal.SIGKILL)
