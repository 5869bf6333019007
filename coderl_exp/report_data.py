"""What a run's report is made from, and every number that it shows.

A `RunSummary` is the JSON file; the pages show no number that is not in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

from coderl_exp.analysis import SetAnalysis
from coderl_exp.changes import Histogram, ProblemChange
from coderl_exp.data_health import DataHealth
from coderl_exp.errors import DataError
from coderl_exp.examples import Example
from coderl_exp.metrics import ProblemResult, pass_at_k_per_problem
from coderl_exp.pair_audit import PairAudit
from coderl_exp.power import Plan
from coderl_exp.records import JudgedCandidate, Problem
from coderl_exp.statistics import Estimate, PairedComparison, compare_paired, holm, mean_interval
from coderl_exp.training_health import MEANINGS, CurveHealth


@dataclass(frozen=True, kw_only=True)
class LedgerRow:
    """What one stage cost, whether it was paid in this run or (`was_reused`) in an earlier one."""

    stage: str
    wall_s: float
    cpu_s: float
    num_prompt_tokens: int
    num_generated_tokens: int
    num_trained_tokens: int
    sandbox_cpu_s: float
    was_reused: bool


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """All that the report of one run is made from."""

    experiment: str
    method: str
    model: str
    dataset: str
    seed: int
    created_at: str
    command: str
    git_commit: str
    ks: tuple[int, ...]
    problems: Mapping[str, Problem]
    before: Sequence[JudgedCandidate]
    """Test split, base model; empty: the stage did not run."""
    after: Sequence[JudgedCandidate]
    """Test split, merged model; empty: the stage did not run."""
    train: Sequence[JudgedCandidate]
    """Train split, base model; empty: the stage did not run."""
    analyses: Mapping[str, SetAnalysis]
    """`before`, `after` and `train`, as far as they ran."""
    curves: Sequence[Mapping[str, float]]
    """Rows of the trainer's log; each has a `step`."""
    num_pairs: Mapping[str, int]
    """Kind → preference pairs."""
    dropped: Mapping[str, int]
    """Reason → candidates, pairs or problems left out of the preference data."""
    merge: Mapping[str, float | bool] | None
    """The merge's equivalence check."""
    ledger: Sequence[LedgerRow]
    isolation: Sequence[str]
    warnings: Sequence[str]
    versions: Mapping[str, str]
    config_yaml: str
    pairs: PairAudit | None = None
    """None: no preference pairs were built."""
    data: DataHealth | None = None
    """None: nothing is known of the data."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """What identifies the inputs: stage → key of its artefact, and digests of data and model."""
    validation: Sequence[JudgedCandidate] = ()
    """Validation split, merged model; empty: the stage did not run."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Sums over stages."""

    wall_s: float
    cpu_s: float
    sandbox_cpu_s: float
    num_prompt_tokens: int
    num_generated_tokens: int
    num_trained_tokens: int


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """The report in numbers; `dataclasses.asdict` of it is strict JSON."""

    experiment: str
    method: str
    model: str
    dataset: str
    seed: int
    created_at: str
    command: str
    git_commit: str
    ks: tuple[int, ...]
    answer: str
    """One sentence."""
    num_problems: int
    """Of the test split."""
    num_candidates_before: int
    num_candidates_after: int
    before: Mapping[int, Estimate]
    """k → pass@k of the base model; a k is absent where it is undefined (see `warnings`)."""
    after: Mapping[int, Estimate]
    comparisons: Mapping[int, PairedComparison]
    """k → after minus before by problem; p-values are Holm-corrected over all k."""
    solvable: PassAtK | None
    """The same on the test problems that a reference solves; None: that is all, or not known."""
    plans: tuple[Plan, ...]
    """What a paired study of this size, and of larger ones, could find in pass@1."""
    results_before: tuple[ProblemResult, ...]
    results_after: tuple[ProblemResult, ...]
    samples_before: str
    """Digest of the completions, so that copies are told from replicates; empty: none."""
    samples_after: str
    verdicts_before: Mapping[str, int]
    verdicts_after: Mapping[str, int]
    moves: Mapping[str, Mapping[str, int]]
    """Verdict before → verdict after of the candidate with the same number → candidates."""
    fixed: tuple[ProblemChange, ...]
    """No candidate passed before, at least one does after."""
    broken: tuple[ProblemChange, ...]
    """At least one candidate passed before, none does after."""
    examples: Mapping[str, Example]
    """Some of `fixed` and `broken` by problem, with code."""
    lengths: Histogram | None
    analyses: Mapping[str, SetAnalysis]
    curves: tuple[Mapping[str, float | None], ...]
    training: tuple[CurveHealth, ...]
    data: DataHealth | None
    pairs: PairAudit | None
    num_pairs: Mapping[str, int]
    dropped: Mapping[str, int]
    merge: Mapping[str, float | bool | None] | None
    ledger: tuple[LedgerRow, ...]
    cost: Cost
    """Of every stage behind the result, reused ones included."""
    cost_of_this_run: Cost
    """Of the stages that were computed in this run."""
    isolation: tuple[str, ...]
    warnings: tuple[str, ...]
    versions: Mapping[str, str]
    keys: Mapping[str, str]
    config_yaml: str
    num_validation_problems: int = 0
    validation: Mapping[int, Estimate] = field(default_factory=dict)
    """k → pass@k of the merged model on the validation split."""

    @property
    def drawn_curves(self) -> dict[str, list[tuple[float, float]]]:
        """(step, value) of the curves that the pages show, as far as they were logged."""
        curves: dict[str, list[tuple[float, float]]] = {}
        for name in MEANINGS:
            for row in self.curves:
                step, value = row.get("step"), row.get(name)
                if step is not None and value is not None:
                    curves.setdefault(name, []).append((step, value))
        return curves


