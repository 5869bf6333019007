"""The judge's benchmark as text that fits 100 columns, and as JSON."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from benchmarks.contenders import JUDGES, Measured, Peak
from benchmarks.mutants import Mutant
from benchmarks.truth import PASSED, Truth, class_of, ground_truth

_MAX_PEER_DIFFERENCES = 5
_OTHER_HASH_SEEDS = (1, 2, 3)
_HEADER = (
    f"{'contender':<13}{'workers':>8}{'cand/s':>10}{'rounds min…max':>19}{'judge is':>10}"
    f"{'CPU ms':>8}{'wrong':>14}{'RSS MB':>17}"
)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One contender, once."""

    contender: str
    workers: int
    mutants: Sequence[Mutant]
    measured: Measured
    peak: Peak

    @property
    def rate(self) -> float:
        """Candidates per second, without the start."""
        return len(self.mutants) / self.measured.seconds


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A verdict that is not plain Python's."""

    contender: str
    task_id: str
    kind: str
    ours: str
    plain: str
    note: str
    is_about_passing: bool
    """Not only about the kind of failure."""
    is_explained: bool
    """Plain Python itself is not sure, or the candidate is at the time limit."""


def table(runs: Sequence[Run], wrong: Counter[str], headline: str) -> str:
    """A row per contender and number of workers: the median of its rounds."""
    groups: dict[tuple[int, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.workers, run.contender), []).append(run)
    medians = {key: statistics.median(run.rate for run in group) for key, group in groups.items()}
    lines = [headline, "", _HEADER]
    previous = 0
    for (workers, contender), group in sorted(groups.items(), key=lambda item: item[0][0]):
        if previous not in (0, workers):
            lines.append("")
        previous = workers
        ours = medians.get((workers, "judge"))
        lines.append(_row(group, medians[workers, contender], ours, wrong))
    return "\n".join(lines)


def about_judges(runs: Sequence[Run]) -> str:
    """Their confinement, and how long they take to start."""
    lines = []
    for contender in JUDGES:
        own = [run.measured for run in runs if run.contender == contender]
        if own:
            start = statistics.median(measured.start_s for measured in own)
            lines.append(f"{contender}: starts in {start:.2f} s; confined: {own[0].isolation}")
    return "\n".join(lines)


def time_limit_share(runs: Iterable[Run], timeout_s: float) -> str:
    """How long each took, and how much of that the endless loops' limit alone accounts for."""
    lines = []
    for run in runs:
        loops = sum(mutant.deliberate_timeout for mutant in run.mutants)
        floor = max(1, loops / run.workers) * timeout_s
        lines.append(
            f"{run.contender}: {run.measured.seconds:.1f} s, of which {loops} endless loops of "
            f"{timeout_s:g} s on {run.workers} workers take at least {floor:.1f} s"
        )
    return "\n".join(lines)


def _row(group: Sequence[Run], median: float, ours: float | None, wrong: Counter[str]) -> str:
    run = group[-1]
    rates = [each.rate for each in group]
    spread = f"{min(rates):,.0f}…{max(rates):,.0f}"
    ratio = f"{ours / median:,.2f}x" if ours else "-"
    cpu = statistics.median(1000 * each.measured.cpu_s / len(each.mutants) for each in group)
    judged = f"{wrong[run.contender]} of {len(run.mutants)}" if run.measured.statuses else "-"
    memory = f"{_own(group):.0f} + {_workers(group):.0f} ({run.peak.processes})"
    return (
        f"{run.contender:<13}{run.workers:>8}{median:>10,.1f}{spread:>19}{ratio:>10}"
        f"{cpu:>8.2f}{judged:>14}{memory:>17}"
    )


def _own(group: Iterable[Run]) -> float:
    return max(run.peak.own_mb for run in group)


def _workers(group: Iterable[Run]) -> float:
    return max(run.peak.workers_mb for run in group)


