"""Are these preference pairs fit to train on? Counts, lengths, near-duplicates, leaks. Pure.

What can be seen in the pairs and the problems; whether the labels hold when the programs run again
is `label_checks.py`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from rapidfuzz.distance import Indel

from coderl_exp.preferences import ast_fingerprint, code_tokens
from coderl_exp.records import JudgedCandidate, PreferencePair, Problem, StdinTest
from coderl_exp.statistics import Estimate, mean_interval

NEAR_DUPLICATE = 0.95
"""Chosen and rejected programs this alike differ by a token or two."""


@dataclass(frozen=True, kw_only=True)
class LabelChecks:
    """The pairs' programs, judged again."""

    num_programs: int
    num_repeats: int
    """Times that each was judged, besides the first."""
    num_changed: int
    """Programs that passed once and failed once; pairs with one of them are left out."""


@dataclass(frozen=True, kw_only=True)
class PairAudit:
    """None: undefined, because there are no pairs."""

    num_pairs: int
    num_problems: int
    """With a pair."""
    by_kind: Mapping[str, int]
    median_chosen_tokens: float | None
    """Of the completions."""
    median_rejected_tokens: float | None
    chosen_longer: Estimate | None
    """Share of pairs whose chosen completion is the longer one (equal ones count half), by problem.
    Far from one half, length alone tells the two apart, and a policy may learn just that."""
    num_near_duplicates: int
    """Pairs whose programs share 95 % of their tokens in order, or more."""
    effective_problems: float | None
    """How many problems with equally many pairs would be as balanced: (Σ n)² / Σ n²."""
    largest_share: float | None
    """Of the pairs, those of the problem with the most."""
    leaks: Mapping[str, str]
    """Train problem with pairs → which test problem it is, and by what it is known."""
    labels: LabelChecks | None
    """None: they were not judged again."""


def audit_pairs(
    pairs: Sequence[PreferencePair],
    judged: Iterable[JudgedCandidate],
    problems: Mapping[str, Problem],
    labels: LabelChecks | None = None,
) -> PairAudit:
    """`judged` are the candidates that the pairs were built from; `problems` has both splits."""
    rows = {(row.candidate.task_id, row.candidate.index): row for row in judged}
    sides = [
        (rows[pair.task_id, pair.chosen_index], rows[pair.task_id, pair.rejected_index])
        for pair in pairs
    ]
    sizes = Counter(pair.task_id for pair in pairs)
    return PairAudit(
        num_pairs=len(pairs),
        num_problems=len(sizes),
        by_kind=dict(sorted(Counter(pair.kind for pair in pairs).items())),
        median_chosen_tokens=_median_tokens(chosen for chosen, _ in sides),
        median_rejected_tokens=_median_tokens(rejected for _, rejected in sides),
        chosen_longer=_chosen_longer(sides),
        num_near_duplicates=sum(_are_alike(chosen, rejected) for chosen, rejected in sides),
        effective_problems=len(pairs) ** 2 / sum(n * n for n in sizes.values()) if pairs else None,
        largest_share=max(sizes.values()) / len(pairs) if pairs else None,
        leaks=_leaks(sides, problems),
        labels=labels,
    )


_Sides = Sequence[tuple[JudgedCandidate, JudgedCandidate]]
"""Chosen and rejected."""


def _median_tokens(rows: Iterable[JudgedCandidate]) -> float | None:
    lengths = [row.candidate.num_completion_tokens for row in rows]
    return float(median(lengths)) if lengths else None


def _chosen_longer(sides: _Sides) -> Estimate | None:
    by_problem: dict[str, list[float]] = {}
    for chosen, rejected in sides:
        gap = chosen.candidate.num_completion_tokens - rejected.candidate.num_completion_tokens
        by_problem.setdefault(chosen.candidate.task_id, []).append((gap > 0) + 0.5 * (gap == 0))
    if not by_problem:
        return None
    return mean_interval([fmean(values) for values in by_problem.values()])


def _are_alike(chosen: JudgedCandidate, rejected: JudgedCandidate) -> bool:
    left, right = code_tokens(chosen.code or ""), code_tokens(rejected.code or "")
    return Indel.normalized_similarity(left, right) >= NEAR_DUPLICATE


def _leaks(sides: _Sides, problems: Mapping[str, Problem]) -> dict[str, str]:
    """Train problems that are test problems under another name, by text, tests or solution."""
    tests = [problem for problem in problems.values() if problem.split == "test"]
    used = dict.fromkeys(chosen.candidate.task_id for chosen, _ in sides)
    by_text = {_plain(test.text): test.task_id for test in tests if _plain(test.text)}
    found: dict[str, str] = {}
    by_test = {key: test.task_id for test in tests for key in _test_keys(test)}
    by_code = {
        ast_fingerprint(reference): test.task_id
        for test in tests
        for reference in test.references
        if reference.strip()
    }
    for task_id in used:
        if other := by_text.get(_plain(problems[task_id].text)):
            found[task_id] = f"the text of {other}"
        for key in _test_keys(problems[task_id]):
            if key in by_test:
                found.setdefault(task_id, f"a test of {by_test[key]}")
    for chosen, _ in sides:
        if other := by_code.get(ast_fingerprint(chosen.code)):
            found.setdefault(chosen.candidate.task_id, f"its program solves {other}")
    return dict(sorted(found.items()))


def _plain(text: str) -> str:
    """The words: texts that differ in a number or a word are different tasks."""
    return " ".join(re.findall(r"\w+", text.lower()))


def _test_keys(problem: Problem) -> set[str]:
    """The tests in a form that does not depend on layout."""
    return {_key(test) for test in problem.tests}


def _key(test: str | StdinTest) -> str:
    return ast_fingerprint(test) if isinstance(test, str) else f"{test.stdin}\0{test.stdout}"
