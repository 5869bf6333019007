"""The training step: its key, and the job that the training processes are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

from coderl_exp import stages
from coderl_exp.config import Config, DPOMethodConfig, GRPOMethodConfig, MethodConfig, SandboxConfig
from coderl_exp.errors import ConfigError
from coderl_exp.extraction import EXTRACTION_VERSION
from coderl_exp.launch import accelerate_file, num_processes
from coderl_exp.method import AnyJob, DPOJob, GRPOJob
from coderl_exp.method.checkpoints import CHECKPOINTS
from coderl_exp.prompts import PROMPT_VERSION
from coderl_exp.records import ModelRef, Problem, write_jsonl
from coderl_exp.step import VERSIONS, Resources, Step
from coderl_exp.store import StageKey, Summary, digest_of_file
from coderl_exp.tracking import Tracker

ROLLOUTS = f"{CHECKPOINTS}/completions"
_ROLLOUTS_PER_STEP = 16
MakeJob = Callable[[Resources, Path], AnyJob]


def training_step(
    config: Config,
    base: ModelRef,
    problems: Sequence[Problem],
    data: str,
    rl_build: Step,
    verdicts: Step,
) -> Step:
    """The step of the configured method, on the train split's problems, whose digest is `data`.

    DPO reads the pairs of `rl_build`; GRPO reads the `verdicts` of train_gen where it filters
    problems by their pass rate.
    """
    make_job: MakeJob
    match config.method:
        case DPOMethodConfig() as dpo:
            make_job = partial(_dpo_job, dpo, base, config.seed)
            return _step(config, base, make_job, {"pairs": rl_build}, {})
        case GRPOMethodConfig() as grpo:
            inputs = {} if grpo.pass_rate_range is None else {"verdicts": verdicts}
            make_job = partial(_grpo_job, grpo, config, base, problems, verdicts.name)
            return _step(config, base, make_job, inputs, _rollout_settings(config, data))
        case other:
            raise ConfigError(f"method.name is {other.name}: choose dpo or grpo.")


def _dpo_job(
    method: DPOMethodConfig, model: ModelRef, seed: int, resources: Resources, work: Path
) -> DPOJob:
    pairs = resources.path("rl_build") / stages.PAIRS
    return DPOJob(method=method, model=model, pairs=pairs, work=work, seed=seed)


def _grpo_job(
    method: GRPOMethodConfig,
    config: Config,
    model: ModelRef,
    problems: Sequence[Problem],
    verdicts: str,
    resources: Resources,
    work: Path,
) -> GRPOJob:
    resources.judge().close()  # what it finds missing is told before the model is loaded
    annotation = None if method.pass_rate_range is None else resources.path(verdicts)
    chosen = stages.select_problems(problems, annotation, method.pass_rate_range)
    write_jsonl(work / stages.TRAIN_PROBLEMS, chosen)
    return GRPOJob(
        method=method,
        model=model,
        problems=Path(stages.TRAIN_PROBLEMS),
        num_heldout_tests=config.dataset.num_heldout_tests,
        use_vllm=config.rolls_out_with_vllm,
        sandbox=config.sandbox,
        work=work,
        seed=config.seed,
    )


def _rollout_settings(config: Config, data: str) -> dict[str, Any]:
    """What the rewards depend on beside the method's options."""
    return {
        "data": data,
        "num_heldout_tests": config.dataset.num_heldout_tests,
        "use_vllm": config.rolls_out_with_vllm,
        "extraction": EXTRACTION_VERSION,
        "prompt": prompt_settings(config),
        "sandbox": sandbox_limits(config.sandbox),
    }


def prompt_settings(config: Config) -> dict[str, Any]:
    """What a prompt depends on beside its problem."""
    dataset = config.dataset
    shots = {"num_shots": dataset.num_shots, "shot_ids": dataset.shot_ids}
    return {"version": PROMPT_VERSION, "style": dataset.prompt_style.value, **shots}


def sandbox_limits(config: SandboxConfig) -> dict[str, Any]:
    """What can change a verdict: not how many are judged at once, or where."""
    limits = asdict(config)
    for irrelevant in ("num_workers", "max_sandbox_error_rate", "lane", "endpoint"):
        del limits[irrelevant]
    return {**limits, "isolation": config.isolation.value}


def _step(
    config: Config,
    model: ModelRef,
    make_job: MakeJob,
    inputs: Mapping[str, Step],
    settings: Mapping[str, Any],
) -> Step:
    def train(resources: Resources, work: Path) -> Summary:
        resources.release_model()
        return stages.train(
            "train",
            make_job(resources, work),
            config.accelerate,
            resources.run_dir / "train.log",
            partial(log_curve, resources.tracker),
            resources.meeting,
        )

    key = StageKey(
        stage="train",
        version=VERSIONS["train"],
        config={
            "method": _plain(config.method),
            "accelerate": digest_of_file(accelerate_file(config.accelerate)),
            "num_processes": num_processes(config.accelerate),
            "seed": config.seed,
            "dtype": model.dtype,
            **settings,
        },
        inputs={
            **{name: step.key.digest for name, step in inputs.items()},
            "model": model.identity,
        },
    )
    names = tuple(step.name for step in inputs.values())
    return Step(name="train", stage="train", key=key, inputs=names, run=train)


def log_curve(tracker: Tracker, row: Mapping[str, float]) -> None:
    """A row of the training's metrics as a point of the run's curves."""
    values = {f"train/{name}": value for name, value in row.items()
              if name not in ("step", "max_steps")}  # fmt: skip
    tracker.log(values, step=int(row["step"]))


def log_rollouts(tracker: Tracker, training: Path) -> None:
    """GRPO's completions as a table, some of each step; the files hold them all."""
    import pyarrow.parquet

    columns = ("step", "task_id", "completion", "verdict", "error", "correctness", "advantage")
    rows: list[list[Any]] = []
    for file in sorted((training / ROLLOUTS).glob("*.parquet")):
        table = pyarrow.parquet.read_table(file, columns=list(columns)).to_pylist()
        rows += [[_shown(row[column]) for column in columns] for row in table[:_ROLLOUTS_PER_STEP]]
    if rows:
        tracker.log_table("rollouts", columns, rows)


def _shown(value: Any) -> Any:
    """A completion is a list of one message."""
    return value[0]["content"] if isinstance(value, list) else value


def _plain(method: MethodConfig) -> dict[str, Any]:
    """The method's options as they are in YAML; enumerations by name."""
    return asdict(
        method,
        dict_factory=lambda items: {k: v.name if isinstance(v, Enum) else v for k, v in items},
    )
