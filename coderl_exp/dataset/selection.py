"""How much of a dataset is taken: problems of each split, tests of each problem."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import groupby

from coderl_exp.config import DatasetConfig
from coderl_exp.records import Problem

SPLITS = ("train", "validation", "test", "prompt")


def choose_problems(problems: Sequence[Problem], config: DatasetConfig) -> list[Problem]:
    """At most `max_problems` of each split but `prompt`, in their order, train first.

    With a `selection_seed` they are drawn at random; else they are the first.
    """
    chosen: list[Problem] = []
    for split in SPLITS:
        found = [problem for problem in problems if problem.split == split]
        limit = None if split == "prompt" else config.max_problems
        size = min(limit or len(found), len(found))
        chosen += [found[i] for i in _chosen(range(len(found)), size, config, split)]
    return chosen


def choose_tests(sizes: Sequence[int], config: DatasetConfig, task_id: str) -> list[int]:
    """The positions, in order, of the tests that stay, from their sizes in bytes.

    The longest go until the rest fits into `max_test_bytes`; of the others `max_tests` stay, drawn
    with `selection_seed` or the first. The first test always stays.
    """
    kept = list(range(len(sizes)))
    if config.max_test_bytes is not None:
        total = sum(sizes)
        for position in sorted(kept[1:], key=lambda i: -sizes[i]):
            if total <= config.max_test_bytes:
                break
            kept.remove(position)
            total -= sizes[position]
    if config.max_tests is None or len(kept) <= config.max_tests:
        return kept
    return [kept[0], *_chosen(kept[1:], config.max_tests - 1, config, task_id)]


def _chosen(items: Sequence[int], size: int, config: DatasetConfig, key: str) -> list[int]:
    if config.selection_seed is None or size >= len(items):
        return list(items[:size])
    return sorted(random.Random(f"{config.selection_seed}:{key}").sample(items, size))


def count_by_split(problems: Sequence[Problem]) -> dict[str, int]:
    """Split → problems, in the order of `SPLITS`."""
    ordered = sorted(problems, key=lambda p: SPLITS.index(p.split))
    return {split: len(list(group)) for split, group in groupby(ordered, lambda p: p.split)}
