"""Typed schemas of the datasets: which problems, how they are split, trimmed, shown and checked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import combinations

from omegaconf import MISSING

from coderl_exp.errors import ConfigError
from coderl_exp.schemas import check_option


class PromptStyle(Enum):
    """Whose wording a prompt has (docs/datasets.md)."""

    chat = "chat"
    original = "original"
    evalplus = "evalplus"


class Interface(Enum):
    """How the tests reach a program."""

    all = "all"
    function = "function"
    stdin = "stdin"


@dataclass(kw_only=True)
class DatasetConfig:
    """What every dataset has: where it is, what is taken of it, how it is shown and checked."""

    name: str = MISSING
    path: str | None = MISSING
    """A file (.jsonl, .json, .parquet, .arrow) or a folder of them; null loads `hub_id`."""
    hub_id: str | None = MISSING
    hub_config: str | None = MISSING
    """The configuration of the hub's dataset; null for its default."""
    max_problems: int | None = MISSING
    """At most this many problems per split, examples aside; null for all."""
    selection_seed: int | None = MISSING
    """Draws `max_problems` and `max_tests` at random; null takes the first."""
    max_tests: int | None = MISSING
    """At most this many tests per problem; the first one always stays."""
    max_test_bytes: int | None = MISSING
    """The longest tests of a problem go until the others fit; the first one always stays."""
    max_references: int | None = MISSING
    """At most this many reference solutions per problem."""
    num_visible_tests: int = MISSING
    """How many asserts the prompt shows. All of them decide the verdict."""
    num_heldout_tests: int = MISSING
    """Of each problem, the last tests that give no reward in training, only a second look."""
    prompt_style: PromptStyle = MISSING
    num_shots: int = MISSING
    """Solved examples before the problem: 0, 1 or more."""
    shot_ids: list[str] | None = MISSING
    """The examples in order, without the dataset's name; null takes the first of the split
    `prompt`, or of train, which then loses them."""
    near_duplicate_threshold: float | None = MISSING
    """Train problems whose text is this similar to a test problem's (Jaccard) are dropped; null
    keeps them, as official splits do. The report tells of them either way."""
    audit: bool = MISSING
    """Judge the reference solutions before the first use: python -m coderl_exp.audit."""

    def __post_init__(self) -> None:
        for name in ("max_problems", "max_tests", "max_test_bytes", "max_references"):
            value = getattr(self, name)
            check_option(value is None or value > 0, f"dataset.{name}", self)
        for name in ("num_visible_tests", "num_heldout_tests", "num_shots"):
            check_option(getattr(self, name) >= 0, f"dataset.{name}", self)
        threshold = self.near_duplicate_threshold
        is_valid = threshold is None or 0 < threshold <= 1
        check_option(is_valid, "dataset.near_duplicate_threshold", self)
        if self.begins_answers and self.num_shots:
            raise ConfigError(
                f"dataset.num_shots is {self.num_shots}, but dataset.prompt_style=evalplus has no "
                "examples: set it to 0, or choose chat or original."
            )
        if self.shot_ids is not None and self.num_shots > len(self.shot_ids):
            raise ConfigError(
                f"dataset.num_shots is {self.num_shots}, but dataset.shot_ids names "
                f"{len(self.shot_ids)} examples: name more, or set it to null."
            )

    @property
    def begins_answers(self) -> bool:
        """The prompt ends with the beginning of the assistant's turn."""
        return self.prompt_style is PromptStyle.evalplus


@dataclass(kw_only=True)
class MBPPDatasetConfig(DatasetConfig):
    """Problems in MBPP's schema, split by task id (both ends included)."""

    train_ids: list[int] = MISSING
    test_ids: list[int] = MISSING
    validation_ids: list[int] | None = MISSING
    prompt_ids: list[int] | None = MISSING
    """Problems for the examples of few-shot prompts."""
    use_challenge_tests: bool = MISSING
    """Judge against `challenge_test_list` as well."""
    plus: str | None = MISSING
    """MBPP+ (a file, or a hub id): its tests are added to the test split's, never shown, and the
    problems that it does not have leave the test split. Null for none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, ids in self.id_ranges().items():
            if len(ids) != 2 or ids[0] > ids[1]:
                raise ConfigError(f"dataset.{name}_ids is {ids}: give [first, last], as [11,510].")
        for (one, first), (other, second) in combinations(self.id_ranges().items(), 2):
            if max(first[0], second[0]) <= min(first[1], second[1]):
                raise ConfigError(
                    f"dataset.{one}_ids {first} and dataset.{other}_ids {second} overlap: a "
                    "problem in two splits would make every result worthless."
                )

    def id_ranges(self) -> dict[str, list[int]]:
        """Split → its first and last task id."""
        splits = {
            "train": self.train_ids,
            "test": self.test_ids,
            "validation": self.validation_ids,
            "prompt": self.prompt_ids,
        }
        return {name: ids for name, ids in splits.items() if ids is not None}


@dataclass(kw_only=True)
class TACODatasetConfig(DatasetConfig):
    """Problems in TACO's schema, with its own splits or a seeded one."""

    test_fraction: float = MISSING
    """Of the problems, where the data has no splits of its own."""
    validation_fraction: float = MISSING
    """Of the train problems, where the data has no validation split."""
    split_seed: int = MISSING
    difficulties: list[str] | None = MISSING
    """EASY, MEDIUM, MEDIUM_HARD, HARD, VERY_HARD, UNKNOWN_DIFFICULTY; null for all."""
    sources: list[str] | None = MISSING
    """codeforces, leetcode, …; null for all."""
    interface: Interface = MISSING
    """`function`: only problems with a function to call; `stdin`: only whole programs."""
    use_special_judge: bool = MISSING
    """Keep problems with several right answers, of which the tests know one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_option(0 < self.test_fraction < 1, "dataset.test_fraction", self)
        check_option(0 <= self.validation_fraction < 1, "dataset.validation_fraction", self)


@dataclass(kw_only=True)
class HumanEvalDatasetConfig(DatasetConfig):
    """HumanEval: problems for evaluation only."""
