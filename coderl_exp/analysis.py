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

from coderl_exp.correlation import Correlation, correlate
from coderl_exp.diversity import UNREADABLE, CandidatePair, measure_diversity
from coderl_exp.metrics import verdict_counts
from coderl_exp.preferences import measure_code
from coderl_exp.records import CodeMetrics, JudgedCandidate, VerdictStatus
from coderl_exp.text import sound_text

NUM_SIMILARITY_BINS = 20
NUM_ERROR_TYPES = 10
NUM_FAILING_TESTS = 10
"""Failures of later tests are counted together."""

_NOT_KNOWN = "not known"
_TIMES_S = ((0.01, "under 10 ms"), (0.1, "10 to 100 ms"), (1.0, "100 ms to 1 s"))


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
    cluster_sizes: Mapping[int, int]
    """Equal programs of a problem form a cluster: size → how many clusters have it."""
    similarity: Distribution | None
    """Token similarity of two candidates of one problem, over pairs."""
    similarity_bins: tuple[int, ...]
    """Pairs per twentieth of [0, 1]."""
    most_alike: tuple[CandidatePair, ...]
    """Pairs of one problem that differ and hardly do."""
    least_alike: tuple[CandidatePair, ...]
    completion_tokens: Distribution | None
    tokens_passed: Distribution | None
    """`completion_tokens` of the candidates that pass."""
    tokens_failed: Distribution | None
    cut_off_share: float | None
    """Share of completions that ended at the token limit."""
    code_lines: Distribution | None
    """Lines that are neither empty nor a comment, over the programs that parse."""
    verdict_shares: Mapping[str, float]
    extraction_rules: Mapping[str, int]
    error_types: Mapping[str, int]
    """The most frequent ones, most frequent first."""
    failing_tests: Mapping[str, int]
    """Which test failed first ("1" is the problem's first) → candidates."""
    timeouts: Mapping[str, int]
    """Candidates that ran out of time, by the CPU time of their problem's reference, or of its
    fastest passing candidate where that is not known."""
    num_correlated: int
    """Candidates whose code parses and that were judged: the base of `correlations`."""
    correlations: Mapping[str, Correlation]
    """Metric of size or shape → its correlation with passing."""


def analyze(
    judged: Sequence[JudgedCandidate], reference_s: Mapping[str, float] | None = None
) -> SetAnalysis:
    """Describe one set of candidates; an empty set gives zero counts and None elsewhere.

    `reference_s`: problem → CPU seconds of its reference, as far as they were measured.
    """
    with_code = [row for row in judged if row.code]
    measured = _measure(with_code)
    # An infrastructure failure is not a failure that the code's shape could explain.
    correlated = [
        (row, metrics)
        for row, metrics in measured
        if row.verdict.status is not VerdictStatus.sandbox_error
    ]
    diversity = measure_diversity(with_code)
    return SetAnalysis(
        num_problems=len({row.candidate.task_id for row in judged}),
        num_candidates=len(judged),
        num_with_code=len(with_code),
        distinct_share=_share(diversity.num_distinct, len(with_code)),
        cluster_sizes=diversity.cluster_sizes,
        similarity=_describe(diversity.similarities),
        similarity_bins=_similarity_bins(diversity.similarities),
        most_alike=diversity.most_alike,
        least_alike=diversity.least_alike,
        completion_tokens=_describe_tokens(judged),
        tokens_passed=_describe_tokens(row for row in judged if row.verdict.passed),
        tokens_failed=_describe_tokens(row for row in judged if not row.verdict.passed),
        cut_off_share=_share(
            sum(row.candidate.finish_reason == "length" for row in judged), len(judged)
        ),
        code_lines=_describe([metrics.lines for _, metrics in measured]),
        verdict_shares={
            status: count / len(judged) for status, count in verdict_counts(judged).items()
        },
        extraction_rules=dict(Counter(row.extraction_rule for row in judged).most_common()),
        error_types=_error_types(judged),
        failing_tests=_failing_tests(judged),
        timeouts=_timeouts(judged, reference_s or {}),
        num_correlated=len(correlated),
        correlations=_correlate(correlated),
    )


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


