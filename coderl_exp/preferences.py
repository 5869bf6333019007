"""Judged candidates → n-best lists and preference pairs. Pure: no files, no randomness.

A pair's chosen completion passes every test of its problem; the rejected one fails
(`pass_over_fail`), or passes too but ranks worse (`pass_over_pass`). Ranking is by (lines, tokens,
cyclomatic complexity, nesting, execution time, novelty), the first difference deciding.
"""

from __future__ import annotations

import ast
import difflib
import io
import tokenize
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from radon.complexity import cc_visit

from coderl_exp.config import RLBuildConfig
from coderl_exp.records import (
    CodeMetrics,
    JudgedCandidate,
    PreferencePair,
    Problem,
    RankedCandidate,
    VerdictStatus,
)

TIME_BUCKET_S = 0.25
"""Execution times are compared in steps this coarse, so that noise does not reorder programs."""

_LAYOUT_TOKENS = {
    tokenize.NEWLINE,
    tokenize.NL,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.COMMENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}
_NESTING_NODES = (ast.For, ast.While, ast.If, ast.With, ast.Try, ast.FunctionDef, ast.ClassDef)


@dataclass(frozen=True, kw_only=True)
class Preferences:
    """What `build_preferences` made, and why everything else was left out."""

    nbest: tuple[RankedCandidate, ...]
    pairs: tuple[PreferencePair, ...]
    dropped: Mapping[str, int]
    """Reason → number of candidates or problems."""


@dataclass(frozen=True, kw_only=True)
class _Passer:
    row: JudgedCandidate
    ranked: RankedCandidate


def build_preferences(
    judged: Iterable[JudgedCandidate], problems: Mapping[str, Problem], config: RLBuildConfig
) -> Preferences:
    """n-best lists and pairs of every problem, in the order of the candidates given."""
    by_problem: dict[str, list[JudgedCandidate]] = {}
    for row in judged:
        by_problem.setdefault(row.candidate.task_id, []).append(row)
    dropped: Counter[str] = Counter()
    nbest: list[RankedCandidate] = []
    pairs: list[PreferencePair] = []
    for task_id, rows in by_problem.items():
        distinct = _deduplicate(rows, dropped)
        passers = _rank([row for row in distinct if row.verdict.passed], config.n_best, dropped)
        failers = [row for row in distinct if not row.verdict.passed]
        nbest.extend(passer.ranked for passer in passers)
        pairs.extend(_pairs_of(problems[task_id], passers, failers, config, dropped))
    reasons = {reason: count for reason, count in sorted(dropped.items()) if count}
    return Preferences(nbest=tuple(nbest), pairs=tuple(pairs), dropped=reasons)


def ast_fingerprint(code: str | None) -> str:
    """Equal for programs that differ in layout and comments only; the text where it has no AST."""
    try:
        return ast.dump(ast.parse(code or ""))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return (code or "").strip()


def measure_code(code: str) -> CodeMetrics:
    """Size and shape of a program that parses."""
    tree = ast.parse(code)
    blocks = cc_visit(code)
    return CodeMetrics(
        lines=sum(
            1 for line in code.splitlines() if line.strip() and not line.strip().startswith("#")
        ),
        tokens=len(code_tokens(code)),
        cyclomatic_complexity=sum(block.complexity for block in blocks) if blocks else 1,
        nesting=_nesting(tree),
    )


def code_tokens(code: str) -> tuple[str, ...]:
    """Python tokens without layout and comments; words where the code does not tokenise."""
    try:
        tokens = tokenize.generate_tokens(io.StringIO(code).readline)
        return tuple(token.string for token in tokens if token.type not in _LAYOUT_TOKENS)
    except (tokenize.TokenError, SyntaxError):
        return tuple(code.split())


def similarity(left: Sequence[str], right: Sequence[str]) -> float:
    """Share of equal tokens in order, in [0, 1] (difflib's ratio)."""
    return difflib.SequenceMatcher(None, left, right, autojunk=False).ratio()


def _nesting(node: ast.AST, depth: int = 0) -> int:
    inner = depth + isinstance(node, _NESTING_NODES)
    return max([inner, *(_nesting(child, inner) for child in ast.iter_child_nodes(node))])


