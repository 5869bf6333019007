"""Sweeps on a real Slurm (`make slurm`): preempted, out of time, cancelled; always the same end."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from coderl_exp.config import PROJECT_ROOT
from coderl_exp.sweep.jobs import read_sweep
from coderl_exp.sweep.status import RunState, RunStatus, read_status
from tests.experiment import ENVIRONMENT, Experiment, adapter_weights, make_experiment, run_cli
from tests.interrupting import assert_no_orphans, wait_for


def slurm_is_up() -> bool:
    """There is a node that takes jobs."""
    if shutil.which("sinfo") is None:
        return False
    done = subprocess.run(["sinfo", "-h"], capture_output=True, check=False, timeout=30)
    return done.returncode == 0


pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(not slurm_is_up(), reason="there is no Slurm here: make slurm"),
]

SLURM = (
    "launcher=slurm", "launcher.poll_interval_s=1", "launcher.gpus_per_node=null",
    "launcher.timeout_min=30", "launcher.cpus_per_task=1", "launcher.max_parallel_jobs=2",
)  # fmt: skip
GRID = ("method.learning_rate=1e-3,2e-3", "generation.temperature=0.8,1.0")
LONGER = ("method.max_steps=60",)
TIMEOUT_S = 1500


def arguments(experiment: Experiment, *extra: str) -> list[str]:
    folder = experiment.root / "sweep"
    return experiment.arguments(*SLURM, f"hydra.sweep.dir={folder}", *extra)


def start(experiment: Experiment, *extra: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "coderl_exp", *arguments(experiment, *extra)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        cwd=PROJECT_ROOT,
        env=ENVIRONMENT,
    )


def status_of(experiment: Experiment, number: int) -> RunStatus:
    status = read_status(experiment.root / "sweep" / str(number))
    assert status is not None
    return status


def queue_id(experiment: Experiment, number: int) -> str:
    return read_sweep(experiment.root / "sweep").submitted[number]


def is_training(experiment: Experiment, number: int) -> bool:
    """It has steps behind it, of which each left a checkpoint, and before it."""
    status = read_status(experiment.root / "sweep" / str(number))
    return status is not None and status.stage == "train" and 5 <= status.percent <= 80


def computed(store: Path) -> Counter[str]:
    manifests = [json.loads(file.read_text()) for file in store.glob("*/*/manifest.json")]
    return Counter(manifest["key"]["stage"] for manifest in manifests)


def test_a_job_that_is_preempted_in_training_ends_with_the_adapter_of_an_undisturbed_one(
    tmp_path: Path, solver_folder: Path
) -> None:
    experiment = make_experiment(tmp_path, solver_folder)
    process = start(experiment, "tracking=none", *LONGER, *GRID)
    wait_for(lambda: is_training(experiment, 0), process)
    subprocess.run(["scontrol", "requeue", queue_id(experiment, 0)], check=True)
    _, stderr = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, stderr
    assert [status_of(experiment, n).state for n in range(4)] == [RunState.complete] * 4
    assert status_of(experiment, 0).attempt == 2
    assert re.search(r"job 0 \(.*\): queued", stderr)
    assert computed(tmp_path / "store") == {
        "audit": 1,
        "generate": 8, "annotate": 8, "rl_build": 2, "train": 4, "merge": 4, "analyze": 4
    }  # fmt: skip
    (tmp_path / "other").mkdir()
    undisturbed = make_experiment(tmp_path / "other", solver_folder)
    done = undisturbed.run(
        "tracking=none", *LONGER, "method.learning_rate=1e-3", "generation.temperature=0.8"
    )
    assert done.returncode == 0, done.stderr
    assert adapter_weights(tmp_path / "sweep" / "0") == adapter_weights(undisturbed.root / "run")
    assert_no_orphans(tmp_path)


@pytest.mark.exhaustive
def test_a_job_that_runs_out_of_time_is_requeued_and_ends_complete(
    tmp_path: Path, solver_folder: Path
) -> None:
    experiment = make_experiment(tmp_path, solver_folder)
    limits = ("launcher.timeout_min=2", "launcher.signal_delay_s=45", "method.max_steps=1200")
    process = start(experiment, "tracking=none", *limits)
    _, stderr = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, stderr
    status = status_of(experiment, 0)
    assert status.state is RunState.complete
    assert status.attempt >= 2, "it was never out of time"
    (log,) = (tmp_path / "sweep" / ".submitit").glob("*/*_log.err")
    assert "timed-out" in log.read_text()
    assert_no_orphans(tmp_path)


def test_a_cancelled_job_fails_alone_and_is_resumed_after_a_detached_start(
    tmp_path: Path, solver_folder: Path
) -> None:
    """It is cancelled while it holds the lock that the other one waits for."""
    experiment = make_experiment(tmp_path, solver_folder)
    started = time.monotonic()
    done = run_cli(
        *arguments(experiment, "tracking=none", GRID[0], "launcher.detach=true"), timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "2 jobs" in done.stderr
    assert time.monotonic() - started < 60
    follower = subprocess.Popen(
        [sys.executable, "-m", "coderl_exp", f"resume={tmp_path / 'sweep'}",
         "launcher.detach=false"],
        stderr=subprocess.PIPE, text=True, cwd=PROJECT_ROOT, env=ENVIRONMENT,
    )  # fmt: skip
    wait_for(lambda: any((tmp_path / "store").glob("generate/*.partial")), follower)
    holder = next(n for n in (0, 1) if read_status(tmp_path / "sweep" / str(n)))
    subprocess.run(["scancel", queue_id(experiment, holder)], check=True)
    _, stderr = follower.communicate(timeout=TIMEOUT_S)
    assert follower.returncode == 1
    assert "1 of 2 jobs failed" in stderr.splitlines()[-1]
    assert status_of(experiment, 1 - holder).state is RunState.complete
    again = run_cli(f"resume={tmp_path / 'sweep'}", "launcher.detach=false", timeout=TIMEOUT_S)
    assert again.returncode == 0, again.stderr
    assert "1 of 2 jobs are complete" in again.stderr
    assert status_of(experiment, holder).state is RunState.complete
    assert_no_orphans(tmp_path)
