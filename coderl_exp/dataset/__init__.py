"""Datasets: a config in, problems of all splits out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coderl_exp.config import (
    DatasetConfig,
    HumanEvalDatasetConfig,
    MBPPDatasetConfig,
    TACODatasetConfig,
)
from coderl_exp.dataset.humaneval import load_humaneval
from coderl_exp.dataset.mbpp import load_mbpp
from coderl_exp.dataset.selection import choose_problems
from coderl_exp.dataset.splits import drop_near_duplicates
from coderl_exp.dataset.taco import load_taco
from coderl_exp.errors import ConfigError, DataError
from coderl_exp.records import Problem, to_json


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """What was read, as the data says it: not yet audited, without prompts."""

    problems: Sequence[Problem]
    """Train first, then validation, test and prompt, each in the order of the data."""
    left_out: Mapping[str, int]
    """Reason → problems that were read and left out."""


def load_dataset(config: DatasetConfig) -> Dataset:
    """Read, split and select.

    Raises:
        DataError: the data is missing, truncated or malformed, or there is none.
    """
    left_out: Counter[str] = Counter()
    match config:
        case MBPPDatasetConfig():
            problems = load_mbpp(config)
        case TACODatasetConfig():
            problems = load_taco(config, left_out)
        case HumanEvalDatasetConfig():
            problems = load_humaneval(config)
        case _:
            raise ConfigError(f"dataset.name is {config.name}, which has no loader.")
    problems = _encodable(problems, left_out)
    if not problems:
        listed = ", ".join(f"{reason}: {count}" for reason, count in left_out.items())
        raise DataError(
            f"dataset={config.name} has no problem ({listed or 'the data is empty'}): correct "
            "dataset.path or the selection."
        )
    _check_ids(problems)
    if config.near_duplicate_threshold is not None:
        problems, dropped = drop_near_duplicates(problems, config.near_duplicate_threshold)
        left_out["near-duplicate of a test problem"] += len(dropped)
    return Dataset(problems=choose_problems(problems, config), left_out=+left_out)


def _encodable(problems: Sequence[Problem], left_out: Counter[str]) -> list[Problem]:
    """Without those that hold half a character, which no file and no process could be given."""
    kept = [problem for problem in problems if _is_encodable(problem)]
    if dropped := len(problems) - len(kept):
        left_out["half a character (a lone surrogate)"] += dropped
    return kept


def _is_encodable(problem: Problem) -> bool:
    try:
        to_json(problem).encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_ids(problems: Sequence[Problem]) -> None:
    """Raises: DataError: two problems, perhaps of two splits, have one id."""
    [(task_id, count)] = Counter(problem.task_id for problem in problems).most_common(1)
    if count > 1:
        raise DataError(
            f"{count} problems have the id {task_id}: give each one an id of its own, also across "
            "splits."
        )


def check_split(dataset: Dataset, config: DatasetConfig, split: str) -> None:
    """Raises: DataError: there is no problem in a split that is needed."""
    if any(problem.split == split for problem in dataset.problems):
        return
    listed = ", ".join(f"{reason}: {count}" for reason, count in dataset.left_out.items())
    ids = config.id_ranges().get(split) if isinstance(config, MBPPDatasetConfig) else None
    if ids and not dataset.left_out:
        raise DataError(
            f"dataset={config.name} has no {split} problem with a task id in {ids[0]}…{ids[1]}: "
            f"correct dataset.{split}_ids or dataset.path."
        )
    raise DataError(
        f"dataset={config.name} has no {split} problem ({listed or 'none in the data'}): take "
        "another dataset or selection, or other stages (stages=[baseline] needs a test split only)."
    )
