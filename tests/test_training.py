"""Training: what is held out, where it continues, and that the launcher leaves nothing behind."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
import torch
from trl import DPOTrainer

from coderl_exp import method
from coderl_exp.config import DPOMethodConfig
from coderl_exp.errors import ConfigError, TrainingError
from coderl_exp.generation.vllm import check_vllm_rollouts
from coderl_exp.launch import MetricsFollower, launch_training
from coderl_exp.meeting import make_meeting
from coderl_exp.method import DPOJob, check_quantisation, check_trainer_options
from coderl_exp.method.checkpoints import forget_metrics_after, read_metrics, resume_point
from coderl_exp.method.dpo import as_dataset, hold_out, sees_pairs_again, train_dpo
from coderl_exp.records import Message, ModelRef, PreferencePair, VerdictStatus, write_jsonl
from tests.test_conf import composed


def pair(task_id: str) -> PreferencePair:
    return PreferencePair(
        task_id=task_id,
        kind="pass_over_fail",
        prompt=(Message(role="user", content="Add one."),),
        chosen="right",
        rejected="wrong",
        chosen_index=0,
        rejected_index=1,
        chosen_status=VerdictStatus.passed,
        rejected_status=VerdictStatus.timeout,
    )


def write_checkpoint(work: Path, step: int, max_steps: int) -> None:
    folder = work / "checkpoints" / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    state = {"global_step": step, "max_steps": max_steps}
    (folder / "trainer_state.json").write_text(json.dumps(state))


def test_no_problem_has_pairs_both_in_training_and_held_out() -> None:
    pairs = [pair(f"mini/{i % 20}") for i in range(60)]
    train, held_out = hold_out(pairs, 0.25)
    assert len(train) + len(held_out) == 60
    assert len({p.task_id for p in held_out}) == 5
    assert not {p.task_id for p in train} & {p.task_id for p in held_out}
    assert hold_out(pairs, 0.0) == (pairs, [])


def test_rows_are_conversational_so_that_the_chat_template_is_applied() -> None:
    row = as_dataset([pair("mini/1")])[0]
    assert row["prompt"] == [{"role": "user", "content": "Add one."}]
    assert row["chosen"] == [{"role": "assistant", "content": "right"}]


def test_training_continues_at_the_newest_checkpoint_before_its_end(tmp_path: Path) -> None:
    assert resume_point(tmp_path) is None
    for step in (4, 8, 12):
        write_checkpoint(tmp_path, step, max_steps=12)
    point = resume_point(tmp_path)
    assert point is not None
    assert point.step == 8


def test_a_checkpoint_that_was_being_written_is_passed_over(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 4, max_steps=12)
    write_checkpoint(tmp_path, 8, max_steps=12)
    (tmp_path / "checkpoints" / "checkpoint-8" / "trainer_state.json").write_text('{"glob')
    point = resume_point(tmp_path)
    assert point is not None
    assert point.step == 4


def test_metrics_of_steps_that_are_taken_again_are_forgotten(tmp_path: Path) -> None:
    rows = [json.dumps({"step": step}) + "\n" for step in range(1, 6)]
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(rows) + '{"step": 6')
    forget_metrics_after(tmp_path, 3)
    assert path.read_text() == "".join(rows[:3])


def test_a_follower_returns_each_complete_row_once(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    follower = MetricsFollower(path)
    assert follower.new_rows() == []
    path.write_text('{"step": 1}\n{"st')
    assert follower.new_rows() == [{"step": 1}]
    path.write_text('{"step": 1}\n{"step": 2}\n')
    assert follower.new_rows() == [{"step": 2}]


def test_trainer_options_are_those_of_trl() -> None:
    check_trainer_options(composed("+method.trainer.warmup_steps=3").method)
    with pytest.raises(ConfigError, match="did you mean label_smoothing"):
        check_trainer_options(composed("+method.trainer.label_smoothin=0.1").method)
    with pytest.raises(ConfigError, match="the pipeline's own"):
        check_trainer_options(composed("+method.trainer.output_dir=/tmp").method)
    with pytest.raises(ConfigError, match=r"is set as method\.beta"):
        check_trainer_options(composed("+method.trainer.beta=0.1").method)


def test_a_failing_worker_is_an_error_that_names_the_log(tmp_path: Path) -> None:
    config = composed()
    assert isinstance(config.method, DPOMethodConfig)
    job = DPOJob(
        method=config.method,
        model=ModelRef(path=str(tmp_path / "none"), revision=None, dtype="float32", identity=""),
        pairs=tmp_path / "pairs.jsonl",
        work=tmp_path,
        seed=0,
    )
    meeting = make_meeting(config.accelerate, tmp_path / "key")
    with pytest.raises(TrainingError, match=r"tokenizer of .*/none"):
        launch_training(job, config.accelerate, tmp_path / "train.log", lambda: None, meeting)


def test_missing_bitsandbytes_are_told_before_work_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(method, "find_spec", lambda _name: None)
    check_quantisation(composed().method)
    with pytest.raises(ConfigError, match=r"pip install .*\[qlora\]"):
        check_quantisation(composed("method.load_in_4bit=true").method)


def test_vllm_rollouts_without_a_gpu_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"method\.use_vllm=false"):
        check_vllm_rollouts()


@pytest.mark.parametrize(
    ("options", "num_pairs", "again"),
    [
        (("method.num_train_epochs=1", "method.max_steps=-1"), 16, False),
        (("method.num_train_epochs=2", "method.max_steps=-1"), 16, True),
        (("method.num_train_epochs=2", "method.max_steps=4"), 13, False),
        (("method.num_train_epochs=1", "method.max_steps=5"), 13, True),
    ],
)
def test_the_reference_is_read_ahead_only_if_a_pair_comes_again(
    options: tuple[str, ...], num_pairs: int, again: bool
) -> None:
    method = composed(
        "method.per_device_train_batch_size=2", "method.gradient_accumulation_steps=2", *options
    ).method
    assert isinstance(method, DPOMethodConfig)
    assert sees_pairs_again(method, num_pairs) is again


def trained_losses(
    tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch, *options: str
) -> tuple[list[float], int]:
    """Of two epochs of three steps, and how often the reference read a batch."""
    method = composed(
        "method.per_device_train_batch_size=2",
        "method.gradient_accumulation_steps=1",
        "method.num_train_epochs=2",
        "method.max_steps=-1",
        "method.eval_fraction=0",
        "method.lora.r=2",
        "method.learning_rate=0.01",
        *options,
    ).method
    assert isinstance(method, DPOMethodConfig)
    tmp_path.mkdir()
    pairs = [replace(pair(f"mini/{n}"), chosen=f"right {n}" * (n + 1)) for n in range(6)]
    write_jsonl(tmp_path / "pairs.jsonl", pairs)
    model = ModelRef(path=str(model_folder), revision=None, dtype="float32", identity="")
    reads = []
    forward = DPOTrainer.compute_ref_log_probs
    monkeypatch.setattr(
        DPOTrainer,
        "compute_ref_log_probs",
        lambda self, *rest: (reads.append(1), forward(self, *rest))[1],
    )
    job = DPOJob(method=method, model=model, pairs=tmp_path / "pairs.jsonl", work=tmp_path, seed=0)
    train_dpo(job, Event())
    monkeypatch.setattr(DPOTrainer, "compute_ref_log_probs", forward)
    return [row["loss"] for row in read_metrics(tmp_path) if "loss" in row], len(reads)


def test_pairs_that_come_again_are_compared_with_a_reference_read_once(
    tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead, reads = trained_losses(tmp_path / "a", model_folder, monkeypatch)
    anew, _ = trained_losses(
        tmp_path / "b",
        model_folder,
        monkeypatch,
        "+method.trainer.precompute_ref_log_probs=false",
    )
    assert reads == 3
    assert ahead == pytest.approx(anew, abs=2e-4)
    assert ahead[0] == pytest.approx(math.log(2), abs=1e-4)
    assert ahead[-1] < ahead[0]
