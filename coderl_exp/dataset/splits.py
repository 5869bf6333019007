"""Seeded splits that share no problem, and what is too similar across them.

A problem belongs together with all that have its text, up to case, punctuation and white space, or
its URL: such a group is never divided between splits.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from coderl_exp.records import Problem

_SHINGLE_WORDS = 3
_NUM_PERMUTATIONS = 128
_MIN_HASH_ERROR = 0.2
"""Estimates this far below the threshold are looked at exactly."""
_MIN_WORDS = 20
"""A shorter text is a near-duplicate only of an equal one: two short tasks in the same words
("write a function to find the … of a list") are different tasks."""


def words_of(text: str) -> list[str]:
    """Lower-case words and numbers, without punctuation."""
    return re.findall(r"\w+", text.lower())


def seeded_split(
    problems: Sequence[Problem], test_fraction: float, validation_fraction: float, seed: int
) -> list[Problem]:
    """The problems with their split set; a group's split depends on the seed and on it alone.

    `validation_fraction` is of what is not test.
    """
    split: list[Problem] = []
    for problem, group in zip(problems, groups_of(problems), strict=True):
        draw = _uniform(f"{seed}:{group}")
        rest = (draw - test_fraction) / (1 - test_fraction)
        name = "test" if rest < 0 else "validation" if rest < validation_fraction else "train"
        split.append(replace(problem, split=name))  # type: ignore[arg-type]
    return split


def groups_of(problems: Sequence[Problem]) -> list[str]:
    """The name of each problem's group: the least text of its members."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while parent.setdefault(key, key) != key:
            key = parent[key]
        return key

    texts = [" ".join(words_of(p.text)) or p.task_id for p in problems]
    for text, problem in zip(texts, problems, strict=True):
        one = root(text)
        if problem.origin.url:
            other = root(f"\0{problem.origin.url}")
            parent[one] = other
    least: dict[str, str] = {}
    for text in texts:
        least[root(text)] = min(text, least.get(root(text), text))
    return [least[root(text)] for text in texts]


def _uniform(key: str) -> float:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64


def drop_near_duplicates(
    problems: Sequence[Problem], threshold: float
) -> tuple[list[Problem], list[str]]:
    """Without the train and prompt problems that a test or validation problem repeats.

    They have its URL, or a text like its own. Similarity is Jaccard's, of sets of three words in a
    row; MinHash (https://ekzhu.com/datasketch) finds what is worth comparing. Returns the others,
    and the task ids that were dropped.
    """
    held_out = [p for p in problems if p.split in ("test", "validation")]
    others = [p for p in problems if p.split in ("train", "prompt")]
    duplicates = set(_near_duplicates(held_out, others, threshold))
    return [p for p in problems if p.task_id not in duplicates], sorted(duplicates)


def _near_duplicates(
    held_out: Sequence[Problem], others: Sequence[Problem], threshold: float
) -> Iterator[str]:
    from datasketch import MinHashLSH

    index = MinHashLSH(max(0.1, threshold - _MIN_HASH_ERROR), num_perm=_NUM_PERMUTATIONS)
    texts = {text: _shingles(text) for p in held_out if (text := " ".join(words_of(p.text)))}
    for text, shingles in texts.items():
        if len(text.split()) >= _MIN_WORDS:
            index.insert(text, _min_hash(shingles))
    urls = {p.origin.url for p in held_out if p.origin.url}
    for problem in others:
        text = " ".join(words_of(problem.text))
        own = _shingles(text)
        is_same = text in texts or problem.origin.url in urls
        if is_same or any(
            _jaccard(own, texts[near]) >= threshold for near in index.query(_min_hash(own))
        ):
            yield problem.task_id


def _shingles(text: str) -> frozenset[str]:
    words = text.split()
    last = max(1, len(words) - _SHINGLE_WORDS + 1)
    return frozenset(" ".join(words[start : start + _SHINGLE_WORDS]) for start in range(last))


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other)


def _min_hash(shingles: frozenset[str]) -> Any:
    from datasketch import MinHash

    value = MinHash(num_perm=_NUM_PERMUTATIONS)
    value.update_batch([shingle.encode() for shingle in shingles])
    return value
