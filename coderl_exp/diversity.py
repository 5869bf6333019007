"""How different are the programs that a policy writes for one problem? Pure.

Two programs are equal where their syntax trees are. How alike they are is the share of tokens that
they have in common in the same order: 2 · LCS / (m + n), by RapidFuzz.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from rapidfuzz.distance import Indel

from coderl_exp.preferences import ast_fingerprint, code_tokens
from coderl_exp.records import JudgedCandidate, VerdictStatus
from coderl_exp.text import sound_text

MAX_PAIRS_PER_PROBLEM = 45
"""Every pair of ten candidates; of more candidates, evenly spaced pairs."""
NUM_SHOWN_PAIRS = 3
MAX_DIFF_LINES = 80
MAX_LINE_CHARS = 200

UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What reading a program that a model wrote may raise."""


@dataclass(frozen=True, kw_only=True)
class CandidatePair:
    """Two candidates of one problem and what differs between them."""

    task_id: str
    left_index: int
    right_index: int
    left_status: VerdictStatus
    right_status: VerdictStatus
    similarity: float
    diff: str
    """Unified, from left to right; long ones are cut and say so."""


@dataclass(frozen=True, kw_only=True)
class Diversity:
    """Of one set of candidates with code."""

    num_distinct: int
    """Programs, within their problems."""
    cluster_sizes: dict[int, int]
    """Equal programs of a problem form a cluster: size → how many clusters have it."""
    similarities: list[float]
    """Over pairs of candidates of one problem."""
    most_alike: tuple[CandidatePair, ...]
    """Pairs that differ and hardly do, one of a problem; most alike first."""
    least_alike: tuple[CandidatePair, ...]


@dataclass(frozen=True, kw_only=True)
class _Program:
    row: JudgedCandidate
    fingerprint: str
    tokens: tuple[str, ...]


def measure_diversity(rows: Iterable[JudgedCandidate]) -> Diversity:
    """Of candidates with code; sets without any have zero counts."""
    by_problem: dict[str, list[_Program]] = {}
    read: dict[str, tuple[str, tuple[str, ...]]] = {}
    for row in rows:
        code = row.code or ""
        if code not in read:
            read[code] = ast_fingerprint(code), _tokens(code)
        fingerprint, tokens = read[code]
        program = _Program(row=row, fingerprint=fingerprint, tokens=tokens)
        by_problem.setdefault(row.candidate.task_id, []).append(program)
    clusters = [Counter(p.fingerprint for p in programs) for programs in by_problem.values()]
    sizes = Counter(size for cluster in clusters for size in cluster.values())
    compared = [_compare(programs) for programs in by_problem.values()]
    return Diversity(
        num_distinct=sum(map(len, clusters)),
        cluster_sizes=dict(sorted(sizes.items())),
        similarities=[similarity for pairs in compared for similarity, _, _ in pairs],
        most_alike=_extremes(compared, largest=True),
        least_alike=_extremes(compared, largest=False),
    )


def _tokens(code: str) -> tuple[str, ...]:
    try:
        return code_tokens(code)
    except UNREADABLE:  # lone surrogates, which the tokenizer cannot encode
        return tuple(code.split())


_Compared = tuple[float, _Program, _Program]


def _compare(programs: Sequence[_Program]) -> list[_Compared]:
    return [
        (Indel.normalized_similarity(left.tokens, right.tokens), left, right)
        for left, right in _spread(list(combinations(programs, 2)))
    ]


def _spread(pairs: Sequence[tuple[_Program, _Program]]) -> list[tuple[_Program, _Program]]:
    """All pairs, or evenly spaced ones where there are too many: the same in every run."""
    if len(pairs) <= MAX_PAIRS_PER_PROBLEM:
        return list(pairs)
    step = len(pairs) / MAX_PAIRS_PER_PROBLEM
    return [pairs[int(position * step)] for position in range(MAX_PAIRS_PER_PROBLEM)]


def _extremes(compared: Iterable[list[_Compared]], *, largest: bool) -> tuple[CandidatePair, ...]:
    sign = -1 if largest else 1
    of_each = []
    for pairs in compared:
        differing = [pair for pair in pairs if pair[1].fingerprint != pair[2].fingerprint]
        if differing:
            of_each.append(min(differing, key=lambda pair: sign * pair[0]))
    of_each.sort(key=lambda pair: sign * pair[0])
    return tuple(_shown(*pair) for pair in of_each[:NUM_SHOWN_PAIRS])


def _shown(similarity: float, left: _Program, right: _Program) -> CandidatePair:
    return CandidatePair(
        task_id=left.row.candidate.task_id,
        left_index=left.row.candidate.index,
        right_index=right.row.candidate.index,
        left_status=left.row.verdict.status,
        right_status=right.row.verdict.status,
        similarity=similarity,
        diff=_diff(left.row.code or "", right.row.code or ""),
    )


def _diff(left: str, right: str) -> str:
    lines = list(difflib.unified_diff(left.splitlines(), right.splitlines(), lineterm="", n=2))[2:]
    shown = [line[:MAX_LINE_CHARS] for line in lines[:MAX_DIFF_LINES]]
    if len(lines) > len(shown):
        shown.append(f"… {len(lines) - len(shown)} more lines")
    return sound_text("\n".join(shown))
