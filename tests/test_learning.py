"""Does training make a policy better at problems that it was never rewarded for?"""

from __future__ import annotations

import json

import pytest

from tests.experiment import Experiment
from tests.learner import train_learner, write_problems

pytestmark = pytest.mark.slow

OPTIONS = (
    "dataset.num_visible_tests=0",
    "evaluation.num_candidates=16",
    "evaluation.ks=[1]",
    "generation.batch_size=64",
    "generation.temperature=1.0",
    "generation.max_tokens=40",
    "method.lora.lora_dropout=0",
    "method.save_steps=100",
    "tracking=none",
)
GRPO = (
    "method=grpo",
    "method.num_generations=8",
    "method.per_device_train_batch_size=64",
    "method.gradient_accumulation_steps=1",
    "method.max_completion_length=40",
    "method.temperature=1.0",
    "method.learning_rate=3e-3",
    "method.max_steps=40",
)
CONSTANT = "method.reward.grades={" + ",".join(
    f"{name}:1.0"
    for name in (
        "passed", "wrong_answer", "runtime_error", "timeout", "memory_limit", "output_limit",
        "syntax_error", "missing_entry_point", "no_code", "blocked",
    )
) + "}"  # fmt: skip


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    root = tmp_path_factory.mktemp("learning")
    model, dataset = root / "model", root / "data.jsonl"
    train_learner(model)
    write_problems(dataset)
    return Experiment(root=root, model=model, dataset=dataset)


def improvement(experiment: Experiment, name: str, *options: str) -> tuple[float, float, float]:
    """pass@1 before, and the paired difference after training with its lower end."""
    done = experiment.run(*OPTIONS, *options, run=name)
    assert done.returncode == 0, done.stderr
    [file] = (experiment.root / name / "artifacts" / "reports").glob("*_summary.json")
    summary = json.loads(file.read_text())
    difference = summary["comparisons"]["1"]["difference"]
    return summary["before"]["1"]["mean"], difference["mean"], difference["low"]


def test_grpo_learns_what_was_never_rewarded(experiment: Experiment) -> None:
    before, difference, low = improvement(experiment, "grpo", *GRPO, "method.reward.kind=binary")
    assert 0.2 < before < 0.55
    assert difference > 0.2
    assert low > 0


def test_a_constant_reward_teaches_nothing(experiment: Experiment) -> None:
    _, difference, _ = improvement(
        experiment, "constant", *GRPO, "method.reward.kind=graded", CONSTANT
    )
    assert abs(difference) < 0.1
