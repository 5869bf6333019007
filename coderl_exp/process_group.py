"""Process groups that never outlive who started them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

GRACE_VARIABLE = "CODERL_GRACE_S"
"""How long a training that is asked to stop may take to finish its step."""


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


def die_with_starter(descriptor: int = 0, on_byte: Callable[[], None] = lambda: None) -> None:
    """Kill this process' group when the other end of the pipe `descriptor` is closed.

    `on_byte` is called, in a thread, for each byte that comes before. Nothing else may read from
    the pipe but other processes that call this: one of them gets a byte, all see the end.
    """
    threading.Thread(target=_wait_and_die, args=(descriptor, on_byte), daemon=True).start()


def _wait_and_die(descriptor: int, on_byte: Callable[[], None]) -> None:
    # Not `sys.stdin.read()`: its lock, held by a daemon thread, aborts the interpreter's shutdown.
    while os.read(descriptor, 1):
        on_byte()
    os.killpg(0, signal.SIGKILL)
