"""How much of a test problem can be read in the train split: n-gram overlap of texts and solutions.

The overlap of a test problem is the share of its n-grams that one train problem has too, the
greatest over all train problems (containment, as in https://arxiv.org/abs/2005.14165, appendix C,
which looks at whole corpora). N-grams that many train problems share are wording, not content.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from coderl_exp.dataset.splits import words_of
from coderl_exp.preferences import code_tokens
from coderl_exp.records import Problem

TEXT_NGRAM = 5
"""Words. Tasks are a line or two: longer n-grams would miss all but copies."""
CODE_NGRAM = 10
"""Tokens."""
REPORTED_SHARE = 0.5
_MAX_COMMON_SHARE = 0.05
_MIN_COMMON = 10
"""In a small train split, so many problems that share an n-gram may still be copies."""
_Grams = frozenset[tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """A test problem and the train problem that has most of it."""

    task_id: str
    train_task_id: str
    share: float
    """Of the test problem's n-grams."""


def text_overlaps(train: Sequence[Problem], test: Sequence[Problem]) -> list[Overlap]:
    """Of the problems' texts, greatest first; only from `REPORTED_SHARE` on."""
    return _overlaps(train, test, lambda p: _grams(words_of(p.text), TEXT_NGRAM))


def solution_overlaps(train: Sequence[Problem], test: Sequence[Problem]) -> list[Overlap]:
    """Of the first reference solutions; see `text_overlaps`."""
    return _overlaps(train, test, lambda p: _grams(_tokens(p.reference), CODE_NGRAM))


def _tokens(code: str) -> Sequence[str]:
    try:
        return code_tokens(code)
    except (SyntaxError, ValueError):  # Python 2, or no Python
        return code.split()


def _grams(parts: Sequence[str], size: int) -> _Grams:
    """A text that is shorter than one n-gram is one as a whole."""
    if not parts:
        return frozenset()
    size = min(size, len(parts))
    return frozenset(tuple(parts[i : i + size]) for i in range(len(parts) - size + 1))


def _overlaps(
    train: Sequence[Problem], test: Sequence[Problem], grams_of: Callable[[Problem], _Grams]
) -> list[Overlap]:
    owners = _owners((problem.task_id, grams_of(problem)) for problem in train)
    most = max(_MIN_COMMON, int(_MAX_COMMON_SHARE * len(train)))
    found = []
    for problem in test:
        grams = [g for g in grams_of(problem) if len(owners.get(g, ())) <= most]
        counts = Counter(task_id for gram in grams for task_id in owners.get(gram, ()))
        for task_id, count in counts.most_common(1):
            if count >= REPORTED_SHARE * len(grams):
                share = round(count / len(grams), 3)
                found.append(Overlap(task_id=problem.task_id, train_task_id=task_id, share=share))
    return sorted(found, key=lambda overlap: (-overlap.share, overlap.task_id))


def _owners(grams: Iterable[tuple[str, _Grams]]) -> dict[tuple[str, ...], list[str]]:
    owners: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for task_id, own in grams:
        for gram in own:
            owners[gram].append(task_id)
    return dict(owners)
