"""Correlations with passing: SciPy's values, and intervals that know of problems."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from coderl_exp.correlation import correlate


def test_values_are_those_of_scipy_and_lie_in_their_intervals() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 9, 200)
    passed = values + rng.normal(0, 4, 200) > 4
    found = correlate(
        {"lines": values.tolist()}, passed.tolist(), [f"p{i % 40}" for i in range(200)]
    )["lines"]
    for estimate, test in ((found.pearson, stats.pearsonr), (found.spearman, stats.spearmanr)):
        assert estimate is not None
        assert estimate.mean == pytest.approx(test(values, passed).statistic)
        assert estimate.low < estimate.mean < estimate.high


def test_the_interval_of_independent_candidates_is_that_of_fisher() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=400)
    passed = (values + rng.normal(size=400) > 0).tolist()
    theirs = stats.pearsonr(values, passed).confidence_interval()
    problems = [str(i) for i in range(400)]
    ours = correlate({"x": values.tolist()}, passed, problems)["x"].pearson
    assert ours is not None
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.03)


def test_copies_of_a_candidate_within_its_problem_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=60)
    passed = values + rng.normal(size=60) > 0
    problems = [str(i) for i in range(60)]
    once = correlate({"x": values.tolist()}, passed.tolist(), problems)["x"].pearson
    often = correlate({"x": values.tolist() * 5}, passed.tolist() * 5, problems * 5)["x"].pearson
    assert once is not None
    assert often is not None
    assert (often.low, often.high) == pytest.approx((once.low, once.high))


def test_one_problem_leaves_every_correlation_possible() -> None:
    found = correlate({"x": [1, 2, 3, 4]}, [True, False, True, True], ["p"] * 4)["x"].pearson
    assert found is not None
    assert (found.low, found.high) == (-1.0, 1.0)


@pytest.mark.parametrize("values", [[1.0, 1.0, 1.0], [1.0, 2.0]])
def test_a_constant_or_too_few_candidates_have_no_correlation(values: list[float]) -> None:
    found = correlate({"x": values}, [True, False, True][: len(values)], list("abc")[: len(values)])
    assert found["x"].pearson is found["x"].spearman is None