def differences(
    runs: Iterable[Run], truths: dict[int, Truth], timeout_s: float, workers: int
) -> list[Difference]:
    """Every distinct one over all runs; `truths` is by the `id` of a mutant.

    A peer is only held to passed or failed, a judge to the kind of failure too. Each candidate in
    question is run again in plain Python, with other hash seeds.
    """
    found: dict[tuple[str, int, str], tuple[Mutant, Truth]] = {}
    for run in runs:
        for mutant, status in zip(run.mutants, run.measured.statuses, strict=False):
            truth = truths[id(mutant)]
            if _differs(run.contender, status, truth.status):
                found[run.contender, id(mutant), status] = (mutant, truth)
    unsure = _unsure([mutant for mutant, _ in found.values()], timeout_s, workers)
    return [
        _difference(contender, status, mutant, truth, unsure[number], timeout_s)
        for (contender, number, status), (mutant, truth) in found.items()
    ]


def _differs(contender: str, status: str, plain: str) -> bool:
    if contender in JUDGES:
        return class_of(status) != plain
    return (status == PASSED) != (plain == PASSED)


def _unsure(mutants: Sequence[Mutant], timeout_s: float, workers: int) -> dict[int, set[str]]:
    """What plain Python says of each under other hash seeds, by the `id` of the mutant."""
    distinct = list({id(mutant): mutant for mutant in mutants}.values())
    said: dict[int, set[str]] = {id(mutant): set() for mutant in distinct}
    for seed in _OTHER_HASH_SEEDS:
        programs = [mutant.program for mutant in distinct]
        again = ground_truth(programs, timeout_s=timeout_s, workers=workers, hash_seed=seed)
        for mutant, truth in zip(distinct, again, strict=True):
            said[id(mutant)].add(truth.status)
    return said


def _difference(
    contender: str, status: str, mutant: Mutant, truth: Truth, again: set[str], timeout_s: float
) -> Difference:
    notes = []
    if again != {truth.status}:
        notes.append(f"plain Python also says {', '.join(sorted(again - {truth.status}))}")
    if truth.seconds > timeout_s / 2 and "timeout" in (status, truth.status):
        notes.append(f"near the time limit: {truth.seconds:.1f} s of wall time")
    return Difference(
        contender=contender,
        task_id=mutant.task_id,
        kind=mutant.kind,
        ours=status,
        plain=truth.status,
        note="; ".join(notes),
        is_about_passing=(status == PASSED) != (truth.status == PASSED),
        is_explained=bool(notes),
    )


def wrong_verdicts(found: Iterable[Difference]) -> Counter[str]:
    """Per contender, how many candidates it passed or failed against plain Python."""
    wrong = {(d.contender, d.task_id, d.kind, d.plain) for d in found if d.is_about_passing}
    return Counter(contender for contender, *_ in wrong)


def agreement(found: Sequence[Difference], judged: Counter[str]) -> str:
    """Counts per contender, and every difference of a judge; `judged` are candidates seen."""
    lines = ["Agreement with plain Python in a fresh process per candidate", ""]
    for contender, number in judged.items():
        own = [d for d in found if d.contender == contender]
        passing = [d for d in own if d.is_about_passing]
        kinds = [d for d in own if not d.is_about_passing]
        also = f", {len(kinds)} in the kind of failure" if contender in JUDGES else ""
        lines.append(
            f"{contender}: {number:,} candidates, {len(passing)} differ in passed or failed{also}"
        )
        shown = own if contender in JUDGES else own[:_MAX_PEER_DIFFERENCES]
        lines += [_line(difference) for difference in shown]
        if len(shown) < len(own):
            lines.append(f"  … and {len(own) - len(shown)} more (all in --json)")
    return "\n".join(lines)


def _line(difference: Difference) -> str:
    d = difference
    line = f"  {d.task_id} {d.kind}: {d.ours}, plain Python: {d.plain}"
    return (f"{line} ({d.note})" if d.note else line)[:100]


def as_json(runs: Iterable[Run], found: Iterable[Difference]) -> dict[str, object]:
    """Everything that the text is made from, without the candidates."""
    return {
        "runs": [_plain(run) for run in runs],
        "differences": [asdict(difference) for difference in found],
    }


def _plain(run: Run) -> dict[str, object]:
    measured = asdict(run.measured)
    del measured["statuses"], measured["errors"]
    return {
        "contender": run.contender,
        "workers": run.workers,
        "candidates": len(run.mutants),
        "deliberate_loops": sum(mutant.deliberate_timeout for mutant in run.mutants),
        "candidates_per_s": run.rate,
        **measured,
        "peak": asdict(run.peak),
    }
