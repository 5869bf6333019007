"""Offline DPO (https://arxiv.org/abs/2305.18290) with TRL and a LoRA adapter."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from threading import Event
from typing import Any

from datasets import Dataset
from peft import LoraConfig
from trl import DPOConfig, DPOTrainer

from coderl_exp.config import DPOMethodConfig
from coderl_exp.errors import TrainingError
from coderl_exp.method import DPOJob, TrainingResult
from coderl_exp.method.metrics_file import MetricsWriter, trained_tokens
from coderl_exp.method.trainer_options import common_options, fit, load_policy, num_processes
from coderl_exp.model import load_tokenizer
from coderl_exp.records import PreferencePair, read_jsonl


def train_dpo(job: DPOJob, stop: Event) -> TrainingResult:
    """Train, continuing from the last checkpoint in `job.work`, and write the adapter.

    The reference is the policy with its adapter switched off. Pairs are conversational, so that
    the chat template is the generation's own.
    """
    tokenizer = load_tokenizer(job.model)
    pairs = list(read_jsonl(job.pairs, PreferencePair))
    fitting = [pair for pair in pairs if _num_tokens(pair, tokenizer) <= job.method.max_length]
    train_pairs, eval_pairs = hold_out(fitting, job.method.eval_fraction)
    if not train_pairs:
        raise TrainingError(
            f"none of {len(pairs)} pairs fits into method.max_length={job.method.max_length} "
            "tokens: raise it."
        )
    arguments = _arguments(job, len(train_pairs), has_eval=bool(eval_pairs))
    trainer = DPOTrainer(
        model=load_policy(job.model, load_in_4bit=job.method.load_in_4bit),
        args=arguments,
        train_dataset=as_dataset(train_pairs),
        eval_dataset=as_dataset(eval_pairs) if eval_pairs else None,
        processing_class=tokenizer,
        peft_config=LoraConfig(**vars(job.method.lora), task_type="CAUSAL_LM"),
        callbacks=[MetricsWriter(job.work, counts_tokens_anew=True)],
    )
    fit(trainer, job.work, stop)
    return TrainingResult(
        num_steps=trainer.state.global_step,
        counts={
            "train_pairs": len(train_pairs),
            "eval_pairs": len(eval_pairs),
            "too_long_pairs": len(pairs) - len(fitting),
        },
        num_tokens=trained_tokens(job.work),
    )


def hold_out(
    pairs: Sequence[PreferencePair], fraction: float
) -> tuple[list[PreferencePair], list[PreferencePair]]:
    """Train and eval pairs, split by problem: no problem has pairs on both sides."""
    task_ids = {pair.task_id for pair in pairs}
    ordered = sorted(task_ids, key=lambda task_id: hashlib.sha256(task_id.encode()).digest())
    held_out = set(ordered[: int(len(ordered) * fraction)])
    train = [pair for pair in pairs if pair.task_id not in held_out]
    return train, [pair for pair in pairs if pair.task_id in held_out]


def as_dataset(pairs: Sequence[PreferencePair]) -> Dataset:
    """Rows in TRL's conversational preference format."""
    return Dataset.from_list(
        [
            {
                "prompt": [message.as_dict() for message in pair.prompt],
                "chosen": [{"role": "assistant", "content": pair.chosen}],
                "rejected": [{"role": "assistant", "content": pair.rejected}],
            }
            for pair in pairs
        ]
    )


def _arguments(job: DPOJob, num_pairs: int, *, has_eval: bool) -> DPOConfig:
    # Several processes would each look for what one wrote, in folders of their own.
    is_alone = num_processes() == 1
    options: dict[str, Any] = {
        **common_options(job, job.method),
        "precompute_ref_log_probs": is_alone and sees_pairs_again(job.method, num_pairs),
        "beta": job.method.beta,
        "max_length": job.method.max_length,
        "eval_strategy": "epoch" if has_eval else "no",
    }
    return DPOConfig(**{**options, **job.method.trainer})


def sees_pairs_again(method: DPOMethodConfig, num_pairs: int) -> bool:
    """One process goes on after it saw every pair once, so that the reference's log-probs, which do
    not change, are better computed before.
    """
    per_step = method.per_device_train_batch_size * method.gradient_accumulation_steps
    steps_per_epoch = math.ceil(num_pairs / per_step)
    if method.max_steps > 0:
        return method.max_steps > steps_per_epoch
    return method.num_train_epochs > 1


def _num_tokens(pair: PreferencePair, tokenizer: Any) -> int:
    """Tokens of the prompt with the longer completion."""
    prompt = [message.as_dict() for message in pair.prompt]
    longer = max(pair.chosen, pair.rejected, key=lambda text: len(tokenizer(text)["input_ids"]))
    text = tokenizer.apply_chat_template(
        [*prompt, {"role": "assistant", "content": longer}], tokenize=False
    )
    return len(tokenizer(text, add_special_tokens=False)["input_ids"])
