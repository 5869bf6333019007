"""Warnings about an online training."""

from __future__ import annotations

from coderl_exp.training_health import training_warnings

HEALTHY = {
    "frac_reward_zero_std": 0.2,
    "heldout_gap": 0.0,
    "hardcoded": 0.0,
    "completions/clipped_ratio": 0.1,
    "verdict/sandbox_error": 0.0,
}


def test_a_healthy_training_and_one_without_rollouts_have_no_warnings() -> None:
    assert training_warnings([HEALTHY] * 9, 0.1) == []
    assert training_warnings([{"loss": 0.3}] * 9, 0.1) == []
    assert training_warnings([], 0.1) == []


def test_a_widening_gap_to_the_held_out_tests_is_told() -> None:
    rows = [{**HEALTHY, "heldout_gap": gap} for gap in (0.0, 0.0, 0.1, 0.2, 0.3, 0.3)]
    [warning] = training_warnings(rows, 0.1)
    assert "grew by 30 points" in warning
    assert training_warnings(rows, 0.5) == []


def test_a_gap_that_was_there_from_the_start_does_not_count() -> None:
    assert training_warnings([{**HEALTHY, "heldout_gap": 0.3}] * 6, 0.1) == []


def test_every_ailment_has_a_line_of_its_own() -> None:
    ill = {
        "frac_reward_zero_std": 0.9,
        "hardcoded": 0.5,
        "completions/clipped_ratio": 0.6,
        "verdict/sandbox_error": 0.01,
    }
    warnings = training_warnings([ill] * 3, 0.1)
    assert [line.split()[0] for line in warnings] == ["50", "90", "60", "1"]


def test_clipping_is_only_told_where_it_is_frequent() -> None:
    assert training_warnings([{**HEALTHY, "completions/clipped_ratio": 0.3}], 0.1) == []
