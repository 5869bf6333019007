"""Every number of a comparison; `dataclasses.asdict` of it is strict JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coderl_exp.replicates import VarianceParts
from coderl_exp.report_data import Cost
from coderl_exp.statistics import Estimate, PairedComparison


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What configurations are ranked by; larger is better."""

    name: str
    """`pass@k`, or `delta/pass@k`: the trained model's less the base model's."""
    k: int
    is_change: bool


@dataclass(frozen=True, kw_only=True)
class Row:
    """One configuration: a run, or several that differ in their seed only."""

    name: str
    paths: tuple[str, ...]
    seeds: tuple[int, ...]
    method: str
    is_trained: bool
    """False: the base model was evaluated, and nothing was trained."""
    value: Estimate
    """The metric. With several seeds the interval is for new seeds and new problems."""
    by_seed: Mapping[int, float]
    variance: VarianceParts | None
    """Of pass or fail over problems, seeds and samples; None with one seed."""
    comparison: PairedComparison | None
    """Less the reference, on the same problems; p is Holm-corrected over all rows. None: it is the
    reference, or there is nothing to compare with."""
    share_best: float
    """Of resampled sets of problems, in which it has the highest metric. All rows sum to 1."""
    cost: Cost
    """Of making its trained model, mean over seeds."""


@dataclass(frozen=True, kw_only=True)
class EqualCost:
    """The best configurations of two methods that cost at most `budget`."""

    budget: float
    better: str
    """Name of the row with the higher metric."""
    better_method: str
    other: str
    other_method: str
    comparison: PairedComparison
    """`better` less `other`; p is Holm-corrected over all budgets."""


@dataclass(frozen=True, kw_only=True)
class HeatMap:
    """The metric over two options, or one."""

    keys: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    """Of each key, in order: rows, then columns."""
    cells: Mapping[str, float]
    """`row` or `row, column` → mean of the metric over the runs there; absent without a run."""
    counts: Mapping[str, int]
    """Runs of each cell."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One logged value over the training of one run."""

    row: str
    seed: int
    points: Sequence[tuple[float, float]]
    """(step, value), thinned."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All that the pages and the table show."""

    answer: str
    metric: str
    reference: str
    """The row that others are compared with, or `the base model`: each run's own."""
    dataset: str
    num_runs: int
    num_problems: int
    rows: tuple[Row, ...]
    """Best first."""
    cost_measure: str
    equal_cost: tuple[EqualCost, ...]
    """By budget; empty with one method."""
    heat_map: HeatMap | None
    curves: Mapping[str, tuple[Curve, ...]]
    warnings: tuple[str, ...]
