"""Intervals and paired tests, against independent implementations and simulated truth."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from coderl_exp import statistics
from coderl_exp.statistics import (
    Matrix,
    compare_differences,
    compare_paired,
    difference_interval,
    holm,
    mean_interval,
    mean_intervals,
    sign_flip,
)

NUM_CANDIDATES = 10


def pass_rates(
    rng: np.random.Generator, num_problems: int, num_studies: int
) -> tuple[Matrix, Matrix]:
    """True pass rates, most problems easy or hard, and what ten candidates show of them."""
    true = rng.beta(0.5, 0.5, (num_problems, num_studies))
    return true, rng.binomial(NUM_CANDIDATES, true) / NUM_CANDIDATES


def test_an_interval_holds_the_mean_and_is_about_two_standard_errors_to_each_side() -> None:
    values = np.random.default_rng(0).normal(0.5, 0.2, 400).tolist()
    estimate = mean_interval(values)
    assert estimate.low < estimate.mean < estimate.high
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * 0.2 / 20, rel=0.15)


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_an_interval_is_that_of_scipy_up_to_the_draws(method: statistics.Method) -> None:
    values = pass_rates(np.random.default_rng(3), 60, 1)[1]
    ours = mean_intervals(values, method=method)[0]
    theirs = stats.bootstrap(
        (values[:, 0],), np.mean, n_resamples=9_999, method=method, rng=np.random.default_rng(9)
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.005)


@pytest.mark.parametrize("num_problems", [50, 500])
def test_95_percent_intervals_hold_the_truth_in_93_to_97_of_100_data_sets(
    num_problems: int,
) -> None:
    _, shown = pass_rates(np.random.default_rng(num_problems), num_problems, 500)
    covered = [estimate.low <= 0.5 <= estimate.high for estimate in mean_intervals(shown)]
    assert 0.93 <= np.mean(covered) <= 0.97


def test_one_problem_or_equal_problems_give_the_trivial_interval() -> None:
    for values in ([0.25], [0.5, 0.5, 0.5]):
        estimate = mean_interval(values)
        assert estimate.low == estimate.mean == estimate.high == values[0]


def test_many_columns_at_once_give_what_each_gives_alone() -> None:
    shown = pass_rates(np.random.default_rng(4), 40, 3)[1]
    alone = [mean_interval(column.tolist()) for column in shown.T]
    for one, many in zip(alone, mean_intervals(shown), strict=True):
        assert astuple(many) == pytest.approx(astuple(one))
    differences = shown - shown[:, ::-1]
    for column, many in zip(differences.T, compare_differences(differences), strict=True):
        one = compare_paired([0.0] * 40, column.tolist())
        assert many.p_value == one.p_value
        assert astuple(many.difference) == pytest.approx(astuple(one.difference))


def test_a_clear_paired_difference_is_found_and_no_difference_is_not() -> None:
    before = [0.0, 0.25, 0.5, 0.25] * 20
    clear = compare_paired(before, [value + 0.25 for value in before])
    assert clear.difference.mean == pytest.approx(0.25)
    assert clear.is_significant
    same = compare_paired(before, before)
    assert (same.difference.mean, same.p_value, same.is_significant) == (0.0, 1.0, False)


def test_the_same_numbers_give_the_same_answer_twice() -> None:
    rng = np.random.default_rng(1)
    before, after = rng.random(50).tolist(), rng.random(50).tolist()
    assert compare_paired(before, after) == compare_paired(before, after)


def test_different_problems_are_refused() -> None:
    with pytest.raises(ValueError, match="not the same"):
        compare_paired([0.1, 0.2], [0.1])


@pytest.mark.parametrize("num_problems", [8, 12, 60])
def test_the_sign_flip_test_is_that_of_scipy(num_problems: int) -> None:
    differences = np.random.default_rng(num_problems).normal(0.05, 0.2, num_problems)
    theirs = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=9_999,
        vectorized=True, rng=np.random.default_rng(1),
    ).pvalue  # fmt: skip
    exact = num_problems <= 13
    (ours,) = sign_flip(differences[:, None])
    assert ours == pytest.approx(theirs, abs=1e-9 if exact else 0.015)


def test_p_is_never_zero() -> None:
    assert sign_flip(np.ones((200, 1))) == [1 / (statistics.NUM_RESAMPLES + 1)]


def test_the_paired_test_finds_4_to_6_changes_in_100_studies_where_nothing_changed() -> None:
    rng = np.random.default_rng(2)
    true, before = pass_rates(rng, 200, 3_000)
    after = rng.binomial(NUM_CANDIDATES, true) / NUM_CANDIDATES
    found = np.mean([p < 0.05 for p in sign_flip(after - before)])
    assert 0.04 <= found <= 0.06


def test_pairing_finds_a_gain_of_2_5_points_where_unpaired_intervals_show_nothing() -> None:
    """500 problems, 10 candidates each; pass rates move by 2.5 points on average."""
    rng = np.random.default_rng(5)
    true, before = pass_rates(rng, 500, 200)
    moved = np.clip(true + 0.025 + rng.normal(0, 0.03, true.shape), 0, 1)
    moved += 0.025 - (moved - true).mean()  # what clipping took
    after = rng.binomial(NUM_CANDIDATES, np.clip(moved, 0, 1)) / NUM_CANDIDATES
    assert (np.clip(moved, 0, 1) - true).mean() == pytest.approx(0.025, abs=0.002)
    assert np.mean([p < 0.05 for p in sign_flip(after - before)]) >= 0.85
    unpaired = [
        difference_interval(old.tolist(), new.tolist())
        for old, new in zip(before.T[:15], after.T[:15], strict=True)
    ]
    assert np.mean([gap.low <= 0 <= gap.high for gap in unpaired]) >= 0.7


@settings(max_examples=30)
@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_is_that_of_statsmodels(values: list[float]) -> None:
    theirs = multipletests(values, method="holm")[1].tolist() if values else []
    assert holm(values) == pytest.approx(theirs)
