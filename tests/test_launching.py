"""Training in several processes: the same steps, one set of results, clear errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from coderl_exp import launch
from coderl_exp.config import PROJECT_ROOT
from coderl_exp.errors import ConfigError
from coderl_exp.launch import accelerate_file, num_processes
from tests.experiment import ENVIRONMENT, Experiment, make_experiment
from tests.test_conf import composed

DPO = ("method.per_device_train_batch_size=2", "method.gradient_accumulation_steps=1")
GRPO = (
    "method=grpo",
    "method.num_generations=8",
    "method.per_device_train_batch_size=4",
    "method.gradient_accumulation_steps=2",
    "method.max_completion_length=60",
    "method.reward.kind=binary",
)

BOTH = pytest.mark.parametrize("method", [DPO, GRPO], ids=["dpo", "grpo"])


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory, solver_folder: Path) -> Experiment:
    """One store for all: only the trainings differ."""
    return make_experiment(tmp_path_factory.mktemp("launching"), solver_folder)


def trained(experiment: Experiment, name: str, *options: str) -> list[dict[str, Any]]:
    """The rows of a training's curves, after the adapter has passed the gate."""
    done = experiment.run(*options, "tracking=none", run=name)
    assert done.returncode == 0, done.stderr
    folder = experiment.root / name / "artifacts"
    check = json.loads(
        ((folder / "merged_model").resolve().parent / "merge_check.json").read_text()
    )
    assert check["greedy_tokens_agree"]
    assert check["adapter_changes_logits_by"] > check["tolerance"]
    lines = (folder / "train" / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    steps = [row["step"] for row in rows if "loss" in row]
    assert steps == [1, 2, 3, 4], "every step is logged once, by rank 0"
    return [row for row in rows if "loss" in row]


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one_with_twice_the_batch(experiment: Experiment) -> None:
    same = ("method.gradient_accumulation_steps=1", "method.lora.lora_dropout=0")
    one = trained(experiment, "one", *same, "method.per_device_train_batch_size=4")
    two = trained(
        experiment, "two", *same, "method.per_device_train_batch_size=2", "accelerate=ddp"
    )
    for name in ("loss", "grad_norm", "rewards/margins"):
        # Only up to the epoch's last batch, which two processes fill up.
        values = [[row[name] for row in rows[:2]] for rows in (one, two)]
        assert values[0] == pytest.approx(values[1], rel=1e-3, abs=1e-5), name


@pytest.mark.slow
def test_two_processes_share_the_rollouts_of_a_step(experiment: Experiment) -> None:
    rows = trained(experiment, "grpo", *GRPO, "accelerate=ddp")
    shares = [value for name, value in rows[0].items() if name.startswith("verdict/")]
    assert sum(shares) == pytest.approx(1.0)
    rollouts = experiment.root / "grpo" / "artifacts" / "train" / "rollouts"
    assert Dataset.from_parquet(str(rollouts / "completions_00001.parquet")).num_rows == 16


@pytest.mark.slow
@pytest.mark.parametrize("method", [DPO, GRPO], ids=["dpo", "grpo"])
def test_two_processes_train_with_zero_2(experiment: Experiment, method: tuple[str, ...]) -> None:
    pytest.importorskip("deepspeed")
    name = "zero2-" + str(len(method))
    trained(experiment, name, *method, "accelerate=zero2")
    checkpoints = experiment.root / name / "artifacts" / "checkpoints"
    assert (checkpoints / "checkpoint-4" / "zero_to_fp32.py").exists(), "DeepSpeed wrote it"


@pytest.mark.slow
@pytest.mark.exhaustive
@BOTH
def test_two_processes_with_fsdp_take_the_steps_of_ddp(
    experiment: Experiment, method: tuple[str, ...]
) -> None:
    # With TRL's rollouts in both: a policy that is spread over processes has no others.
    rollouts = ("+method.trainer.top_k=0",) if method is GRPO else ()
    same = (*method, *rollouts, "method.lora.lora_dropout=0")
    rows = [
        trained(experiment, f"{choice}-{len(method)}", *same, f"accelerate={choice}")
        for choice in ("ddp", "fsdp")
    ]
    for name in {"loss", "grad_norm", "reward", "rewards/margins"} & rows[0][0].keys():
        values = [[row[name] for row in curve] for curve in rows]
        assert values[0] == pytest.approx(values[1], rel=1e-3, abs=1e-5), name


@pytest.mark.slow
def test_fsdp_spreads_every_parameter_over_the_processes(
    experiment: Experiment, tmp_path: Path
) -> None:
    done = experiment.run("tracking=none", "stages=[train_gen,rl_build,train]", *DPO, run="job")
    assert done.returncode == 0, done.stderr
    job = experiment.root / "job" / "artifacts" / "checkpoints" / ".." / "job.json"
    done = accelerate_launch("fsdp", "tests.sharding", str(job.resolve()), str(tmp_path))
    assert done.returncode == 0, done.stderr
    shares = [json.loads((tmp_path / f"share.{rank}.json").read_text()) for rank in (0, 1)]
    assert all(share["sharded"] == share["parameters"] for share in shares)
    assert sum(share["numbers_here"] for share in shares) == shares[0]["numbers"]
    assert max(share["numbers_here"] for share in shares) < 0.6 * shares[0]["numbers"]


@pytest.mark.slow
@pytest.mark.exhaustive
@BOTH
def test_a_job_is_run_again_by_hand(
    experiment: Experiment, method: tuple[str, ...], tmp_path: Path
) -> None:
    name = f"by-hand-{len(method)}"
    trained(experiment, name, *method)
    first = (experiment.root / name / "artifacts" / "adapter").resolve().parent
    done = accelerate_launch("single", "coderl_exp.worker", str(first / "job.json"), str(tmp_path))
    assert done.returncode == 0, done.stderr
    for file in ("metrics.jsonl", "adapter/adapter_model.safetensors"):
        assert (tmp_path / file).read_bytes() == (first / file).read_bytes()


def accelerate_launch(
    choice: str, module: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """As a user would by hand."""
    file = f"launchers/accelerate/{choice}.yaml"
    return subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", "--config_file", file,
         "--main_process_port", "0", "-m", module, *arguments],
        capture_output=True, text=True, cwd=PROJECT_ROOT, env=ENVIRONMENT, timeout=240, check=False,
    )  # fmt: skip


