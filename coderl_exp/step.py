"""One artefact of an experiment, and what the steps that make them share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from coderl_exp.generation import Generator
from coderl_exp.meeting import Meeting
from coderl_exp.records import ModelRef
from coderl_exp.sandbox import Judge
from coderl_exp.store import StageKey, Summary
from coderl_exp.tracking import Tracker

VERSIONS = {"generate": 3, "annotate": 2, "rl_build": 2, "train": 4, "merge": 1, "analyze": 2}
"""Raise a stage's version when its result changes for the same configuration."""


class Resources(Protocol):
    """What steps share while a run lasts: loaded models, the judge, the tracker, the machines."""

    tracker: Tracker
    run_dir: Path
    meeting: Meeting

    def generator(self, model: ModelRef) -> Generator:
        """A generator on that model; the last model stays loaded."""

    def release_model(self) -> None:
        """Free the loaded model's memory."""

    def judge(self) -> Judge:
        """The judge, made at the first call."""

    def path(self, step: str) -> Path:
        """The folder of a step that has finished."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One artefact of the experiment."""

    name: str
    stage: str
    """The stage that the user selects."""
    key: StageKey
    inputs: tuple[str, ...]
    """Names of the steps whose artefacts it reads."""
    run: Callable[[Resources, Path], Summary]
    num_completions: int = 0
    """How many completions it generates or judges; for estimates."""
