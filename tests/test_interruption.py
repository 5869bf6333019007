"""Kills, signals and a full disk: nothing is left behind, and the same command continues."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from coderl_exp.method.checkpoints import read_metrics, resume_point
from tests.experiment import adapter_weights, artefacts, make_experiment
from tests.interrupting import (
    assert_no_orphans,
    in_progress,
    kill_at,
    live_processes,
    start,
    wait_for,
)

pytestmark = pytest.mark.slow

NUM_STEPS = 12
TWO_PROCESSES = (
    f"method.max_steps={NUM_STEPS}",
    "method.per_device_train_batch_size=2",
    "method.gradient_accumulation_steps=1",
)


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
        kill_at(pattern, killed)
    last = killed.run("tracking=none")
    assert last.returncode == 0, last.stderr
    (tmp_path / "other").mkdir()
    undisturbed = make_experiment(tmp_path / "other", solver_folder)
    done = undisturbed.run("tracking=none")
    assert done.returncode == 0, done.stderr
    assert artefacts(tmp_path / "run") == artefacts(tmp_path / "other" / "run")
    assert adapter_weights(tmp_path / "run") == adapter_weights(tmp_path / "other" / "run")


@pytest.mark.parametrize(
    ("number", "code", "choice"),
    [
        (signal.SIGINT, 130, "single"),
        (signal.SIGTERM, 143, "ddp"),
        pytest.param(signal.SIGTERM, 143, "single", marks=pytest.mark.exhaustive),
        pytest.param(signal.SIGINT, 130, "ddp", marks=pytest.mark.exhaustive),
    ],
)
def test_a_signal_during_training_ends_every_process_and_loses_no_step(
    number: int, code: int, choice: str, tmp_path: Path, solver_folder: Path
) -> None:
    experiment = make_experiment(tmp_path, solver_folder)
    never_by_itself = ("method.max_steps=500", "method.save_steps=400")
    process = start(experiment, *never_by_itself, f"accelerate={choice}")
    wait_for(in_progress(experiment, "train/*.partial/metrics.jsonl"), process)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert "the same command continues" in stderr.splitlines()[-1]
    assert "Traceback" not in stderr
    assert_no_orphans(tmp_path)
    (work,) = (tmp_path / "store" / "train").glob("*.partial")
    checkpoint = resume_point(work)
    assert checkpoint is not None
    assert checkpoint.step == read_metrics(work)[-1]["step"]


def test_a_stopped_training_continues_at_the_step_it_was_stopped_at(
    tmp_path: Path, solver_folder: Path
) -> None:
    only_at_the_end = ("method.max_steps=40", "method.save_steps=100")
    options = ("stages=[train_gen,rl_build,train]", *only_at_the_end)
    stopped = make_experiment(tmp_path, solver_folder)
    process = start(stopped, *options)
    wait_for(in_progress(stopped, "train/*.partial/metrics.jsonl"), process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    (work,) = (tmp_path / "store" / "train").glob("*.partial")
    assert resume_point(work) is not None
    done = stopped.run("tracking=none", *options)
    assert done.returncode == 0, done.stderr
    (tmp_path / "other").mkdir()
    undisturbed = make_experiment(tmp_path / "other", solver_folder)
    all_but_train = shutil.ignore_patterns("train")
    shutil.copytree(tmp_path / "store", undisturbed.root / "store", ignore=all_but_train)
    assert undisturbed.run("tracking=none", *options).returncode == 0
    curves = [path / "run/artifacts/train/metrics.jsonl" for path in (tmp_path, tmp_path / "other")]
    assert curves[0].read_text() == curves[1].read_text()
    assert adapter_weights(tmp_path / "run") == adapter_weights(tmp_path / "other" / "run")


def losses(run_dir: Path) -> list[tuple[float, float]]:
    """Loss and gradient of every step.

    Not all of a row: of an epoch's last batch, which processes fill up, Accelerate drops the
    surplus from the averages, but not in a training that continues right before it.
    """
    rows = read_metrics((run_dir / "artifacts" / "checkpoints").resolve().parent)
    return [(row["loss"], row["grad_norm"]) for row in rows if "loss" in row]


@pytest.mark.parametrize("choice", ["ddp", pytest.param("fsdp", marks=pytest.mark.exhaustive)])
def test_a_killed_training_of_two_processes_continues_at_its_last_checkpoint(
    choice: str, tmp_path: Path, solver_folder: Path
) -> None:
    options = ("stages=[train_gen,rl_build,train]", f"accelerate={choice}", *TWO_PROCESSES)
    killed = make_experiment(tmp_path, solver_folder)
    kill_at("train/*.partial/checkpoints/checkpoint-4", killed, *options)
    (work,) = (tmp_path / "store" / "train").glob("*.partial")
    checkpoint = resume_point(work)
    assert checkpoint is not None
    done = killed.run("tracking=none", *options, run="continued")
    assert done.returncode == 0, done.stderr
    steps_taken = (tmp_path / "continued" / "train.log").read_text().count("{'loss'")
    assert steps_taken == NUM_STEPS - checkpoint.step
    (tmp_path / "other").mkdir()
    undisturbed = make_experiment(tmp_path / "other", solver_folder)
    all_but_train = shutil.ignore_patterns("train")
    shutil.copytree(tmp_path / "store", undisturbed.root / "store", ignore=all_but_train)
    assert undisturbed.run("tracking=none", *options).returncode == 0
    assert losses(tmp_path / "continued") == losses(undisturbed.root / "run")
    assert adapter_weights(tmp_path / "continued") == adapter_weights(undisturbed.root / "run")


def test_a_killed_training_process_ends_the_run_and_the_others(
    tmp_path: Path, solver_folder: Path
) -> None:
    experiment = make_experiment(tmp_path, solver_folder)
    process = start(experiment, "method.max_steps=500", "accelerate=ddp")
    wait_for(in_progress(experiment, "train/*.partial/checkpoints/checkpoint-2"), process)
    ranks = [p for p in live_processes(tmp_path) if "coderl_exp.worker" in p.cmdline()]
    ranks = [p for p in ranks if "accelerate.commands.launch" not in p.cmdline()]
    assert len(ranks) == 2
    ranks[1].kill()
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.search(r"training ended with code 1 \(.*SIGKILL.*\): see .*log", stderr)
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
