"""Runs a contender once, in processes that are started as they are for a user."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

from benchmarks.overhead_setup import Setup
from benchmarks.training_notes import TIMES_FILE, Notes
from coderl_exp import launch, stages
from coderl_exp.meeting import make_meeting

PIPELINE = "pipeline"
BARE = "bare TRL"
BARE_KEPT = "bare, kept"
CONTENDERS = (PIPELINE, BARE, BARE_KEPT)
"""The first one finds the rewards that the others look up."""

_MAY_DIFFER = frozenset({"output_dir", "logging_dir", "run_name", "reward_weights"})
"""The pipeline's other reward functions have the weight 0, and the bare script has none."""
_COMPARED = ("loss", "grad_norm", "reward", "completions/mean_length")
_SAME = 1e-3
"""Relative difference of a logged value that is still the same training."""


class OverheadError(Exception):
    """A training failed, or two of them did not do the same work."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """One contender, once."""

    contender: str
    round: int
    wall_s: float
    """Of the launcher and all its processes, from start to end."""
    load: float
    """Of the machine when it started; contenders themselves add up to the number of threads."""
    notes: Notes


def train(contender: str, round_: int, setup: Setup, folder: Path) -> Trained:
    """Train from the start in a folder of its own.

    Raises:
        OverheadError: the bare script failed.
        CoderlError: the pipeline's training failed.
    """
    work = folder / f"{round_}-{contender.replace(', ', '-').replace(' ', '-')}"
    work.mkdir()
    load, began = os.getloadavg()[0], time.perf_counter()
    if contender == PIPELINE:
        _train_in_pipeline(setup, work)
    else:
        _train_bare(setup, work, folder, keeps_freed_memory=contender == BARE_KEPT)
    wall_s = time.perf_counter() - began
    notes = Notes.read(work / TIMES_FILE)
    if contender == PIPELINE and setup.method == "grpo":
        _keep_rewards(work, folder / "rewards.json")
    return Trained(contender=contender, round=round_, wall_s=wall_s, load=load, notes=notes)


def _train_in_pipeline(setup: Setup, work: Path) -> None:
    """The pipeline's own stage; only the module that its launcher starts is another one."""
    job = replace(setup.job, work=work)
    meeting = make_meeting(setup.accelerate, work)
    with patch.object(launch, "WORKER", "benchmarks.overhead_worker"):
        stages.train("train", job, setup.accelerate, work / "train.log", lambda _row: None, meeting)


def _train_bare(setup: Setup, work: Path, folder: Path, *, keeps_freed_memory: bool) -> None:
    spec = {
        **setup.bare,
        "trainer": {**setup.bare["trainer"], "output_dir": str(work / "checkpoints")},
        "adapter": str(work / "adapter"),
        "times": str(work / TIMES_FILE),
        "rewards": str(folder / "rewards.json"),
        "keeps_freed_memory": keeps_freed_memory,
    }
    spec_file = work / "spec.json"
    spec_file.write_text(json.dumps(spec, indent=1) + "\n", encoding="utf-8")
    config_file = str(launch.accelerate_file(setup.accelerate))
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", config_file]
    with (work / "train.log").open("wb") as log:
        ended = subprocess.run(
            [*command, "-m", f"benchmarks.bare_{setup.method}", str(spec_file)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=launch.environment(setup.accelerate),
            check=False,
        )
    if ended.returncode:
        tail = (work / "train.log").read_text(encoding="utf-8", errors="replace")[-3000:]
        raise OverheadError(f"the bare script ended with {ended.returncode}: {tail}")


def _keep_rewards(work: Path, path: Path) -> None:
    """The reward of every completion of a training, from the tables that TRL wrote."""
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    files = sorted((work / "checkpoints" / "completions").glob("*.parquet"))
    rows = [
        {
            "task_id": row["task_id"],
            "completion": row["completion"][0]["content"],
            "reward": row["correctness"],
        }
        for file in files
        for row in Dataset.from_parquet(str(file), cache_dir=str(work / "cache"))
    ]
    path.write_text(json.dumps(rows) + "\n", encoding="utf-8")


def check_same_work(runs: Sequence[Trained]) -> dict[str, float]:
    """The largest difference of each logged value from the first run's, step by step.

    Raises:
        OverheadError: the trainers had other options or threads, or learnt something else.
    """
    largest = dict.fromkeys(_COMPARED, 0.0)
    for run in runs[1:]:
        _check_options(run, runs[0])
        steps = zip(runs[0].notes.logged, run.notes.logged, strict=True)
        for number, (ours, theirs) in enumerate(steps, start=1):
            for name in ours.keys() & _COMPARED:
                apart = abs(ours[name] - theirs[name])
                largest[name] = max(largest[name], apart)
                if apart > _SAME * max(1.0, abs(ours[name])):
                    raise OverheadError(
                        f"in step {number} {run.contender} logs a {name} of {theirs[name]}, "
                        f"{runs[0].contender} {ours[name]}: they did not do the same work."
                    )
    return {name: apart for name, apart in largest.items() if name in runs[0].notes.logged[0]}


def _check_options(run: Trained, first: Trained) -> None:
    ours, theirs = first.notes.arguments, run.notes.arguments
    differing = sorted(
        name
        for name in ours.keys() | theirs.keys()
        if ours.get(name) != theirs.get(name) and name not in _MAY_DIFFER
    )
    if differing or first.notes.num_threads != run.notes.num_threads:
        raise OverheadError(
            f"{run.contender} trains with other options than {first.contender}: "
            f"{', '.join(differing) or 'the number of threads'}."
        )
