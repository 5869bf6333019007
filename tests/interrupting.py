"""Start a run in the background, wait for a point of it, kill it, and look for what it left."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from coderl_exp.config import PROJECT_ROOT
from tests.experiment import ENVIRONMENT, Experiment

DEADLINE_S = 300
ORPHANS_DEADLINE_S = 30
"""A run that is told to stop may take this long."""


def start(experiment: Experiment, *extra: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        experiment.command("tracking=none", *extra),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        cwd=PROJECT_ROOT,
        env=ENVIRONMENT,
    )


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert process.poll() is None, (
            f"ended too early: {process.stderr and process.stderr.read()}"
        )
        assert time.monotonic() < deadline, "the stage never began"
        time.sleep(0.02)


def live_processes(root: Path) -> list[psutil.Process]:
    """Those that work on this experiment, by their command lines."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if str(root) in " ".join(process.info["cmdline"] or [])
        and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


def processes_of(root: Path) -> list[str]:
    """Command lines of live processes that work on this experiment."""
    return [" ".join(process.info["cmdline"]) for process in live_processes(root)]


def assert_no_orphans(root: Path) -> None:
    deadline = time.monotonic() + ORPHANS_DEADLINE_S
    while processes_of(root) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(root) == []


def in_progress(experiment: Experiment, pattern: str) -> Callable[[], bool]:
    return lambda: any((experiment.root / "store").glob(pattern))


def kill_at(pattern: str, experiment: Experiment, *options: str) -> None:
    """Start a run and kill it when its store has such a file; nothing of it stays."""
    process = start(experiment, *options)
    wait_for(in_progress(experiment, pattern), process)
    process.kill()
    process.wait()
    assert_no_orphans(experiment.root)
