"""Training methods: thin wrappers around TRL's trainers, one module each."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from importlib.util import find_spec
from pathlib import Path
from threading import Event

from pydantic import TypeAdapter

from coderl_exp.config import DPOMethodConfig, GRPOMethodConfig, MethodConfig, SandboxConfig
from coderl_exp.errors import ConfigError
from coderl_exp.records import ModelRef

OWN_OPTIONS = frozenset(
    {
        "output_dir", "seed", "bf16", "report_to", "disable_tqdm", "eval_strategy",
        "logging_strategy", "logging_steps", "save_strategy", "save_total_limit", "run_name",
        "resume_from_checkpoint", "per_device_eval_batch_size", "reward_weights", "log_completions",
    }
)  # fmt: skip
"""Trainer options that resuming, curves and reproducibility rest on."""


@dataclass(frozen=True, kw_only=True)
class TrainJob:
    """All that a training process needs; written as JSON before it starts."""

    model: ModelRef
    work: Path
    """Receives `adapter/`, `metrics.jsonl`, `training.json` and, while it trains, checkpoints."""
    seed: int


@dataclass(frozen=True, kw_only=True)
class DPOJob(TrainJob):
    """Training on preference pairs."""

    method: DPOMethodConfig
    pairs: Path


@dataclass(frozen=True, kw_only=True)
class GRPOJob(TrainJob):
    """Training on rollouts, which the judge rewards while they come."""

    method: GRPOMethodConfig
    problems: Path
    """In the file, relative to the file's folder."""
    num_heldout_tests: int
    use_vllm: bool
    sandbox: SandboxConfig


AnyJob = DPOJob | GRPOJob


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What a finished training reports."""

    num_steps: int
    counts: Mapping[str, int]
    """What it was trained on, and what was left out."""
    num_tokens: int
    """Tokens of prompts and completions that went through the trainer."""


class TrainingStoppedError(Exception):
    """It was asked to stop before its end; from its checkpoint it can go on."""


def train(job: AnyJob, stop: Event) -> TrainingResult:
    """Run the job's method in this process; every process of a launch calls this.

    Raises:
        TrainingStoppedError: `stop` was set.
    """
    match job:
        case DPOJob():
            from coderl_exp.method.dpo import train_dpo

            return train_dpo(job, stop)
        case GRPOJob():
            from coderl_exp.method.grpo import train_grpo

            return train_grpo(job, stop)


def read_job(path: Path) -> AnyJob:
    """The job that was written as JSON, also from a folder that was moved since."""
    text = path.read_text(encoding="utf-8")
    name = json.loads(text)["method"]["name"]
    job: AnyJob = TypeAdapter(_JOBS[name]).validate_json(text)
    if isinstance(job, GRPOJob):
        return replace(job, problems=path.parent / job.problems)
    return job


_JOBS: dict[str, type[AnyJob]] = {"dpo": DPOJob, "grpo": GRPOJob}


def check_quantisation(method: MethodConfig) -> None:
    """Raises: ConfigError: `load_in_4bit` without bitsandbytes."""
    if method.load_in_4bit and find_spec("bitsandbytes") is None:
        raise ConfigError(
            "method.load_in_4bit needs bitsandbytes, which is not installed: "
            "pip install -c constraints.txt -e '.[qlora]', or set method.load_in_4bit=false."
        )


def check_trainer_options(method: MethodConfig) -> None:
    """Refuse a misspelt `method.trainer.*` before any work starts; imports TRL if there is one.

    Raises:
        ConfigError: an option that TRL's config class does not have, or that has its own place.
    """
    if not method.trainer:
        return
    from trl import DPOConfig, GRPOConfig

    trl_config = GRPOConfig if isinstance(method, GRPOMethodConfig) else DPOConfig
    known = {field.name for field in fields(trl_config)}
    typed = {field.name for field in fields(method)}
    for option in method.trainer:
        if option in typed:
            raise ConfigError(f"method.trainer.{option} is set as method.{option}.")
        if option in OWN_OPTIONS:
            raise ConfigError(f"method.trainer.{option} is the pipeline's own: leave it out.")
        if option not in known:
            close = difflib.get_close_matches(option, known, n=1)
            hint = f"did you mean {close[0]}?" if close else "see TRL's documentation."
            raise ConfigError(
                f"method.trainer.{option} is no option of TRL's {trl_config.__name__}: {hint}"
            )
