"""One composed experiment, from its typed configuration to its report."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from coderl_exp.config import Config, from_omegaconf
from coderl_exp.errors import CoderlError
from coderl_exp.machines import find_machines
from coderl_exp.memory import keep_freed_memory
from coderl_exp.model import silence_libraries
from coderl_exp.pipeline import Pipeline
from coderl_exp.plan import print_plan
from coderl_exp.report import RunSummary
from coderl_exp.reporting import finish_run
from coderl_exp.store import digest_of
from coderl_exp.sweep.jobs import experiment_overrides
from coderl_exp.sweep.status import note_failure, reported
from coderl_exp.sweep.submitted import GROUP_VARIABLE
from coderl_exp.tracking import NullTracker, RunIdentity, Tracker, make_tracker


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What is to be run, and where."""

    config: Config
    run_dir: Path
    overrides: tuple[str, ...]
    """As on the command line."""
    config_yaml: str


def read_request(composed: DictConfig, run_dir: Path, overrides: Sequence[str]) -> RunRequest:
    """What Hydra composed, as typed objects.

    Raises:
        ConfigError: an impossible combination of values; `status.json` says so too.
    """
    try:
        config = from_omegaconf(composed)
    except CoderlError as error:
        note_failure(run_dir, experiment_overrides(overrides), str(error))
        raise
    return RunRequest(
        config=config,
        run_dir=run_dir,
        overrides=tuple(overrides),
        config_yaml=OmegaConf.to_yaml(composed),
    )


def run_experiment(request: RunRequest, explain: Callable[[BaseException], str]) -> float | None:
    """Run it, or print its plan; pass@k as it was measured last.

    `explain` puts an error into one line, for the run's `status.json`.
    """
    silence_libraries()
    keep_freed_memory()
    config, run_dir = request.config, request.run_dir
    if config.plan:
        print_plan(Pipeline(config, run_dir, NullTracker()))
        return None
    if find_machines(config.accelerate, os.environ).rank > 0:
        pipeline = Pipeline(config, run_dir, NullTracker())
        with pipeline.meeting:
            pipeline.join()
        return None
    with reported(run_dir, experiment_overrides(request.overrides), explain) as status:
        name, objective = _objective(_run(request))
        status.complete(name, objective)
    return objective


def _run(request: RunRequest) -> RunSummary:
    pipeline = Pipeline(request.config, request.run_dir, NullTracker())
    pipeline.tracker = _tracker(request)
    exit_code = 1
    try:
        with pipeline.meeting:
            pipeline.run()
        command = shlex.join(["python", "-m", "coderl_exp", *request.overrides])
        summary = finish_run(pipeline, command, request.config_yaml)
        exit_code = 0
    finally:
        pipeline.close()
        pipeline.tracker.finish(exit_code)
    return summary


def _tracker(request: RunRequest) -> Tracker:
    """One id for all attempts in one folder."""
    config = request.config
    return make_tracker(
        config.tracking,
        request.run_dir,
        RunIdentity(
            run_id=digest_of(str(request.run_dir))[:16],
            name=",".join(experiment_overrides(request.overrides)) or config.experiment,
            group=config.tracking.group or os.environ.get(GROUP_VARIABLE),
            job_type=config.method.name,
        ),
        asdict(config),
    )


def _objective(summary: RunSummary) -> tuple[str, float | None]:
    """pass@1, or the smallest k there is: on the validation split where that was evaluated, so that
    a search does not choose by the test split; else after training, or of the baseline alone."""
    estimates = summary.validation or summary.after or summary.before
    if not estimates:
        return "", None
    k = min(estimates)
    split = "validation " if summary.validation else ""
    return f"{split}pass@{k}", estimates[k].mean