def _describe_tokens(rows: Iterable[JudgedCandidate]) -> Distribution | None:
    return _describe([row.candidate.num_completion_tokens for row in rows])


def _similarity_bins(values: Sequence[float]) -> tuple[int, ...]:
    last = NUM_SIMILARITY_BINS - 1
    counts = Counter(min(int(value * NUM_SIMILARITY_BINS), last) for value in values)
    return tuple(counts[position] for position in range(NUM_SIMILARITY_BINS))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _measure(rows: Iterable[JudgedCandidate]) -> list[tuple[JudgedCandidate, CodeMetrics]]:
    """The candidates whose code parses, with its metrics."""
    measured = []
    known: dict[str, CodeMetrics | None] = {}
    for row in rows:
        code = row.code or ""
        if code not in known:
            known[code] = _metrics(code)
        if metrics := known[code]:
            measured.append((row, metrics))
    return measured


def _metrics(code: str) -> CodeMetrics | None:
    try:
        return measure_code(code)
    except UNREADABLE:
        return None


def _error_types(judged: Iterable[JudgedCandidate]) -> dict[str, int]:
    """`IndexError: list index out of range` counts as `IndexError`."""
    types = (sound_text(row.verdict.error).partition(":")[0].strip() for row in judged)
    return dict(Counter(name for name in types if name).most_common(NUM_ERROR_TYPES))


def first_failing_test(row: JudgedCandidate) -> int | None:
    """The position of the first test that was judged and did not pass; None where there is none."""
    statuses = enumerate(row.verdict.tests)
    return next((i for i, s in statuses if s not in (None, VerdictStatus.passed)), None)


def _failing_tests(judged: Iterable[JudgedCandidate]) -> dict[str, int]:
    failing = (first_failing_test(row) for row in judged if not row.verdict.passed)
    counts = Counter(position for position in failing if position is not None)
    shown = {str(i + 1): counts[i] for i in range(NUM_FAILING_TESTS) if counts[i]}
    later = counts.total() - sum(shown.values())
    return {**shown, "later": later} if later else shown


def _timeouts(
    judged: Sequence[JudgedCandidate], reference_s: Mapping[str, float]
) -> dict[str, int]:
    fastest: dict[str, float] = {}
    for row in judged:
        if row.verdict.passed and row.verdict.usage:
            task_id, seconds = row.candidate.task_id, row.verdict.usage.cpu_s
            fastest[task_id] = min(seconds, fastest.get(task_id, math.inf))
    late = (row for row in judged if row.verdict.status is VerdictStatus.timeout)
    known = {**fastest, **reference_s}
    counts = Counter(_bin(known.get(row.candidate.task_id)) for row in late)
    names = [*(name for _, name in _TIMES_S), "over 1 s", _NOT_KNOWN]
    return {name: counts[name] for name in names if counts[name]}


def _bin(seconds: float | None) -> str:
    if seconds is None:
        return _NOT_KNOWN
    return next((name for limit, name in _TIMES_S if seconds < limit), "over 1 s")


def _correlate(rows: Sequence[tuple[JudgedCandidate, CodeMetrics]]) -> dict[str, Correlation]:
    columns: dict[str, list[float]] = {
        "lines": [metrics.lines for _, metrics in rows],
        "tokens": [metrics.tokens for _, metrics in rows],
        "cyclomatic_complexity": [metrics.cyclomatic_complexity for _, metrics in rows],
        "nesting": [metrics.nesting for _, metrics in rows],
        "completion_tokens": [row.candidate.num_completion_tokens for row, _ in rows],
    }
    passed = [row.verdict.passed for row, _ in rows]
    return correlate(columns, passed, [row.candidate.task_id for row, _ in rows])
