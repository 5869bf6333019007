"""Runs → ranked rows: metric per problem, replicates as one, paired differences, who is best."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import fmean
from typing import Any

import numpy as np

from coderl_exp.compare.data import Metric, Row
from coderl_exp.compare.runs import Run
from coderl_exp.errors import ConfigError, DataError
from coderl_exp.metrics import ProblemResult, pass_at_k_per_problem
from coderl_exp.replicates import (
    Replicate,
    VarianceParts,
    check_replicates,
    replicate_interval,
    split_variance,
)
from coderl_exp.report_data import Cost
from coderl_exp.statistics import (
    Estimate,
    Matrix,
    PairedComparison,
    compare_differences,
    holm,
    mean_intervals,
    resampled_means,
)

BASE_MODEL = "the base model"


@dataclass(frozen=True, kw_only=True)
class Group:
    """The runs of one configuration, and the metric of each on each problem."""

    name: str
    runs: tuple[Run, ...]
    values: Matrix
    """(seeds × problems)."""
    changes: Matrix | None
    """Trained less base model in pass@k, of the same shape; None: not both were evaluated."""
    lowest: float
    """That a value can be: 0, or −1 for a change."""


def parse_metric(text: str | None, runs: Sequence[Run]) -> Metric:
    """`pass@k` or `delta/pass@k`; None: pass@1.

    Raises:
        ConfigError: it is neither, or a run has too few candidates for it.
    """
    text = text or "pass@1"
    match = re.fullmatch(r"(delta/)?pass@([1-9]\d*)", text)
    if not match:
        raise ConfigError(f"--metric is {text!r}: give pass@1, pass@5, … or delta/pass@1, ….")
    metric = Metric(name=text, k=int(match[2]), is_change=bool(match[1]))
    for run in runs:
        counted = [r.num_candidates for r in (*run.before.values(), *run.after.values())]
        if metric.is_change and not (run.before and run.after):
            raise ConfigError(
                f"--metric is {text}, but {run.name} was not evaluated both before and after "
                "training: take pass@k, or leave that run out."
            )
        if counted and min(counted) < metric.k:
            raise ConfigError(
                f"--metric is {text}, but {run.name} has only {min(counted)} judged candidates of "
                "some problem: take a smaller k."
            )
    return metric


def common_problems(runs: Sequence[Run]) -> list[str]:
    """The problems that every run was evaluated on, in the first one's order.

    Raises:
        DataError: a run was not evaluated, or runs differ in their problems.
    """
    for run in runs:
        if not run.evaluated:
            raise DataError(f"{run.name} ({run.path}) evaluated no model: leave it out.")
    first = runs[0]
    for run in runs:
        for results in (run.before, run.after):
            if results and results.keys() != first.evaluated.keys():
                raise DataError(
                    f"{first.name} was evaluated on {len(first.evaluated)} problems of "
                    f"{first.dataset}, {run.name} on {len(results)} of {run.dataset}, and they are "
                    "not the same: only runs on the same test problems can be compared."
                )
    return list(first.evaluated)


def make_groups(runs: Sequence[Run], problems: Sequence[str], metric: Metric) -> list[Group]:
    """Runs that differ in their seed only are one group.

    Raises:
        DataError: two of a group are copies of one run.
    """
    by_configuration: dict[str, list[Run]] = {}
    for run in runs:
        by_configuration.setdefault(run.configuration, []).append(run)
    sets = list(by_configuration.values())
    names = [_group_name(members) for members in sets]
    unique = [
        name if names.count(name) == 1 else f"{name} {members[0].place}"
        for name, members in zip(names, sets, strict=True)
    ]
    return [
        _group(name, members, problems, metric) for name, members in zip(unique, sets, strict=True)
    ]


def _group(name: str, runs: list[Run], problems: Sequence[str], metric: Metric) -> Group:
    check_replicates([_replicate(run) for run in runs])
    after = np.array([_scores(run.evaluated, problems, metric.k) for run in runs])
    changes = None
    if all(run.before and run.after for run in runs):
        before = np.array([_scores(run.before, problems, metric.k) for run in runs])
        changes = after - before
    values = changes if metric.is_change and changes is not None else after
    lowest = -1.0 if metric.is_change else 0.0
    return Group(name=name, runs=tuple(runs), values=values, changes=changes, lowest=lowest)


def _replicate(run: Run) -> Replicate:
    return Replicate(
        name=f"{run.name} ({run.path})",
        seed=run.seed,
        samples=run.samples_after,
        scores={},
        results=tuple(run.evaluated.values()),
    )


def _scores(results: Mapping[str, ProblemResult], problems: Sequence[str], k: int) -> list[float]:
    return pass_at_k_per_problem([results[task_id] for task_id in problems], k)


def _group_name(runs: Sequence[Run]) -> str:
    """Without the seed; the first run's folder where nothing else is left."""
    if len(runs) == 1:
        return runs[0].name
    words = [word for word in runs[0].name.split() if not word.startswith("seed=")]
    shared = [word for word in words if all(word in run.name.split() for run in runs)]
    return " ".join(shared) or f"{runs[0].method} ({len(runs)} seeds)"


