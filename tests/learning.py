"""The learner of `learner.py` trained by the command line: DPO, GRPO, and what must not teach it.

Nothing but the options is its own: each run is the pipeline's, from the baseline to the report.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from coderl_exp.records import VerdictStatus
from coderl_exp.statistics import Estimate
from tests.experiment import Experiment
from tests.learner import train_learner, write_problems

_COMMON = (
    "dataset.num_visible_tests=0",
    "evaluation.num_candidates=16",
    "evaluation.ks=[1]",
    "generation.batch_size=64",
    "generation.num_candidates=16",
    "generation.temperature=1.0",
    "generation.max_tokens=40",
    "method.lora.lora_dropout=0",
    "method.save_steps=100",
    "tracking=none",
)
DPO = (
    *_COMMON,
    "method=dpo",
    "method.per_device_train_batch_size=16",
    "method.gradient_accumulation_steps=1",
    "method.gradient_checkpointing=false",
    "method.learning_rate=3e-4",
    "method.eval_fraction=0",
    "method.num_train_epochs=4",
    "method.max_steps=-1",
)
"""TRL's DPO as it is: the sigmoid loss, and no term that imitates the chosen answers."""
GRPO = (
    *_COMMON,
    "method=grpo",
    "method.num_generations=8",
    "method.per_device_train_batch_size=64",
    "method.gradient_accumulation_steps=1",
    "method.max_completion_length=40",
    "method.temperature=1.0",
    "method.learning_rate=1e-3",
    "method.max_steps=40",
)
_ALL_ONE = ",".join(
    f"{status.value}:1.0" for status in VerdictStatus if status is not VerdictStatus.sandbox_error
)
GRPO_CONSTANT_REWARD = (
    *GRPO,
    "method.reward.kind=graded",
    f"method.reward.grades={{{_ALL_ONE}}}",
)


@dataclass(frozen=True, kw_only=True)
class Learning:
    """What a run says about the held-out problems, pass@1."""

    before: Estimate
    after: Estimate
    difference: Estimate
    """Paired by problem."""
    cost: Mapping[str, Any]
    """The report's sum over all stages, reused ones too."""
    curves: list[dict[str, float]]


def make_learner(root: Path) -> Experiment:
    """Trains the policy and writes its problems below `root`."""
    train_learner(root / "model")
    write_problems(root / "data.jsonl")
    return Experiment(root=root, model=root / "model", dataset=root / "data.jsonl")


def with_wrong_verdicts(experiment: Experiment) -> Experiment:
    """The same policy and held-out problems; what passes on the train problems is random."""
    dataset = experiment.root / "misjudged.jsonl"
    write_problems(dataset, misjudged=True)
    return replace(experiment, dataset=dataset)


def learn(experiment: Experiment, run: str, *options: str) -> Learning:
    """One whole run, which must succeed."""
    done = experiment.run(*options, run=run)
    assert done.returncode == 0, done.stderr
    artefacts = experiment.root / run / "artifacts"
    [file] = (artefacts / "reports").glob("*_summary.json")
    summary = json.loads(file.read_text())
    rows = (artefacts / "train" / "metrics.jsonl").read_text().splitlines()
    return Learning(
        before=Estimate(**summary["before"]["1"]),
        after=Estimate(**summary["after"]["1"]),
        difference=Estimate(**summary["comparisons"]["1"]["difference"]),
        cost=summary["cost"],
        curves=[json.loads(row) for row in rows],
    )
