"""Several machines, here two commands on one: one training, one set of results, one end."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from coderl_exp.config import PROJECT_ROOT
from tests.experiment import ENVIRONMENT, Experiment, make_experiment
from tests.test_interruption import assert_no_orphans, in_progress, wait_for

pytestmark = pytest.mark.slow

OPTIONS = (
    "tracking=none",
    "accelerate=ddp",
    "method.per_device_train_batch_size=2",
    "method.gradient_accumulation_steps=1",
    "method.lora.lora_dropout=0",
)
TO_TRAIN = "stages=[train_gen,rl_build,train]"


@pytest.fixture(scope="module")
def one_machine(tmp_path_factory: pytest.TempPathFactory, solver_folder: Path) -> Experiment:
    """A finished run with two processes on one machine."""
    experiment = make_experiment(tmp_path_factory.mktemp("one"), solver_folder)
    done = experiment.run(*OPTIONS)
    assert done.returncode == 0, done.stderr
    return experiment


@pytest.fixture
def experiment(tmp_path: Path, one_machine: Experiment, solver_folder: Path) -> Experiment:
    """With a store that has all but the training and what follows it."""
    copied = make_experiment(tmp_path, solver_folder)
    later = shutil.ignore_patterns("train", "merge", "analyze")
    shutil.copytree(one_machine.root / "store", tmp_path / "store", ignore=later)
    return copied


def start_machines(experiment: Experiment, *extra: str) -> list[subprocess.Popen[str]]:
    """The same command on both, but for what tells the machines apart."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = (
        *OPTIONS,
        "accelerate.num_machines=2",
        "accelerate.main_process_ip=127.0.0.1",
        f"accelerate.main_process_port={port}",
        "accelerate.machine_timeout_s=60",
        *extra,
    )
    return [
        subprocess.Popen(
            experiment.command(*shared, f"accelerate.machine_rank={rank}", run=f"machine{rank}"),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            cwd=PROJECT_ROOT,
            env=ENVIRONMENT,
        )
        for rank in (0, 1)
    ]


def end(machines: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    """Exit codes and what was said on stderr."""
    said = [machine.communicate(timeout=240)[1] for machine in machines]
    return [(machine.returncode, text) for machine, text in zip(machines, said, strict=True)]


def curve(run_dir: Path) -> list[dict[str, Any]]:
    lines = (run_dir / "artifacts" / "train" / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if "loss" in row]


def test_two_machines_train_like_one_with_as_many_processes(
    experiment: Experiment, one_machine: Experiment
) -> None:
    ends = end(start_machines(experiment))
    assert [code for code, _ in ends] == [0, 0], ends
    first, second = experiment.root / "machine0", experiment.root / "machine1"
    rows, expected = curve(first), curve(one_machine.root / "run")
    assert [row["step"] for row in rows] == [1, 2, 3, 4], "every step is written once"
    for name in ("loss", "grad_norm", "rewards/margins"):
        values = [[row[name] for row in each] for each in (rows, expected)]
        assert values[0] == pytest.approx(values[1], rel=1e-3, abs=1e-5), name
    assert len([p for p in (experiment.root / "store" / "train").iterdir() if p.is_dir()]) == 1
    assert (first / "report").exists()
    assert not (second / "artifacts").exists(), "the second machine only trains"


@pytest.mark.exhaustive
def test_a_machine_that_dies_ends_the_others_and_the_same_commands_continue(
    experiment: Experiment,
) -> None:
    machines = start_machines(experiment, TO_TRAIN, "method.max_steps=40")
    wait_for(in_progress(experiment, "train/*.partial/checkpoints/checkpoint-2"), machines[0])
    machines[1].kill()
    (code, said), _ = end(machines)
    assert code == 1
    assert "error: training ended with code 1" in said
    assert "Traceback" not in said
    assert_no_orphans(experiment.root)
    ends = end(start_machines(experiment, TO_TRAIN, "method.max_steps=40"))
    assert [code for code, _ in ends] == [0, 0], ends
    assert [row["step"] for row in curve(experiment.root / "machine0")] == [*range(1, 41)]


def test_a_machine_that_waits_is_told_when_the_first_ends(experiment: Experiment) -> None:
    shutil.rmtree(experiment.root / "store" / "generate")
    machines = start_machines(experiment, TO_TRAIN)
    wait_for(in_progress(experiment, "generate/*.partial/candidates.partial.jsonl"), machines[0])
    wait_for(in_progress(experiment, "train/*/1.json"), machines[1])
    machines[0].send_signal(signal.SIGTERM)
    (first, _), (second, said) = end(machines)
    assert (first, second) == (143, 1)
    assert "machine 0 failed: Terminated" in said
    assert_no_orphans(experiment.root)
