"""Seeds as replicates: copies are refused, and what varies is split into its parts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pandas import DataFrame
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from coderl_exp.errors import DataError
from coderl_exp.metrics import ProblemResult
from coderl_exp.replicates import (
    Replicate,
    check_replicates,
    replicate_interval,
    split_variance,
)
from coderl_exp.statistics import Matrix, mean_interval

SCORES = {"pass@1": 0.0412, "pass@5": 0.1094, "pass@10": 0.1487}


def simulate(rng: np.random.Generator, num_seeds: int, num_problems: int) -> Matrix:
    """Passing candidates of eight; seeds move all problems, and each problem on its own."""
    rates = (
        rng.uniform(0.3, 0.6, num_problems)
        + rng.normal(0, 0.05, (num_seeds, 1))
        + rng.uniform(-0.1, 0.1, (num_seeds, num_problems))
    )
    return np.asarray(rng.binomial(8, rates.clip(0, 1)), dtype=float)


def run(name: str, seed: int | None, samples: str, num_passed: int = 3) -> Replicate:
    result = ProblemResult(task_id="a", num_candidates=8, num_passed=num_passed)
    return Replicate(name=name, seed=seed, samples=samples, scores={}, results=(result,))


def test_a_table_of_five_runs_that_agree_in_every_number_is_refused() -> None:
    """Five evaluations of one checkpoint, published as five runs with a standard deviation of 0."""
    table = [Replicate(name=f"run {i}", seed=None, samples="", scores=SCORES) for i in range(5)]
    with pytest.raises(DataError, match=r"run 0 and run 1 are no replicates: they agree in every"):
        check_replicates(table)
    check_replicates(
        [replace(row, scores={"pass@1": 0.04 + i / 1000}) for i, row in enumerate(table)]
    )


def test_equal_seeds_are_refused() -> None:
    with pytest.raises(DataError, match="both have seed 7"):
        check_replicates([run("a", 7, "x"), run("b", 7, "y")])


def test_equal_samples_under_different_seeds_are_refused() -> None:
    with pytest.raises(DataError, match="their sampled completions are identical"):
        check_replicates([run("a", 1, "x"), run("b", 2, "y"), run("c", 3, "x")])


def test_equal_results_are_refused_where_the_samples_are_not_known() -> None:
    with pytest.raises(DataError, match="the same number of candidates of every problem"):
        check_replicates([run("a", 1, ""), run("b", 2, "")])


def test_equal_scores_of_different_samples_are_a_coincidence() -> None:
    check_replicates([run("a", 1, "x"), run("b", 2, "y")])
    check_replicates([run("a", 1, "", num_passed=8), run("b", 2, "", num_passed=8)])


def test_variance_parts_are_those_of_an_analysis_of_variance() -> None:
    num_passed = simulate(np.random.default_rng(0), 4, 30)
    rows = [
        {"seed": s, "problem": p, "rate": num_passed[s, p] / 8} for s in range(4) for p in range(30)
    ]
    table = anova_lm(ols("rate ~ C(seed) + C(problem)", DataFrame(rows)).fit())
    square = table["sum_sq"] / table["df"]
    parts = split_variance(num_passed, 8)
    assert parts is not None
    assert parts.problem == pytest.approx((square["C(problem)"] - square["Residual"]) / 4)
    assert parts.seed == pytest.approx(max(0, (square["C(seed)"] - square["Residual"]) / 30))


def test_variance_parts_are_right_on_average() -> None:
    rng = np.random.default_rng(1)
    parts = [split_variance(simulate(rng, 6, 60), 8) for _ in range(300)]
    mean = {
        name: np.mean([getattr(part, name) for part in parts if part])
        for name in ("problem", "seed", "problem_by_seed", "sample")
    }
    assert mean["problem"] == pytest.approx(0.3**2 / 12, rel=0.05)
    assert mean["seed"] == pytest.approx(0.05**2, rel=0.1)
    assert mean["problem_by_seed"] == pytest.approx(0.2**2 / 12, rel=0.1)  # cut off at 0
    within = 0.3**2 / 12 + 0.05**2 + 0.2**2 / 12
    assert mean["sample"] == pytest.approx(0.45 * 0.55 - within, rel=0.02)


def test_one_seed_or_one_candidate_does_not_say_what_varies() -> None:
    assert split_variance(np.ones((1, 5)), 8) is None
    assert split_variance(np.ones((3, 5)), 1) is None


@pytest.mark.parametrize("num_seeds", [3, 8])
def test_the_interval_over_seeds_holds_the_truth_for_new_seeds(num_seeds: int) -> None:
    rng = np.random.default_rng(num_seeds)
    held, alone = [], []
    for _ in range(500):
        rates = simulate(rng, num_seeds, 60) / 8
        held.append((e := replicate_interval(rates)).low <= 0.45 <= e.high)
        alone.append(abs(rates[0].mean() - 0.45) <= 1.96 * rates[0].std() / 60**0.5)
    assert 0.93 <= np.mean(held) <= 0.98
    assert np.mean(alone) < 0.8, "one seed's interval does not know that seeds vary"


def test_an_interval_does_not_leave_what_is_possible() -> None:
    rates = np.array([[0.9] * 20, [0.1] * 20])
    for lowest in (-1.0, 0.0):
        interval = replicate_interval(rates, lowest)
        assert (interval.low, interval.high) == (lowest, 1.0)


def test_one_seed_has_the_interval_over_problems() -> None:
    rates = simulate(np.random.default_rng(2), 1, 20) / 8
    assert replicate_interval(rates) == mean_interval(rates[0].tolist())