def _deduplicate(rows: Iterable[JudgedCandidate], dropped: Counter[str]) -> list[JudgedCandidate]:
    seen: set[str] = set()
    kept: list[JudgedCandidate] = []
    for row in rows:
        if row.verdict.status is VerdictStatus.sandbox_error:
            dropped["candidate: sandbox error"] += 1
        elif (fingerprint := ast_fingerprint(row.code)) in seen:
            dropped["candidate: duplicate by AST"] += 1
        else:
            seen.add(fingerprint)
            kept.append(row)
    return kept


def _rank(passing: Sequence[JudgedCandidate], n_best: int, dropped: Counter[str]) -> list[_Passer]:
    """The n best, best first. Novelty settles what is equal in all else: the more unlike the
    programs already ranked, the better."""
    waiting = [(row, measure_code(row.code or "")) for row in passing]
    ranked: list[_Passer] = []
    while waiting and len(ranked) < n_best:
        novelties = [_novelty(row, ranked) for row, _ in waiting]
        best = min(
            range(len(waiting)),
            key=lambda i: (*_cost(*waiting[i]), -novelties[i], waiting[i][0].candidate.index),
        )
        row, metrics = waiting.pop(best)
        ranked.append(
            _Passer(row=row, ranked=_as_record(row, len(ranked), metrics, novelties[best]))
        )
    dropped["candidate: passes, but is not among the n best"] += len(waiting)
    return ranked


def _cost(row: JudgedCandidate, metrics: CodeMetrics) -> tuple[int, ...]:
    usage = row.verdict.usage
    bucket = int(usage.cpu_s / TIME_BUCKET_S) if usage else 0
    return (
        metrics.lines, metrics.tokens, metrics.cyclomatic_complexity, metrics.nesting, bucket
    )  # fmt: skip


def _novelty(row: JudgedCandidate, ranked: Sequence[_Passer]) -> float:
    tokens = code_tokens(row.code or "")
    closest = max((similarity(tokens, code_tokens(p.ranked.code)) for p in ranked), default=0.0)
    return round(1.0 - closest, 6)


def _as_record(
    row: JudgedCandidate, rank: int, metrics: CodeMetrics, novelty: float
) -> RankedCandidate:
    return RankedCandidate(
        task_id=row.candidate.task_id,
        index=row.candidate.index,
        rank=rank,
        code=row.code or "",
        metrics=metrics,
        novelty=novelty,
    )


def _pairs_of(
    problem: Problem,
    passers: Sequence[_Passer],
    failers: Sequence[JudgedCandidate],
    config: RLBuildConfig,
    dropped: Counter[str],
) -> list[PreferencePair]:
    """Passer over failer first, then passer over worse passer, within the caps."""
    if not passers:
        dropped["problem: no candidate passes"] += 1
        return []
    if not failers:
        dropped["problem: every candidate passes"] += 1
    pairs: list[PreferencePair] = []
    for position, passer in enumerate(passers):
        losers = _rotate(failers, position * config.fails_per_passer)[: config.fails_per_passer]
        own = [_pair(problem, passer.row, loser) for loser in losers]
        worse = passers[position + 1 :][: config.within_pass_pairs_per_winner]
        own += [_pair(problem, passer.row, other.row) for other in worse]
        kept = own[: config.pairs_per_winner]
        dropped["pair: over pairs_per_winner"] += len(own) - len(kept)
        pairs.extend(kept)
    # A stable sort keeps the best winners first within each kind.
    pairs.sort(key=lambda pair: pair.kind != "pass_over_fail")
    dropped["pair: over max_pairs"] += max(0, len(pairs) - config.max_pairs)
    return pairs[: config.max_pairs]


def _rotate(rows: Sequence[JudgedCandidate], by: int) -> list[JudgedCandidate]:
    """Different winners meet different losers first."""
    start = by % len(rows) if rows else 0
    return [*rows[start:], *rows[:start]]


def _pair(problem: Problem, chosen: JudgedCandidate, rejected: JudgedCandidate) -> PreferencePair:
    return PreferencePair(
        task_id=problem.task_id,
        kind="pass_over_pass" if rejected.verdict.passed else "pass_over_fail",
        prompt=problem.prompt,
        chosen=chosen.candidate.completion,
        rejected=rejected.candidate.completion,
        chosen_index=chosen.candidate.index,
        rejected_index=rejected.candidate.index,
        chosen_status=chosen.verdict.status,
        rejected_status=rejected.verdict.status,
    )
