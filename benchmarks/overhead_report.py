"""The benchmark of the pipeline's overhead as text that fits 100 columns, and as JSON."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from benchmarks.overhead_runs import BARE, BARE_KEPT, CONTENDERS, PIPELINE, Trained
from benchmarks.overhead_setup import Setup

Times = Callable[[Trained], list[float]]

MAX_RATIO = 1.03
MAX_JUDGE_SHARE = 0.02
_NOISE_CPUS = 0.2
_HEADER = (
    f"{'':<12}{'------- step -------':>26}   {'----- pipeline takes -----':>28}"
    f"{'between':>10}{'process':>9}{'others':>8}\n"
    f"{'contender':<12}{'median s':>10}{'best s':>8}{'CPU s':>8}   "
    f"{'median':>10}{'best':>9}{'CPU':>9}{'ms':>10}{'s':>9}{'CPUs':>8}"
)


@dataclass(frozen=True, kw_only=True)
class Ratios:
    """How many times the pipeline's steps take what another contender's do."""

    median: float
    """Of wall times: the median of each step's rounds."""
    best: float
    """Of wall times: the fastest of each step's rounds; a busy machine only ever adds to them."""
    cpu: float
    """Of CPU times: the least of each step's rounds."""
    by_rounds: tuple[float, ...]
    """Of wall times, round by round."""
    cpu_by_rounds: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class JudgeShare:
    """What rewarding costs in the pipeline."""

    share: float
    """Of a step's time, over all measured steps."""
    by_rounds: tuple[float, ...]
    completion_ms: float
    """Median over steps."""
    min_completion_ms: float
    num_completions: int
    """In a step."""


@dataclass(frozen=True, kw_only=True)
class Results:
    """One method's runs, and what follows from them."""

    setup: Setup
    runs: Sequence[Trained]
    warmup: int
    """Steps at the begin of a training that are not counted."""
    differences: Mapping[str, float]

    def of(self, contender: str) -> list[Trained]:
        return [run for run in self.runs if run.contender == contender]

    def steps(self, run: Trained) -> list[float]:
        """Seconds of each step that counts."""
        return run.notes.step_s[self.warmup :]

    def cpu(self, run: Trained) -> list[float]:
        """CPU seconds of each step that counts."""
        return run.notes.step_cpu_s[self.warmup :]

    def best(self, contender: str, times: Times) -> float:
        """Mean over the steps, each in its fastest round: equal steps do equal work."""
        return statistics.mean(map(min, self._by_step(contender, times)))

    def median(self, contender: str) -> float:
        """Mean over the steps, each by the median of its rounds."""
        return statistics.mean(map(statistics.median, self._by_step(contender, self.steps)))

    def others(self, contender: str) -> float:
        """CPUs that were busy with something else while this contender trained."""
        steps = [each for run in self.of(contender) for each in run.notes.others[self.warmup :]]
        return statistics.median(steps)

    @property
    def is_busy(self) -> bool:
        """Whether others took CPUs that the training had use for; its wall times are theirs too."""
        spare = (os.cpu_count() or 1) - self.runs[0].notes.num_threads
        return max(map(self.others, CONTENDERS)) > spare + _NOISE_CPUS

    def ratios(self, other: str) -> Ratios:
        return Ratios(
            median=self.median(PIPELINE) / self.median(other),
            best=self.best(PIPELINE, self.steps) / self.best(other, self.steps),
            cpu=self.best(PIPELINE, self.cpu) / self.best(other, self.cpu),
            by_rounds=self._by_rounds(other, self.steps),
            cpu_by_rounds=self._by_rounds(other, self.cpu),
        )

    def _by_step(self, contender: str, times: Times) -> list[tuple[float, ...]]:
        """For each step its times in all rounds."""
        return list(zip(*map(times, self.of(contender)), strict=True))

    def _by_rounds(self, other: str, times: Times) -> tuple[float, ...]:
        rounds = zip(self.of(PIPELINE), self.of(other), strict=True)
        return tuple(sum(times(ours)) / sum(times(theirs)) for ours, theirs in rounds)

    def judging(self) -> JudgeShare:
        """Of the pipeline's runs; of a method with rewards only."""
        spent = [run.notes.reward_s[self.warmup : -1] for run in self.of(PIPELINE)]
        rounds = [
            sum(s) / sum(self.steps(r)) for s, r in zip(spent, self.of(PIPELINE), strict=True)
        ]
        number = self.of(PIPELINE)[0].notes.num_rewarded[0]
        each_ms = [1000 * seconds / number for round_ in spent for seconds in round_]
        return JudgeShare(
            share=statistics.median(rounds),
            by_rounds=tuple(rounds),
            completion_ms=statistics.median(each_ms),
            min_completion_ms=min(each_ms),
            num_completions=number,
        )

    def held(self, other: str) -> float:
        """The ratio that the limit is for: of wall times, or of CPU times on a busy machine."""
        ratios = self.ratios(other)
        return ratios.cpu if self.is_busy else ratios.best

    def misses(self) -> list[str]:
        """The limits that were not kept."""
        name = self.setup.method
        found = [
            f"{name}: the pipeline's steps take {ratio:.3f} of the time of {other}"
            for other in (BARE, BARE_KEPT)
            if (ratio := self.held(other)) > MAX_RATIO
        ]
        if name == "grpo" and (share := self.judging().share) > MAX_JUDGE_SHARE:
            found.append(f"{name}: judging takes {share:.1%} of a step")
        return found


