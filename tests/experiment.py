"""The command line in a subprocess, on the tiny policy of `solver.py`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from coderl_exp.config import PROJECT_ROOT
from tests.solver import solver_row

ENVIRONMENT = {
    **os.environ,
    # A tiny policy is no faster on two threads, and many times slower where they share a busy CPU.
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "WANDB_MODE": "offline",
    "CUDA_VISIBLE_DEVICES": "",
    "COLUMNS": "100",
    "NO_COLOR": "1",
}


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One experiment's command, with a store and run folders of its own."""

    root: Path
    model: Path
    dataset: Path

    def arguments(self, *extra: str, run: str = "run") -> list[str]:
        return [
            f"dataset.path={self.dataset}",
            f"model.name_or_path={self.model}",
            f"store_dir={self.root / 'store'}",
            f"hydra.run.dir={self.root / run}",
            "generation.max_tokens=60",
            "generation.batch_size=8",
            "generation.num_candidates=8",
            "evaluation.num_candidates=8",
            "method.max_steps=4",
            "method.save_steps=1",
            "method.learning_rate=2e-3",
            "sandbox.isolation=best_effort",
            *extra,
        ]

    def command(self, *extra: str, run: str = "run") -> list[str]:
        return [sys.executable, "-m", "coderl_exp", *self.arguments(*extra, run=run)]

    def run(
        self, *extra: str, run: str = "run", timeout: float = 240
    ) -> subprocess.CompletedProcess[str]:
        return run_cli(*self.arguments(*extra, run=run), timeout=timeout)


def run_cli(
    *arguments: str, timeout: float = 60, cwd: Path = PROJECT_ROOT
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "coderl_exp", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=cwd,
        env=ENVIRONMENT,
        check=False,
    )


def make_experiment(root: Path, model: Path, num_train: int = 5, num_test: int = 4) -> Experiment:
    ids = [*range(101, 101 + num_train), *range(1, 1 + num_test)]
    dataset = root / "data.jsonl"
    dataset.write_text("".join(json.dumps(solver_row(i)) + "\n" for i in ids))
    return Experiment(root=root, model=model, dataset=dataset)


@dataclass(frozen=True, kw_only=True)
class Swept:
    """Two learning rates that share all sampling, and between them a job that cannot work."""

    experiment: Experiment
    folder: Path
    done: subprocess.CompletedProcess[str]


def run_sweep(root: Path, model: Path) -> Swept:
    """In one process, tracked offline."""
    experiment, folder = make_experiment(root, model), root / "day" / "time"
    rates = "method.learning_rate=1e-3,-1.0,2e-3"
    arguments = experiment.arguments(f"hydra.sweep.dir={folder}", rates)
    return Swept(experiment=experiment, folder=folder, done=run_cli("-m", *arguments, timeout=400))


ARTEFACTS = (
    "test/evaluations_baseline.json",
    "test/evaluations_after.json",
    "train/candidates.jsonl",
    "train/candidates_annotated.jsonl",
    "train/metrics.jsonl",
    "rl/nbest.jsonl",
    "rl/pairs.jsonl",
    "rl/manifest.json",
)
"""What two runs with the same seed must agree on, byte for byte."""


def artefacts(run_dir: Path) -> dict[str, bytes]:
    return {name: (run_dir / "artifacts" / name).read_bytes() for name in ARTEFACTS}


def adapter_weights(run_dir: Path) -> bytes:
    return (run_dir / "artifacts" / "adapter" / "adapter_model.safetensors").read_bytes()