def test_one_process_stays_one() -> None:
    with pytest.raises(ConfigError, match="accelerate=single is one process"):
        composed("accelerate.num_processes=2")
    with pytest.raises(ConfigError, match=r"accelerate\.num_processes is 0"):
        composed("accelerate=ddp", "accelerate.num_processes=0")


@pytest.mark.parametrize("choice", ["zero3", "fsdp"])
def test_a_model_is_not_spread_over_one_process(choice: str) -> None:
    with pytest.raises(ConfigError, match=f"num_processes is 1, but accelerate={choice}"):
        composed(f"accelerate={choice}", "accelerate.num_processes=1")


def test_fsdp_has_no_model_to_precompute_with() -> None:
    trainer = "+method.trainer.precompute_ref_log_probs=true"
    composed("accelerate=ddp", trainer)
    with pytest.raises(ConfigError, match="precompute_ref_log_probs"):
        composed("accelerate=fsdp", trainer)


@pytest.mark.parametrize("choice", ["zero3", "fsdp"])
def test_4_bit_weights_are_not_spread(choice: str) -> None:
    composed("accelerate=zero2", "method.load_in_4bit=true")
    with pytest.raises(ConfigError, match=f"load_in_4bit with accelerate={choice}"):
        composed(f"accelerate={choice}", "method.load_in_4bit=true")


def test_the_file_says_how_many_processes_unless_the_option_does() -> None:
    given = ["null", "4"]
    counts = [
        num_processes(composed("accelerate=ddp", f"accelerate.num_processes={count}").accelerate)
        for count in given
    ]
    assert counts == [2, 4]


def test_a_missing_deepspeed_is_told_before_work_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "find_spec", lambda _name: None)
    accelerate_file(composed("accelerate=ddp").accelerate)
    with pytest.raises(ConfigError, match=r"pip install .*\[deepspeed\]"):
        accelerate_file(composed("accelerate=zero2").accelerate)
