"""One honest sentence about a run: what it shows, and what it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from coderl_exp.rendering import p_value, percent, points
from coderl_exp.report_data import PassAtK, RunReport
from coderl_exp.statistics import Estimate, PairedComparison


def answer_of(report: RunReport, scores: PassAtK, num_problems: int, was_trained: bool) -> str:
    """The sentence, about the smallest k."""
    k = min(report.ks, default=1)
    before, after = scores.before.get(k), scores.after.get(k)
    if before and after:
        num_tests = len(scores.comparisons)
        return _compared(report.method.upper(), k, before, after, scores.comparisons[k], num_tests)
    if before and not report.after:
        end = "the trained model was not evaluated" if was_trained else "nothing was trained"
        return f"The model passes {_passes(k, before, num_problems)}; {end} in this run."
    if after and not report.before:
        return (
            f"The trained model passes {_passes(k, after, num_problems)}; the base model was not "
            "evaluated in this run, so it shows no change."
        )
    return f"pass@{k} is undefined in this run: too many candidates are missing (see the warnings)."


def answer_without_test(
    ks: Sequence[int], validation: Mapping[int, Estimate], num_problems: int
) -> str:
    """The sentence about a run that did not evaluate on the test split."""
    k = min(ks, default=1)
    if k not in validation:
        return (
            "No model was evaluated on the test split in this run: it does not say how good one is."
        )
    passes = _passes(k, validation[k], num_problems, "validation")
    return f"The trained model passes {passes}; the test split was not evaluated in this run."


def _compared(
    method: str,
    k: int,
    before: Estimate,
    after: Estimate,
    comparison: PairedComparison,
    num_tests: int,
) -> str:
    """Claims a change only where the interval and the corrected test both do."""
    change, significant = comparison.difference, comparison.is_significant
    old, new = percent(before.mean), percent(after.mean)
    if change.low == change.high == 0:
        return f"{method} left pass@{k} at {old}: it is the same for every problem."
    corrected = f" (corrected for {num_tests} values of k)" if num_tests > 1 else ""
    numbers = (
        f"{points(change.mean)} points (95 % interval {points(change.low)} to "
        f"{points(change.high)}), {p_value(comparison.p_value)}{corrected}"
    )
    includes_zero = change.low <= 0 <= change.high
    if significant and not includes_zero:
        verb = "raised" if change.mean > 0 else "lowered"
        return f"{method} {verb} pass@{k} from {old} to {new}: {numbers}: unlikely to be chance."
    if includes_zero and not significant:
        end = "the interval includes zero: this run does not show that the change is real."
    else:
        end = "interval and test disagree, so this run does not settle whether the change is real."
    return f"With {method}, pass@{k} went from {old} to {new}: {numbers}; {end}"


def _passes(k: int, value: Estimate, num_problems: int, split: str = "test") -> str:
    tries = "at the first try" if k == 1 else f"within {k} tries"
    interval = f"95 % interval {percent(value.low)} to {percent(value.high)}"
    noun = "problem" if num_problems == 1 else "problems"
    return f"{percent(value.mean)} ({interval}) of {num_problems} {split} {noun} {tries}"
