"""What a sweep costs beyond its trainings and evaluations, and what it saves.

`python benchmarks/sweep.py` sweeps the learning rate of a tiny experiment in one command. The
ideal is the work itself: every stage that any job needs, once. Independent first runs do all stages
in each of them; two are measured, and the rest counted like them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from coderl_exp.config import PROJECT_ROOT
from tests.experiment import Experiment, make_experiment
from tests.solver import train_solver

_NUM_FIRST_RUNS = 2


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Wall seconds."""

    num_jobs: int
    sweep_s: float
    start_s: float
    """Of the sweep: from its command to its first job."""
    ideal_s: float
    """All stages, once."""
    independent_s: float
    """As many first runs, one after the other."""

    @property
    def overhead_s(self) -> float:
        """Per job."""
        return (self.sweep_s - self.start_s - self.ideal_s) / self.num_jobs


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--jobs", type=int, default=20, help="learning rates (20)")
    parser.add_argument("--tracking", default="none", help="none (default) or wandb, offline")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(Path(folder), options.jobs, options.tracking)
    print(table(measured))


def measure(root: Path, num_jobs: int, tracking: str) -> Measured:
    """Run the sweep, then the first runs."""
    train_solver(root / "model")
    rates = ",".join(f"{1e-3 + 1e-4 * number:.1e}" for number in range(num_jobs))
    options = (f"tracking={tracking}", f"method.learning_rate={rates}")
    sweep = _experiment(root, "sweep")
    sweep_s = _timed("-m", *sweep.arguments(*options, f"hydra.sweep.dir={sweep.root / 'sweep'}"))
    first_s = []
    for number in range(_NUM_FIRST_RUNS):
        first = _experiment(root, f"first{number}")
        first_s.append(
            _timed(*first.arguments(f"tracking={tracking}", "method.learning_rate=1e-3"))
        )
    started_at = min(
        float(json.loads(file.read_text())["started_at"])
        for file in (sweep.root / "sweep").glob("*/status.json")
    )
    return Measured(
        num_jobs=num_jobs,
        sweep_s=sweep_s,
        start_s=started_at - _command_started(sweep),
        ideal_s=_stages_s(sweep.root / "store"),
        independent_s=num_jobs * sum(first_s) / len(first_s),
    )


def _experiment(root: Path, name: str) -> Experiment:
    (root / name).mkdir()
    return make_experiment(root / name, root / "model")


def _timed(*arguments: str) -> float:
    """Wall seconds of a command, which must succeed."""
    environment = {
        **os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "WANDB_MODE": "offline"
    }  # fmt: skip
    started = time.time()
    store = next(Path(a.partition("=")[2]) for a in arguments if a.startswith("store_dir="))
    (store.parent / "started").write_text(str(started))
    command = [sys.executable, "-m", "coderl_exp", *arguments]
    subprocess.run(
        command, check=True, cwd=PROJECT_ROOT, env=environment, stderr=subprocess.DEVNULL
    )
    return time.time() - started


def _command_started(experiment: Experiment) -> float:
    return float((experiment.root / "started").read_text())


def _stages_s(store: Path) -> float:
    """Of all computations of a store."""
    manifests = [json.loads(file.read_text()) for file in store.glob("*/*/manifest.json")]
    return sum(float(manifest["wall_s"]) for manifest in manifests)


def table(measured: Measured) -> str:
    """The result, in Markdown."""
    rows = (
        ("all stages once: the ideal", measured.ideal_s),
        (f"one sweep of {measured.num_jobs} jobs", measured.sweep_s),
        (f"{measured.num_jobs} first runs, each alone", measured.independent_s),
    )
    lines = ["| | seconds |", "| --- | --- |", *(f"| {name} | {s:.0f} |" for name, s in rows)]
    return "\n".join(
        [
            *lines,
            "",
            f"The sweep's start takes {measured.start_s:.1f} s; beyond that and the stages, a job "
            f"costs {measured.overhead_s:.2f} s.",
        ]
    )


if __name__ == "__main__":
    main()
