"""Planned studies, against simulated ones."""

from __future__ import annotations

import numpy as np
import pytest

from coderl_exp.metrics import ProblemResult
from coderl_exp.power import (
    Noise,
    estimate_noise,
    minimum_detectable_effect,
    paired_error,
    plans_around,
    power,
    unpaired_error,
)
from coderl_exp.statistics import Matrix, sign_flip

NUM_PROBLEMS, NUM_CANDIDATES, NUM_STUDIES = 120, 5, 1_000


def simulate(effect: float, seed: int) -> tuple[Matrix, Matrix]:
    """Passing candidates before and after: (problems × studies); half the problems gain more."""
    rng = np.random.default_rng(seed)
    true = rng.uniform(0.2, 0.6, (NUM_PROBLEMS, NUM_STUDIES))
    change = effect + rng.choice([-0.1, 0.1], true.shape)
    return rng.binomial(NUM_CANDIDATES, true), rng.binomial(NUM_CANDIDATES, true + change)


def results(num_passed: Matrix, num_candidates: int = NUM_CANDIDATES) -> list[ProblemResult]:
    return [
        ProblemResult(task_id=str(i), num_candidates=num_candidates, num_passed=int(passed))
        for i, passed in enumerate(num_passed)
    ]


def true_noise(effect: float) -> Noise:
    """By the formulas of the uniform and the two-point distribution."""
    rates = np.linspace(0.2, 0.6, 100_001)
    changed = [rates + effect + step for step in (-0.1, 0.1)]
    after = float(np.mean([rate * (1 - rate) for rate in changed]))
    spread = 0.4**2 / 12
    return Noise(
        sampling=float((rates * (1 - rates)).mean()) + after,
        change=0.01,
        problems=2 * spread + 0.01,
    )


@pytest.mark.parametrize("effect", [0.03, 0.07])
def test_power_is_the_share_of_simulated_studies_that_find_the_change(effect: float) -> None:
    before, after = simulate(effect, seed=1)
    found = np.mean([p < 0.05 for p in sign_flip((after - before) / NUM_CANDIDATES)])
    error = paired_error(true_noise(effect), NUM_PROBLEMS, NUM_CANDIDATES)
    assert power(effect, error) == pytest.approx(found, abs=0.04)


def test_without_an_effect_power_is_the_level() -> None:
    assert power(0.0, 0.1) == pytest.approx(0.05)
    assert (power(0.0, 0.0), power(0.1, 0.0)) == (0.0, 1.0)


def test_the_minimum_detectable_effect_is_found_by_four_of_five_studies() -> None:
    noise = true_noise(0.05)
    error = paired_error(noise, NUM_PROBLEMS, NUM_CANDIDATES)
    assert power(minimum_detectable_effect(error), error) == pytest.approx(0.8, abs=0.001)


def test_noise_is_estimated_without_bias() -> None:
    before, after = simulate(0.05, seed=2)
    estimates = [
        estimate_noise(results(old), results(new))
        for old, new in zip(before.T[:300], after.T[:300], strict=True)
    ]
    found = [estimate for estimate in estimates if estimate]
    expected = true_noise(0.05)
    for name, tolerance in (("sampling", 0.005), ("change", 0.0025), ("problems", 0.003)):
        mean = np.mean([getattr(estimate, name) for estimate in found])
        assert mean == pytest.approx(getattr(expected, name), abs=tolerance), name


def test_an_unpaired_study_needs_a_larger_effect() -> None:
    noise = true_noise(0.05)
    assert unpaired_error(noise, 100, 10) > 1.2 * paired_error(noise, 100, 10)


def test_one_candidate_or_one_problem_does_not_say_what_varies() -> None:
    one = results(np.array([1.0, 0.0, 1.0]), num_candidates=1)
    assert estimate_noise(one, one) is None
    alone = results(np.array([3.0]))
    assert estimate_noise(alone, alone) is None


def test_more_problems_help_more_than_as_many_more_candidates() -> None:
    now, candidates, problems, both = plans_around(true_noise(0.05), 100, 5)
    assert (problems.num_problems, candidates.num_candidates) == (400, 20)
    assert both.detectable < problems.detectable < candidates.detectable < now.detectable
    assert problems.detectable == pytest.approx(now.detectable / 2)