@dataclass(frozen=True, kw_only=True)
class PassAtK:
    """pass@k of the test split, by k. A k is absent where its stage did not run or where it is
    undefined: fewer than k judged candidates of some problem."""

    before: Mapping[int, Estimate]
    after: Mapping[int, Estimate]
    comparisons: Mapping[int, PairedComparison]
    """After minus before by problem; p-values are Holm-corrected over all k."""
    undefined: tuple[str, ...]
    """Why a k is absent though its stage ran."""


def compute_pass_at_k(
    ks: Sequence[int], before: Sequence[ProblemResult], after: Sequence[ProblemResult]
) -> PassAtK:
    """`before` and `after` are the same problems in the same order, or one of them is empty."""
    reasons: list[str] = []
    old = {k: values for k in ks if (values := _values(before, k, reasons))}
    new = {k: values for k in ks if (values := _values(after, k, reasons))}
    compared = {k: compare_paired(old[k], new[k]) for k in ks if k in old and k in new}
    corrected = holm([result.p_value for result in compared.values()])
    return PassAtK(
        before={k: mean_interval(values) for k, values in old.items()},
        after={k: mean_interval(values) for k, values in new.items()},
        comparisons={
            k: replace(result, p_value=p_value)
            for (k, result), p_value in zip(compared.items(), corrected, strict=True)
        },
        undefined=tuple(dict.fromkeys(reasons)),
    )


def total_cost(rows: Sequence[LedgerRow]) -> Cost:
    """Sums over the rows."""
    return Cost(
        **{field.name: sum(getattr(row, field.name) for row in rows) for field in fields(Cost)}
    )


def finite(value: float | None) -> float | None:
    """None for NaN and the infinities, which JSON does not have."""
    return value if value is not None and math.isfinite(value) else None


def non_finite_values(curves: Sequence[Mapping[str, float]]) -> list[str]:
    """A warning where the training logged NaN or an infinity: a sign that it diverged."""
    bad = [(name, row) for row in curves for name, value in row.items() if finite(value) is None]
    if not bad:
        return []
    name, row = bad[0]
    first = f"{name} at step {row.get('step')}"
    return [f"{len(bad)} logged values of the training are not finite numbers, {first} first."]


def _values(results: Sequence[ProblemResult], k: int, reasons: list[str]) -> list[float]:
    """Empty where pass@k is undefined: refused and said, never padded."""
    try:
        return pass_at_k_per_problem(results, k)
    except DataError as error:
        reasons.append(str(error))
        return []
