"""Kills, signals and a full disk: nothing is left behind, and the same command continues."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from coderl_exp.config import PROJECT_ROOT
from tests.experiment import (
    ENVIRONMENT,
    Experiment,
    adapter_weights,
    artefacts,
    make_experiment,
)

pytestmark = pytest.mark.slow

DEADLINE_S = 120


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


def processes_of(root: Path) -> list[str]:
    """Command lines of live processes that work on this experiment."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(root) in line and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(line)
    return found


def assert_no_orphans(root: Path) -> None:
    deadline = time.monotonic() + 15
    while processes_of(root) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(root) == []


def in_progress(experiment: Experiment, pattern: str) -> Callable[[], bool]:
    return lambda: any((experiment.root / "store").glob(pattern))


def test_a_run_killed_in_every_stage_ends_with_the_numbers_of_an_undisturbed_one(
    tmp_path: Path, solver_folder: Path
) -> None:
    killed = make_experiment(tmp_path, solver_folder)
    points = [
        "generate/*.partial/candidates.partial.jsonl",
        "annotate/*",
        "train/*.partial/checkpoints/checkpoint-2",
        "merge/*.partial/*",
        "analyze/*.partial",
    ]
    for pattern in points:
        process = start(killed)
        wait_for(in_progress(killed, pattern), process)
        process.kill()
        process.wait()
        assert_no_orphans(tmp_path)
    last = killed.run("tracking=none")
    assert last.returncode == 0, last.stderr
    (tmp_path / "other").mkdir()
    undisturbed = make_experiment(tmp_path / "other", solver_folder)
    done = undisturbed.run("tracking=none")
    assert done.returncode == 0, done.stderr
    assert artefacts(tmp_path / "run") == artefacts(tmp_path / "other" / "run")
    assert adapter_weights(tmp_path / "run") == adapter_weights(tmp_path / "other" / "run")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_during_training_ends_every_process(
    number: int, code: int, tmp_path: Path, solver_folder: Path
) -> None:
    experiment = make_experiment(tmp_path, solver_folder)
    process = start(experiment, "method.max_steps=500")
    wait_for(in_progress(experiment, "train/*.partial/metrics.jsonl"), process)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == code
    assert "the same command continues" in stderr.splitlines()[-1]
    assert "Traceback" not in stderr
    assert_no_orphans(tmp_path)


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mount") is None, reason="needs root to mount a small tmpfs"
)
def test_a_full_disk_is_one_line_and_the_run_continues_with_more_space(
    tmp_path: Path, solver_folder: Path
) -> None:
    experiment = make_experiment(tmp_path, solver_folder)
    store = tmp_path / "store"
    store.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", store]).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        full = experiment.run("tracking=none")
        assert full.returncode == 1
        assert "the disk is full" in full.stderr.splitlines()[-1]
        assert "Traceback" not in full.stderr
        subprocess.run(["mount", "-o", "remount,size=200m", store], check=True)
        done = experiment.run("tracking=none")
        assert done.returncode == 0, done.stderr
    finally:
        subprocess.run(["umount", store], check=True)
