"""Judged candidates → what they look like: diversity, length, failures. Pure: no files, no clock.

Every number is finite or None (undefined), so that a result can be written as strict JSON.

Not covered: whether a change is real (`statistics.py`), and pass@k (`metrics.py`).
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from scipy import stats

from coderl_exp.errors import CoderlError
from coderl_exp.metrics import ProblemResult, verdict_counts
from coderl_exp.preferences import ast_fingerprint, code_tokens, measure_code, similarity
from coderl_exp.records import CodeMetrics, JudgedCandidate, VerdictStatus

MAX_PAIRS_PER_PROBLEM = 45
"""Every pair of ten candidates; of more candidates, evenly spaced pairs."""
NUM_BINS = 24
NUM_ERROR_TYPES = 10
MIN_CORRELATED = 3
"""A rank correlation of fewer points is always ±1 or undefined."""

_Pair = tuple[tuple[str, ...], tuple[str, ...]]
"""The tokens of two programs."""

_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """A set of numbers in short."""

    num: int
    min: float
    median: float
    mean: float
    max: float


@dataclass(frozen=True, kw_only=True)
class SetAnalysis:
    """One set of candidates. None: undefined, because there is nothing to compute it from."""

    num_problems: int
    num_candidates: int
    num_with_code: int
    distinct_share: float | None
    """Distinct programs (by AST, within their problem) among the candidates with code."""
    similarity: Distribution | None
    """Token similarity of two candidates of one problem, over pairs."""
    completion_tokens: Distribution | None
    cut_off_share: float | None
    """Share of completions that ended at the token limit."""
    code_lines: Distribution | None
    """Lines that are neither empty nor a comment, over the programs that parse."""
    verdict_shares: Mapping[str, float]
    extraction_rules: Mapping[str, int]
    error_types: Mapping[str, int]
    """The most frequent ones, most frequent first."""
    num_correlated: int
    """Candidates whose code parses and that were judged: the base of `correlations`."""
    correlations: Mapping[str, float | None]
    """Metric → Spearman's rho with passing."""


