"""The same training twice: as a job of the pipeline, and as a specification of a bare script."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from coderl_exp.config import (
    AccelerateConfig,
    Config,
    DPOMethodConfig,
    GRPOMethodConfig,
    compose_config,
)
from coderl_exp.dataset import load_dataset
from coderl_exp.errors import ConfigError
from coderl_exp.method import AnyJob, DPOJob, GRPOJob
from coderl_exp.model import resolve_model
from coderl_exp.prompts import with_prompts
from coderl_exp.records import ModelRef, PreferencePair, Problem, VerdictStatus, write_jsonl

METHODS = ("dpo", "grpo")
_COMMON = (
    "num_train_epochs", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps",
    "gradient_checkpointing", "learning_rate", "save_steps", "beta",
)  # fmt: skip
_OF_DPO = ("max_length",)
_OF_GRPO = (
    "num_generations", "max_completion_length", "temperature", "top_p", "epsilon", "epsilon_high",
    "loss_type", "importance_sampling_level", "scale_rewards", "num_iterations",
    "mask_truncated_completions",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Setup:
    """One method's training; both ways read the same data in the same order."""

    config: Config
    job: AnyJob
    """Its folder is another one in every run."""
    bare: Mapping[str, Any]
    """What a bare script is told, without what differs from run to run."""

    @property
    def method(self) -> str:
        return self.config.method.name

    @property
    def accelerate(self) -> AccelerateConfig:
        return self.config.accelerate

    @property
    def num_completions(self) -> int:
        """Pairs of a DPO step, or completions of a GRPO step."""
        method = self.config.method
        return method.per_device_train_batch_size * method.gradient_accumulation_steps


def make_setup(method: str, options: argparse.Namespace, folder: Path) -> Setup:
    """The default experiment's training of the method, a few steps of it.

    Raises:
        CoderlError: no model, no data, or an impossible option.
    """
    config = composed(method, options)
    folder.mkdir()
    model = resolve_model(config.model, folder / "digests.json")
    every = with_prompts(load_dataset(config.dataset).problems, config.dataset)
    problems = [problem for problem in every if problem.split == "train"]
    job = _job(config, model, problems, folder)
    rows = pair_rows(pairs_of(problems)) if isinstance(job, DPOJob) else prompt_rows(problems)
    data = folder / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    bare = {
        "model": model.path,
        "dtype": model.dtype,
        "data": str(data),
        "trainer": trainer_options(config),
        "lora": asdict(config.method.lora),
        "cache": str(folder / "cache"),
    }
    return Setup(config=config, job=job, bare=bare)


def composed(method: str, options: argparse.Namespace) -> Config:
    """The config of `python -m coderl_exp method=…` with this benchmark's options."""
    overrides = [
        f"method={method}",
        f"method.max_steps={options.steps}",
        f"method.save_steps={10 * options.steps}",
        "method.gradient_checkpointing=false",
        f"sandbox.isolation={options.isolation}",
        *([f"model.name_or_path={options.model}"] if options.model else []),
        *([f"dataset.path={options.data}"] if options.data else []),
        *(_dpo_sizes(options) if method == "dpo" else _grpo_sizes(options)),
    ]
    return compose_config(*overrides)


def _dpo_sizes(options: argparse.Namespace) -> list[str]:
    return [f"method.per_device_train_batch_size={options.pairs}", "method.eval_fraction=0"]


def _grpo_sizes(options: argparse.Namespace) -> list[str]:
    return [
        f"method.per_device_train_batch_size={options.completions}",
        "method.gradient_accumulation_steps=1",
        f"method.num_generations={options.completions}",
        f"method.max_completion_length={options.tokens}",
        *(["+method.trainer.top_k=0"] if options.trl_rollouts else []),  # its default; see grpo.md
    ]


def _job(config: Config, model: ModelRef, problems: Sequence[Problem], folder: Path) -> AnyJob:
    common: dict[str, Any] = {"model": model, "work": folder, "seed": config.seed}
    match config.method:
        case DPOMethodConfig() as method:
            write_jsonl(folder / "pairs.jsonl", pairs_of(problems))
            return DPOJob(method=method, pairs=folder / "pairs.jsonl", **common)
        case GRPOMethodConfig() as method:
            write_jsonl(folder / "problems.jsonl", problems)
            return GRPOJob(
                method=method,
                problems=folder / "problems.jsonl",
                num_heldout_tests=config.dataset.num_heldout_tests,
                use_vllm=False,
                sandbox=config.sandbox,
                **common,
            )
        case other:
            raise ConfigError(f"method.name is {other.name}: choose dpo or grpo.")


def pairs_of(problems: Sequence[Problem]) -> list[PreferencePair]:
    """Each problem's reference over the next problem's: what is learnt costs no time."""
    others = [*problems[1:], problems[0]]
    return [
        PreferencePair(
            task_id=problem.task_id,
            kind="pass_over_fail",
            prompt=problem.prompt,
            chosen=f"```python\n{problem.reference}\n```\n",
            rejected=f"```python\n{other.reference}\n```\n",
            chosen_index=0,
            rejected_index=1,
            chosen_status=VerdictStatus.passed,
            rejected_status=VerdictStatus.missing_entry_point,
        )
        for problem, other in zip(problems, others, strict=True)
    ]


def pair_rows(pairs: Iterable[PreferencePair]) -> list[dict[str, Any]]:
    """In TRL's conversational preference format."""
    return [
        {
            "prompt": [message.as_dict() for message in pair.prompt],
            "chosen": [{"role": "assistant", "content": pair.chosen}],
            "rejected": [{"role": "assistant", "content": pair.rejected}],
        }
        for pair in pairs
    ]


def prompt_rows(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    """In TRL's conversational prompt format, with the id by which rewards are looked up."""
    return [
        {
            "prompt": [message.as_dict() for message in problem.prompt],
            "task_id": problem.task_id,
        }
        for problem in problems
    ]


def trainer_options(config: Config) -> dict[str, Any]:
    """What a user would write into TRL's config class to get this training.

    That none is missing is checked afterwards, on all arguments that the trainers really had.
    """
    is_grpo = isinstance(config.method, GRPOMethodConfig)
    names = (*_COMMON, *(_OF_GRPO if is_grpo else _OF_DPO))
    own = {"log_completions": True, "num_completions_to_print": 1} if is_grpo else {}
    return {
        **{name: getattr(config.method, name) for name in names},
        "per_device_eval_batch_size": config.method.per_device_train_batch_size,
        "seed": config.seed,
        "logging_steps": 1,
        "save_total_limit": 2,
        "bf16": False,
        "report_to": "none",
        "disable_tqdm": True,
        **own,
    }
