"""Online GRPO (https://arxiv.org/abs/2402.03300) with TRL, a LoRA adapter and judged rewards."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from threading import Event
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from trl import GRPOConfig, GRPOTrainer

from coderl_exp.config import RewardKind, SandboxConfig
from coderl_exp.generation.rollouts import SAMPLING_OPTIONS, Rollouts
from coderl_exp.method import GRPOJob, TrainingResult
from coderl_exp.method.metrics_file import MetricsWriter, trained_tokens
from coderl_exp.method.trainer_options import (
    common_options,
    fit,
    is_sharded,
    load_policy,
    num_processes_here,
)
from coderl_exp.model import load_tokenizer
from coderl_exp.records import Problem, read_jsonl
from coderl_exp.rewards import Rewards
from coderl_exp.sandbox import make_judge
from coderl_exp.sandbox.calibration import reference_timeouts

_PASSED_ON = (
    "num_generations", "max_completion_length", "temperature", "top_p", "beta", "epsilon",
    "epsilon_high", "loss_type", "importance_sampling_level", "scale_rewards", "num_iterations",
    "mask_truncated_completions",
)  # fmt: skip
_PASSED_ON_TO_VLLM = (
    "vllm_mode", "vllm_server_base_url", "vllm_gpu_memory_utilization",
    "vllm_tensor_parallel_size", "vllm_enable_sleep_mode", "vllm_importance_sampling_correction",
)  # fmt: skip


def train_grpo(job: GRPOJob, stop: Event) -> TrainingResult:
    """Train, continuing from the last checkpoint in `job.work`, and write the adapter.

    Prompts are messages, so that the chat template is the generation's own.
    """
    problems = {problem.task_id: problem for problem in read_jsonl(job.problems, Problem)}
    judge = make_judge(judge_config(job))
    try:
        rewards = Rewards(
            judge,
            problems,
            reference_timeouts(judge, problems.values(), job.sandbox),
            job.method.reward,
            num_heldout_tests=job.num_heldout_tests,
            max_completion_length=job.method.max_completion_length,
            max_sandbox_error_rate=job.sandbox.max_sandbox_error_rate,
        )
        arguments = _arguments(job, rewards.weights())
        trainer = GRPOTrainer(
            model=load_policy(job.model, load_in_4bit=job.method.load_in_4bit),
            reward_funcs=rewards.functions(),
            args=arguments,
            train_dataset=as_prompts(problems.values()),
            processing_class=load_tokenizer(job.model),
            peft_config=LoraConfig(**vars(job.method.lora), task_type="CAUSAL_LM"),
            callbacks=[MetricsWriter(job.work, counts_tokens_anew=False)],
            rollout_func=own_rollouts(job),
        )
        fit(trainer, job.work, stop)
    finally:
        judge.close()
    return TrainingResult(
        num_steps=trainer.state.global_step,
        counts={"train_problems": len(problems)},
        num_tokens=trained_tokens(job.work),
    )


def own_rollouts(job: GRPOJob) -> Rollouts | None:
    """None: TRL's, or vLLM's."""
    if job.use_vllm or torch.cuda.is_available() or is_sharded():
        return None
    if SAMPLING_OPTIONS & set(job.method.trainer):
        return None
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    method = job.method
    return Rollouts(job.seed, method.max_completion_length, method.temperature, method.top_p)


def judge_config(job: GRPOJob) -> SandboxConfig:
    """The judge of one training process: its share of the CPUs, all tests where they count."""
    num_workers = job.sandbox.num_workers or max(1, (os.cpu_count() or 1) // num_processes_here())
    fraction = job.sandbox.fraction or job.method.reward.kind is RewardKind.fraction
    return replace(job.sandbox, num_workers=num_workers, fraction=fraction)


def as_prompts(problems: Iterable[Problem]) -> Dataset:
    """Rows in TRL's conversational prompt format, with the id by which they are judged."""
    return Dataset.from_list(
        [
            {
                "prompt": [message.as_dict() for message in problem.prompt],
                "task_id": problem.task_id,
            }
            for problem in problems
        ]
    )


def _arguments(job: GRPOJob, reward_weights: list[float]) -> GRPOConfig:
    options: dict[str, Any] = {
        **common_options(job, job.method),
        **{name: getattr(job.method, name) for name in _PASSED_ON},
        "reward_weights": reward_weights,
        "log_completions": True,
        "num_completions_to_print": 1,
        "use_vllm": job.use_vllm,
    }
    if job.use_vllm:
        options |= {name: getattr(job.method, name) for name in _PASSED_ON_TO_VLLM}
    return GRPOConfig(**{**options, **job.method.trainer})
