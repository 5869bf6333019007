"""What becomes a pair, what does not, and that nothing is lost without a reason."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from coderl_exp.config import RLBuildConfig
from coderl_exp.preferences import Preferences, build_preferences, measure_code
from coderl_exp.records import JudgedCandidate, VerdictStatus
from tests.conftest import make_judged, make_problem

FAIL = VerdictStatus.wrong_answer
SHORT = "def double(x):\n    return 2 * x\n"
LONG = "def double(x):\n    y = x\n    y = y + x\n    return y\n"
WRONG = "def double(x):\n    return x\n"
CRASH = "def double(x):\n    return x[0]\n"


def rl_build_config(**options: Any) -> RLBuildConfig:
    return RLBuildConfig(
        **{
            "n_best": 3,
            "max_pairs": 20,
            "pairs_per_winner": None,
            "fails_per_passer": 3,
            "within_pass_pairs_per_winner": 1,
            **options,
        }
    )


def build(rows: list[JudgedCandidate], **options: Any) -> Preferences:
    return build_preferences(rows, {"mini/1": make_problem()}, rl_build_config(**options))


def rows(*programs: tuple[str, VerdictStatus]) -> list[JudgedCandidate]:
    return [make_judged(code, status, index) for index, (code, status) in enumerate(programs)]


PASSED = VerdictStatus.passed


def test_the_shorter_passer_ranks_first() -> None:
    made = build(rows((LONG, PASSED), (SHORT, PASSED)))
    assert [row.code for row in made.nbest] == [SHORT, LONG]
    assert [row.rank for row in made.nbest] == [0, 1]


def test_passers_over_failers_come_before_passers_over_worse_passers() -> None:
    made = build(rows((LONG, PASSED), (WRONG, FAIL), (SHORT, PASSED)))
    assert [(p.kind, p.chosen_index, p.rejected_index) for p in made.pairs] == [
        ("pass_over_fail", 2, 1),
        ("pass_over_fail", 0, 1),
        ("pass_over_pass", 2, 0),
    ]


def test_no_pair_within_passers_unless_asked_for() -> None:
    made = build(rows((LONG, PASSED), (SHORT, PASSED)), within_pass_pairs_per_winner=0)
    assert made.pairs == ()


def test_programs_that_differ_in_layout_only_count_once() -> None:
    spaced = SHORT.replace("2 * x", "2*x  # twice")
    made = build(rows((SHORT, PASSED), (spaced, PASSED), (WRONG, FAIL)))
    assert len(made.nbest) == 1
    assert made.dropped["candidate: duplicate by AST"] == 1


def test_caps_hold_per_winner_and_per_problem() -> None:
    failers = [(f"def double(x):\n    return {n}\n", FAIL) for n in range(5)]
    programs = rows((SHORT, PASSED), (LONG, PASSED), *failers)
    assert len(build(programs, fails_per_passer=2).pairs) == 5
    assert len(build(programs, pairs_per_winner=1).pairs) == 2
    capped = build(programs, max_pairs=3)
    assert len(capped.pairs) == 3
    assert capped.dropped["pair: over max_pairs"] == 4


def test_sandbox_errors_are_never_preferred_against_and_are_counted() -> None:
    judged = rows((SHORT, PASSED), (WRONG, VerdictStatus.sandbox_error))
    made = build(judged)
    assert made.pairs == ()
    assert made.dropped["candidate: sandbox error"] == 1
    assert made.dropped["problem: every candidate passes"] == 1


def test_a_problem_without_a_passer_gives_no_pair() -> None:
    made = build(rows((WRONG, FAIL), (CRASH, VerdictStatus.runtime_error)))
    assert made.pairs == ()
    assert made.dropped["problem: no candidate passes"] == 1


def test_metrics_count_code_not_comments() -> None:
    code = "# twice\ndef double(x):\n\n    if x:\n        return 2 * x\n    return 0\n"
    metrics = measure_code(code)
    assert (metrics.lines, metrics.cyclomatic_complexity, metrics.nesting) == (4, 2, 2)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from([SHORT, LONG, WRONG, CRASH]), st.sampled_from(VerdictStatus))
    )
)
def test_a_failer_is_never_preferred_over_a_passer(
    programs: list[tuple[str, VerdictStatus]],
) -> None:
    made = build(rows(*programs))
    for pair in made.pairs:
        assert pair.chosen_status is PASSED
        assert (pair.rejected_status is PASSED) == (pair.kind == "pass_over_pass")
        assert pair.chosen_index != pair.rejected_index