@dataclass(frozen=True, kw_only=True)
class ProblemChange:
    """One problem's candidates that passed, of those judged."""

    task_id: str
    num_passed_before: int
    num_before: int
    num_passed_after: int
    num_after: int
    pass_rate_before: float
    pass_rate_after: float


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Completions per bin of length in tokens; empty counts where a stage did not run."""

    edges: tuple[float, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]


def analyze(judged: Sequence[JudgedCandidate]) -> SetAnalysis:
    """Describe one set of candidates; an empty set gives zero counts and None elsewhere."""
    with_code = [row for row in judged if row.code]
    measured = _measure(with_code)
    # An infrastructure failure is not a failure that the code's shape could explain.
    correlated = [
        (row, metrics)
        for row, metrics in measured
        if row.verdict.status is not VerdictStatus.sandbox_error
    ]
    fingerprints = {(row.candidate.task_id, ast_fingerprint(row.code)) for row in with_code}
    return SetAnalysis(
        num_problems=len({row.candidate.task_id for row in judged}),
        num_candidates=len(judged),
        num_with_code=len(with_code),
        distinct_share=_share(len(fingerprints), len(with_code)),
        similarity=_describe(_similarities(with_code)),
        completion_tokens=_describe([row.candidate.num_completion_tokens for row in judged]),
        cut_off_share=_share(
            sum(row.candidate.finish_reason == "length" for row in judged), len(judged)
        ),
        code_lines=_describe([metrics.lines for _, metrics in measured]),
        verdict_shares={
            status: count / len(judged) for status, count in verdict_counts(judged).items()
        },
        extraction_rules=dict(Counter(row.extraction_rule for row in judged).most_common()),
        error_types=_error_types(judged),
        num_correlated=len(correlated),
        correlations=_correlate(correlated),
    )


def problem_changes(
    before: Sequence[ProblemResult], after: Sequence[ProblemResult]
) -> list[ProblemChange]:
    """Per problem of two aligned evaluations; without those that one of them could not judge."""
    return [
        ProblemChange(
            task_id=old.task_id,
            num_passed_before=old.num_passed,
            num_before=old.num_candidates,
            num_passed_after=new.num_passed,
            num_after=new.num_candidates,
            pass_rate_before=old.num_passed / old.num_candidates,
            pass_rate_after=new.num_passed / new.num_candidates,
        )
        for old, new in zip(before, after, strict=True)
        if old.num_candidates and new.num_candidates
    ]


def length_histogram(
    before: Sequence[JudgedCandidate], after: Sequence[JudgedCandidate]
) -> Histogram | None:
    """Bins of one whole width for both sets, from zero to the longest completion."""
    lengths = [[row.candidate.num_completion_tokens for row in rows] for rows in (before, after)]
    longest = max((length for row in lengths for length in row), default=None)
    if longest is None:
        return None
    width = max(1, math.ceil((longest + 1) / NUM_BINS))
    num_bins = longest // width + 1
    counts = [[0] * num_bins if row else [] for row in lengths]
    for row, bins in zip(lengths, counts, strict=True):
        for length in row:
            bins[length // width] += 1
    edges = tuple(float(index * width) for index in range(num_bins + 1))
    return Histogram(edges=edges, before=tuple(counts[0]), after=tuple(counts[1]))


def align(
    before: list[ProblemResult], after: list[ProblemResult]
) -> tuple[list[ProblemResult], list[ProblemResult]]:
    """Both in the order of `before`, so that they can be compared by problem.

    Raises:
        CoderlError: they are not of the same problems.
    """
    if not before or not after:
        return before, after
    found = {result.task_id: result for result in after}
    differing = sorted({result.task_id for result in before} ^ found.keys())
    if differing:
        raise CoderlError(
            f"{len(differing)} problems were evaluated only before or only after training, "
            f"{differing[0]} first: a paired comparison needs the same ones; evaluate both again."
        )
    return before, [found[result.task_id] for result in before]


def _describe(values: Sequence[float]) -> Distribution | None:
    if not values:
        return None
    return Distribution(
        num=len(values),
        min=float(min(values)),
        median=float(statistics.median(values)),
        mean=float(statistics.fmean(values)),
        max=float(max(values)),
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _similarities(rows: Iterable[JudgedCandidate]) -> list[float]:
    """Over pairs of candidates of one problem, at most `MAX_PAIRS_PER_PROBLEM` of each."""
    by_problem: dict[str, list[tuple[str, ...]]] = {}
    for row in rows:
        by_problem.setdefault(row.candidate.task_id, []).append(_tokens(row.code or ""))
    return [
        1.0 if left == right else similarity(left, right)
        for programs in by_problem.values()
        for left, right in _spread(list(combinations(programs, 2)))
    ]


def _spread(pairs: Sequence[_Pair]) -> list[_Pair]:
    """All pairs, or evenly spaced ones where there are too many: the same in every run."""
    if len(pairs) <= MAX_PAIRS_PER_PROBLEM:
        return list(pairs)
    step = len(pairs) / MAX_PAIRS_PER_PROBLEM
    return [pairs[int(position * step)] for position in range(MAX_PAIRS_PER_PROBLEM)]


def _tokens(code: str) -> tuple[str, ...]:
    try:
        return code_tokens(code)
    except _UNREADABLE:  # lone surrogates, which the tokenizer cannot encode
        return tuple(code.split())


def _measure(rows: Iterable[JudgedCandidate]) -> list[tuple[JudgedCandidate, CodeMetrics]]:
    """The candidates whose code parses, with its metrics."""
    measured = []
    for row in rows:
        try:
            measured.append((row, measure_code(row.code or "")))
        except _UNREADABLE:
            continue
    return measured


def _error_types(judged: Iterable[JudgedCandidate]) -> dict[str, int]:
    """`IndexError: list index out of range` counts as `IndexError`."""
    types = (row.verdict.error.partition(":")[0].strip() for row in judged)
    return dict(Counter(name for name in types if name).most_common(NUM_ERROR_TYPES))


def _correlate(
    rows: Sequence[tuple[JudgedCandidate, CodeMetrics]],
) -> dict[str, float | None]:
    passed = [float(row.verdict.passed) for row, _ in rows]
    columns: dict[str, list[float]] = {
        "lines": [metrics.lines for _, metrics in rows],
        "tokens": [metrics.tokens for _, metrics in rows],
        "cyclomatic_complexity": [metrics.cyclomatic_complexity for _, metrics in rows],
        "nesting": [metrics.nesting for _, metrics in rows],
        "completion_tokens": [row.candidate.num_completion_tokens for row, _ in rows],
    }
    return {name: _spearman(values, passed) for name, values in columns.items()}


def _spearman(values: Sequence[float], passed: Sequence[float]) -> float | None:
    """None where it is undefined: too few points, or one side is constant."""
    if len(values) < MIN_CORRELATED or len(set(values)) < 2 or len(set(passed)) < 2:
        return None
    return float(stats.spearmanr(values, passed).statistic)
