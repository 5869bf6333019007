"""GRPO through the command line: rollouts, rewards, filtering, and a kill in the middle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from coderl_exp.records import Problem, read_jsonl
from coderl_exp.stages import select_problems
from coderl_exp.tracking import NullTracker
from coderl_exp.training_step import log_rollouts
from tests.conftest import make_problem
from tests.experiment import Experiment, adapter_weights, make_experiment
from tests.test_interruption import kill_at

GRPO = (
    "method=grpo",
    "method.num_generations=8",
    "method.per_device_train_batch_size=8",
    "method.gradient_accumulation_steps=2",
    "method.max_completion_length=60",
    "method.reward.kind=binary",
    "tracking=none",
)


def rows_of(run_dir: Path) -> list[dict[str, Any]]:
    text = (run_dir / "artifacts" / "train" / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def final_row(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return [row for row in rows if "reward" in row][-1]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, solver_folder: Path) -> Experiment:
    experiment = make_experiment(tmp_path_factory.mktemp("grpo"), solver_folder)
    done = experiment.run(*GRPO)
    assert done.returncode == 0, done.stderr
    assert "With GRPO" in " ".join(done.stderr.split())
    return experiment


def test_the_curves_name_rewards_verdicts_and_groups(finished: Experiment) -> None:
    row = final_row(rows_of(finished.root / "run"))
    assert row["step"] == row["max_steps"] == 4
    for name in ("rewards/correctness/mean", "rewards/heldout/mean", "heldout_gap", "hardcoded"):
        assert name in row
    shares = [value for name, value in row.items() if name.startswith("verdict/")]
    assert sum(shares) == pytest.approx(1.0)
    assert len(shares) == 11
    assert row["verdict/passed"] == pytest.approx(row["reward"])
    assert 0 <= row["frac_reward_zero_std"] <= 1


def test_every_step_leaves_a_table_of_its_completions(finished: Experiment) -> None:
    files = sorted((finished.root / "run" / "artifacts" / "train" / "rollouts").glob("*.parquet"))
    assert len(files) == 4
    table = Dataset.from_parquet(str(files[0]))
    assert table.num_rows == 16
    assert {"completion", "correctness", "heldout", "verdict", "error", "task_id"} <= set(
        table.column_names
    )
    for row in table:
        assert row["correctness"] == float(row["verdict"] == "passed")
        assert "def f(x):" in row["prompt"][0]["content"]


def test_the_tracker_gets_some_completions_of_every_step(finished: Experiment) -> None:
    class Recorder(NullTracker):
        def log_table(
            self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
        ) -> None:
            self.tables = {name: [dict(zip(columns, row, strict=True)) for row in rows]}

    tracker = Recorder()
    training = (finished.root / "run" / "artifacts" / "adapter").resolve().parent
    log_rollouts(tracker, training)
    [(name, rows)] = tracker.tables.items()
    assert name == "rollouts"
    assert [row["step"] for row in rows] == [step for step in (1, 2, 3, 4) for _ in range(16)]
    assert all(row["completion"].startswith("```python") for row in rows if row["correctness"])


def test_the_adapter_is_trained_merged_and_evaluated(finished: Experiment) -> None:
    folder = finished.root / "run" / "artifacts"
    check = json.loads(
        ((folder / "merged_model").resolve().parent / "merge_check.json").read_text()
    )
    assert check["greedy_tokens_agree"]
    assert check["adapter_changes_logits_by"] > check["tolerance"]
    assert json.loads((folder / "test" / "evaluations_after.json").read_text())["pass_at_k"]
    assert not (folder / "rl").exists()


def test_the_same_command_computes_nothing_again(finished: Experiment) -> None:
    again = finished.run(*GRPO, run="again")
    assert again.returncode == 0, again.stderr
    assert "train: reused from the store" in again.stderr


@pytest.mark.slow
def test_a_training_killed_in_the_middle_continues_at_its_checkpoint(
    tmp_path: Path, finished: Experiment, solver_folder: Path
) -> None:
    killed = make_experiment(tmp_path, solver_folder)
    kill_at("train/*.partial/checkpoints/checkpoint-2", killed, *GRPO)
    done = killed.run(*GRPO)
    assert done.returncode == 0, done.stderr
    assert rows_of(tmp_path / "run") == rows_of(finished.root / "run")
    assert adapter_weights(tmp_path / "run") == adapter_weights(finished.root / "run")


@pytest.mark.slow
def test_problems_outside_the_pass_rates_are_not_trained_on(
    tmp_path: Path, solver_folder: Path
) -> None:
    experiment = make_experiment(tmp_path, solver_folder)
    none = experiment.run(*GRPO, "method.pass_rate_range=[1,1]", run="none")
    assert none.returncode == 1
    assert "none of 5 train problems has a pass rate in [1.0, 1.0]" in none.stderr
    some = experiment.run(*GRPO, "method.pass_rate_range=[0.1,0.9]", "method.max_steps=1")
    assert some.returncode == 0, some.stderr
    [file] = (tmp_path / "store" / "train").glob("*/problems.jsonl")
    chosen = {problem.task_id for problem in read_jsonl(file, Problem)}
    rates: dict[str, list[bool]] = {}
    for line in (tmp_path / "run/artifacts/train/candidates_annotated.jsonl").open():
        row = json.loads(line)
        passed = row["verdict"]["status"] == "passed"
        rates.setdefault(row["candidate"]["task_id"], []).append(passed)
    assert chosen == {name for name, r in rates.items() if 0.1 <= sum(r) / len(r) <= 0.9}


def test_without_a_range_all_problems_are_kept() -> None:
    problems = [make_problem("mini/1"), make_problem("mini/2")]
    assert select_problems(problems, None, None) == problems
