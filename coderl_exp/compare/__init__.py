"""Many runs side by side: which configuration is best, by how much, and at what cost.

`python -m coderl_exp.compare DIR…`, or `compare_runs`, which a sweep calls when it ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from coderl_exp.compare.budgets import MEASURES, compare_at_equal_cost
from coderl_exp.compare.conclusions import answer_of
from coderl_exp.compare.data import Comparison, Curve, Metric, Row
from coderl_exp.compare.keys import heat_map
from coderl_exp.compare.pages import write
from coderl_exp.compare.ranking import (
    BASE_MODEL,
    Group,
    common_problems,
    compare_groups,
    find_reference,
    make_groups,
    parse_metric,
    rank,
)
from coderl_exp.compare.runs import read_runs
from coderl_exp.errors import ConfigError
from coderl_exp.statistics import PairedComparison
from coderl_exp.training_health import MEANINGS

__all__ = ["Comparison", "compare_runs"]

MAX_CURVE_POINTS = 200
_FEW_SEEDS = 3


def compare_runs(
    paths: Sequence[Path],
    *,
    baseline: str | None = None,
    metric: str | None = None,
    by: Sequence[str] = (),
    cost: str = "wall_s",
    out: Path | None = None,
) -> Comparison:
    """Compare the finished runs in and below the folders; with `out`, write the pages there.

    `baseline` names the run that others are compared with; None: each run's own base model.

    Raises:
        DataError: no finished run, runs on different problems, or copies that pose as replicates.
        ConfigError: an option names a run, a metric or a key that there is not.
    """
    if cost not in MEASURES:
        raise ConfigError(f"--cost is {cost!r}: give one of {', '.join(MEASURES)}.")
    runs, warnings = read_runs(paths)
    problems = common_problems(runs)
    parsed = parse_metric(metric, runs)
    groups = make_groups(runs, problems, parsed)
    reference = find_reference(baseline, groups)
    rows = rank(groups, reference)
    named = {group.name: group for group in groups}
    reference_name = reference.name if reference else BASE_MODEL
    comparison = Comparison(
        answer=answer_of(rows, parsed, reference_name, _runner_up(rows, named)),
        metric=parsed.name,
        reference=reference_name,
        dataset=runs[0].dataset,
        num_runs=len(runs),
        num_problems=len(problems),
        rows=tuple(rows),
        cost_measure=MEASURES[cost],
        equal_cost=compare_at_equal_cost(rows, named, cost),
        heat_map=heat_map(groups, by),
        curves=_curves(groups),
        warnings=(*warnings, *_cautions(rows, parsed)),
    )
    if out is not None:
        write(comparison, out)
    return comparison


def _runner_up(rows: Sequence[Row], groups: Mapping[str, Group]) -> PairedComparison | None:
    if len(rows) < 2:
        return None
    first, second = (groups[row.name].values for row in rows[:2])
    return compare_groups([first - second.mean(axis=0)])[0]


def _curves(groups: Sequence[Group]) -> dict[str, tuple[Curve, ...]]:
    curves: dict[str, list[Curve]] = {}
    for name in MEANINGS:
        for group in groups:
            for run in group.runs:
                points = run.curves.get(name, ())
                if len(points) > 1:
                    step = -(-len(points) // MAX_CURVE_POINTS)
                    thinned = tuple(points[::step])
                    curve = Curve(row=group.name, seed=run.seed, points=thinned)
                    curves.setdefault(name, []).append(curve)
    return {name: tuple(found) for name, found in curves.items()}


def _cautions(rows: Sequence[Row], metric: Metric) -> list[str]:
    """What a reader of the ranking must know."""
    lines = []
    single = [row for row in rows if len(row.seeds) == 1 and row.is_trained]
    if single:
        lines.append(
            f"{len(single)} of {len(rows)} configurations were trained with one seed: their "
            "intervals say nothing about other seeds."
        )
    few = [row for row in rows if 1 < len(row.seeds) < _FEW_SEEDS]
    if few:
        lines.append(
            f"{len(few)} configurations have two seeds: their intervals are wide for that reason."
        )
    if len(rows) > 2:
        lines.append(
            f"The best of {len(rows)} was chosen by the {metric.name} that is shown, which "
            "flatters it: measure it again on problems that were not used to choose."
        )
    return lines