def find_reference(name: str | None, groups: Sequence[Group]) -> Group | None:
    """The group that `--baseline` names, by its name, or by a run's name or folder.

    Raises:
        ConfigError: none, or several, are named so.
    """
    if name is None:
        return None
    exact = [group for group in groups if name in (group.name, *(r.name for r in group.runs))]
    wanted = name.rstrip("/")
    found = exact or [
        group for group in groups if any(_is_at(run.path, wanted) for run in group.runs)
    ]
    if len(found) != 1:
        listed = "; ".join(group.name for group in groups[:8])
        what = "no run is" if not found else f"{len(found)} runs are"
        raise ConfigError(f"--baseline is {name!r}, but {what} named so. There are: {listed}.")
    return found[0]


def _is_at(path: str, wanted: str) -> bool:
    return path == wanted or path.endswith(f"/{wanted.removeprefix('./')}")


def rank(groups: Sequence[Group], reference: Group | None) -> list[Row]:
    """Best first."""
    means = np.array([group.values.mean(axis=0) for group in groups]).T
    columns = zip(groups, _shares_best(means), mean_intervals(means), strict=True)
    compared = compare_groups([_differences(group, reference) for group in groups])
    rows = [
        _row(group, share, interval, comparison)
        for (group, share, interval), comparison in zip(columns, compared, strict=True)
    ]
    return sorted(rows, key=lambda row: (-row.value.mean, row.name))


def compare_groups(differences: Sequence[Matrix | None]) -> list[PairedComparison | None]:
    """Of (seeds × problems) differences each; p-values are Holm-corrected over all of them.

    With several seeds the interval is for new seeds; the test is of these seeds' mean.
    """
    given = [each for each in differences if each is not None]
    if not given:
        return [None] * len(differences)
    found = compare_differences(np.array([each.mean(axis=0) for each in given]).T)
    corrected = holm([each.p_value for each in found])
    results = iter(
        PairedComparison(
            difference=comparison.difference if len(each) == 1 else replicate_interval(each),
            p_value=p_value,
        )
        for each, comparison, p_value in zip(given, found, corrected, strict=True)
    )
    return [None if each is None else next(results) for each in differences]


def _differences(group: Group, reference: Group | None) -> Matrix | None:
    if reference is None:
        return group.changes
    return None if group is reference else group.values - reference.values.mean(axis=0)


def _shares_best(means: Matrix) -> list[float]:
    """How often each column has the largest mean over resampled problems; ties are shared."""
    drawn = resampled_means(means).round(12)
    is_best = drawn == drawn.max(axis=1, keepdims=True)
    shares: list[float] = (is_best / is_best.sum(axis=1, keepdims=True)).mean(axis=0).tolist()
    return shares


def _row(
    group: Group, share_best: float, interval: Estimate, comparison: PairedComparison | None
) -> Row:
    is_single = len(group.runs) == 1
    by_seed = zip(group.runs, group.values.mean(axis=1).tolist(), strict=True)
    return Row(
        name=group.name,
        paths=tuple(run.path for run in group.runs),
        seeds=tuple(run.seed for run in group.runs),
        method=group.runs[0].method,
        is_trained=bool(group.runs[0].after),
        value=interval if is_single else replicate_interval(group.values, group.lowest),
        by_seed=dict(sorted((run.seed, mean) for run, mean in by_seed)),
        variance=_variance(group.runs),
        comparison=comparison,
        share_best=share_best,
        cost=_mean_cost([run.training_cost for run in group.runs]),
    )


def _variance(runs: Sequence[Run]) -> VarianceParts | None:
    counts = {result.num_candidates for run in runs for result in run.evaluated.values()}
    if len(counts) != 1:
        return None
    problems = list(runs[0].evaluated)
    passed = [[run.evaluated[task_id].num_passed for task_id in problems] for run in runs]
    return split_variance(np.array(passed, dtype=float), counts.pop())


def _mean_cost(costs: Sequence[Cost]) -> Cost:
    means: dict[str, Any] = {
        field.name: fmean(getattr(cost, field.name) for cost in costs) for field in fields(Cost)
    }
    return Cost(**{name: round(v) if name.startswith("num") else v for name, v in means.items()})