def report(results: Results) -> str:
    """All that is said of one method."""
    lines = [_headline(results), "", _HEADER, *(_row(results, name) for name in CONTENDERS), ""]
    lines += [_by_rounds(results, other) for other in (BARE, BARE_KEPT)]
    lines += [_which_limit(results), _same_work(results)]
    if results.setup.method == "grpo":
        lines.append(_about_judging(results.judging()))
    return "\n".join(lines)


def _headline(results: Results) -> str:
    notes = results.runs[0].notes
    num = len(notes.began_s)
    unit = "completions" if results.setup.method == "grpo" else "pairs"
    loads = [run.load for run in results.runs]
    rounds = len(results.of(PIPELINE))
    return (
        f"{results.setup.method.upper()}: {num} steps of {results.setup.num_completions} {unit}, "
        f"{len(results.steps(results.runs[0]))} of them counted, {rounds} rounds, "
        f"{notes.num_threads} threads, load {min(loads):.1f}…{max(loads):.1f}"
    )


def _row(results: Results, contender: str) -> str:
    runs = results.of(contender)
    step = statistics.median(seconds for run in runs for seconds in results.steps(run))
    best = [results.best(contender, times) for times in (results.steps, results.cpu)]
    ratios = "" if contender == PIPELINE else _ratios(results.ratios(contender))
    between = statistics.median(s for run in runs for s in run.notes.between_s[results.warmup :])
    process = statistics.median(run.wall_s for run in runs)
    return (
        f"{contender:<12}{step:>10.3f}{best[0]:>8.3f}{best[1]:>8.3f}   {ratios:>28}"
        f"{1000 * between:>10.1f}{process:>9.1f}{results.others(contender):>8.1f}"
    )


def _ratios(ratios: Ratios) -> str:
    return f"{ratios.median:>9.3f}x{ratios.best:>8.3f}x{ratios.cpu:>8.3f}x"


def _by_rounds(results: Results, other: str) -> str:
    ratios = results.ratios(other)
    return (
        f"pipeline / {other}, round by round: wall {_spread(ratios.by_rounds, '.3f')}, "
        f"CPU {_spread(ratios.cpu_by_rounds, '.3f')}"
    )


def _spread(values: Sequence[float], form: str) -> str:
    return f"{min(values):{form}}…{max(values):{form}}"


def _which_limit(results: Results) -> str:
    limit = f"limit {MAX_RATIO}, held against"
    if results.is_busy:
        return f"{limit} CPU times: others took CPUs that the training had use for"
    return f'{limit} the wall times in "best"'


def _same_work(results: Results) -> str:
    apart = ", ".join(f"{name} {value:.2g}" for name, value in results.differences.items())
    return f"same work: largest differences in a step: {apart}"


def _about_judging(judging: JudgeShare) -> str:
    return (
        f"judging: {judging.share:.2%} of a step ({_spread(judging.by_rounds, '.2%')} by rounds), "
        f"{judging.completion_ms:.1f} ms per completion\n"
        f"  (min {judging.min_completion_ms:.1f}, {judging.num_completions} completions at once)"
    )


def as_json(results: Iterable[Results]) -> dict[str, object]:
    """Everything that the text is made from."""
    return {
        each.setup.method: {
            "settings": dict(each.setup.bare),
            "warmup": each.warmup,
            "is_busy": each.is_busy,
            "differences": dict(each.differences),
            "ratios": {other: asdict(each.ratios(other)) for other in (BARE, BARE_KEPT)},
            "judging": asdict(each.judging()) if each.setup.method == "grpo" else None,
            "runs": [asdict(run) for run in each.runs],
        }
        for each in results
    }
