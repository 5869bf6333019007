import json
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderl_exp.analysis import analyze
from coderl_exp.changes import align, length_histogram, problem_changes
from coderl_exp.errors import CoderlError
from coderl_exp.metrics import ProblemResult, count_results
from coderl_exp.records import Candidate, JudgedCandidate, Usage, Verdict, VerdictStatus

PASSED, WRONG = VerdictStatus.passed, VerdictStatus.wrong_answer


def judged(
    code: str | None = "def f(x):\n    return x\n",
    *,
    task_id: str = "mini/1",
    index: int = 0,
    status: VerdictStatus = PASSED,
    error: str = "",
    num_tokens: int = 10,
    finish_reason: Literal["eos", "stop", "length"] = "eos",
) -> JudgedCandidate:
    return JudgedCandidate(
        candidate=Candidate(
            task_id=task_id,
            index=index,
            seed=0,
            completion=code or "no",
            num_prompt_tokens=5,
            num_completion_tokens=num_tokens,
            finish_reason=finish_reason,
        ),
        code=code,
        extraction_rule="none" if code is None else "whole_text",
        verdict=Verdict(status=status, tests=(status,), error=error),
    )


def chain(num_lines: int) -> str:
    return "def f(x):\n" + "    x += 1\n" * num_lines + "    return x\n"


def result(task_id: str, num_passed: int, num_candidates: int = 4) -> ProblemResult:
    return ProblemResult(task_id=task_id, num_candidates=num_candidates, num_passed=num_passed)


def test_an_empty_set_has_zero_counts_and_undefined_shares() -> None:
    analysis = analyze([])
    assert (analysis.num_problems, analysis.num_candidates, analysis.num_correlated) == (0, 0, 0)
    assert analysis.distinct_share is None
    assert analysis.completion_tokens is None
    assert {(c.pearson, c.spearman) for c in analysis.correlations.values()} == {(None, None)}
    json.dumps(asdict(analysis), allow_nan=False)


def test_programs_that_differ_in_layout_only_are_not_distinct() -> None:
    rows = [judged("def f(x):\n    return x\n"), judged("def f(x): return x  # same\n", index=1)]
    assert analyze(rows).distinct_share == 0.5


def test_the_same_program_for_two_problems_is_distinct_in_each() -> None:
    assert analyze([judged(), judged(task_id="mini/2")]).distinct_share == 1.0


def test_equal_programs_of_a_problem_form_a_cluster() -> None:
    rows = [judged(index=i) for i in range(3)] + [judged(chain(2), index=3)]
    rows += [judged(task_id="mini/2")]
    assert analyze(rows).cluster_sizes == {1: 2, 3: 1}


def test_the_most_alike_programs_differ_and_are_shown_as_a_diff() -> None:
    rows = [judged(chain(8), index=0), judged(chain(8), index=1), judged(chain(9), index=2)]
    rows += [judged("def g(): pass\n", index=3)]
    analysis = analyze(rows)
    (alike,), (unlike,) = analysis.most_alike, analysis.least_alike
    assert (alike.left_index, alike.right_index) == (0, 2)
    assert "+    x += 1" in alike.diff
    assert unlike.right_index == 3
    assert alike.similarity > 0.9 > 0.5 > unlike.similarity


def test_a_long_diff_is_cut_and_says_so() -> None:
    (pair,) = analyze([judged(chain(1)), judged(chain(500) + "y\n" * 300, index=1)]).most_alike
    assert pair.diff.endswith("more lines")
    assert len(pair.diff.splitlines()) == 81


def test_the_first_failing_test_is_counted() -> None:
    rows = []
    for failing in (0, 0, 2, 30):
        tests = (*[PASSED] * failing, WRONG, None)
        verdict = replace(judged().verdict, status=WRONG, tests=tests)
        rows.append(replace(judged(), verdict=verdict))
    assert analyze([*rows, judged()]).failing_tests == {"1": 2, "3": 1, "later": 1}


def test_timeouts_are_counted_by_the_time_of_the_fastest_passing_program() -> None:
    rows = [judged(status=VerdictStatus.timeout, index=i) for i in range(2)]
    rows += [judged(status=VerdictStatus.timeout, task_id="mini/2")]
    for seconds in (0.05, 3.0):
        usage = Usage(cpu_s=seconds, wall_s=seconds, memory_mb=1)
        rows.append(replace(judged(), verdict=replace(judged().verdict, usage=usage)))
    assert analyze(rows).timeouts == {"10 to 100 ms": 2, "not known": 1}


def test_timeouts_are_counted_by_the_reference_where_its_time_is_known() -> None:
    rows = [judged(status=VerdictStatus.timeout)]
    usage = Usage(cpu_s=0.05, wall_s=1, memory_mb=1)
    rows.append(replace(judged(), verdict=replace(judged().verdict, usage=usage)))
    assert analyze(rows, {"mini/1": 2.0}).timeouts == {"over 1 s": 1}


def test_lengths_are_described_by_outcome() -> None:
    analysis = analyze([judged(num_tokens=4), judged(num_tokens=8, status=WRONG)])
    assert analysis.tokens_passed is not None
    assert analysis.tokens_failed is not None
    assert (analysis.tokens_passed.mean, analysis.tokens_failed.mean) == (4, 8)


def test_similarity_compares_candidates_within_a_problem_only() -> None:
    assert analyze([judged(), judged(task_id="mini/2")]).similarity is None
    same = analyze([judged(), judged(index=1), judged(task_id="mini/2")]).similarity
    assert same is not None
    assert (same.num, same.mean) == (1, 1.0)


def test_at_most_45_pairs_of_a_problem_are_compared_and_always_the_same_ones() -> None:
    rows = [judged(chain(index), index=index) for index in range(14)]
    first, second = analyze(rows).similarity, analyze(rows).similarity
    assert first is not None
    assert first.num == 45
    assert first == second


def test_completion_lengths_and_cut_off_share_are_described() -> None:
    rows = [judged(num_tokens=n) for n in (1, 2, 9)]
    rows.append(judged(num_tokens=20, finish_reason="length"))
    analysis = analyze(rows)
    tokens = analysis.completion_tokens
    assert tokens is not None
    assert (tokens.min, tokens.median, tokens.mean, tokens.max) == (1, 5.5, 8, 20)
    assert analysis.cut_off_share == 0.25


def test_errors_are_counted_by_the_text_before_the_colon() -> None:
    rows = [
        judged(status=WRONG, error=e)
        for e in (
            "IndexError: list index out of range",
            "IndexError: pop from empty list",
            "",
            "KeyError",
        )
    ]
    assert analyze(rows).error_types == {"IndexError": 2, "KeyError": 1}


def test_only_the_ten_most_frequent_error_types_are_kept() -> None:
    rows = [judged(status=WRONG, error=f"E{i}: x") for i in range(12) for _ in range(i + 1)]
    assert list(analyze(rows).error_types) == [f"E{i}" for i in range(11, 1, -1)]


def test_a_length_that_always_goes_with_failing_correlates_negatively() -> None:
    rows = [judged(chain(i), index=i, status=PASSED if i < 5 else WRONG) for i in range(10)]
    rho = analyze(rows).correlations["lines"].spearman
    assert rho is not None
    assert rho.mean == pytest.approx(-0.8703882797784891)


def test_a_correlation_is_undefined_where_one_side_is_constant() -> None:
    rows = [judged(chain(i), index=i) for i in range(5)]
    for metric in ("lines", "nesting"):
        assert analyze(rows).correlations[metric].pearson is None
        assert analyze(rows).correlations[metric].spearman is None


def test_code_that_does_not_parse_and_sandbox_errors_are_left_out_of_correlations() -> None:
    rows = [
        judged(),
        judged("def f(:\n", status=VerdictStatus.syntax_error),
        judged(status=VerdictStatus.sandbox_error),
        judged(None, status=VerdictStatus.no_code),
    ]
    assert analyze(rows).num_correlated == 1


@pytest.mark.parametrize("code", ["\x00", "'\ud800'", "(" * 500, "x" * 100_000, "if 1:\n\t\t\n \n"])
def test_hostile_code_is_data_and_not_a_crash(code: str) -> None:
    analysis = analyze([judged(code, index=i, status=WRONG) for i in range(2)])
    assert analysis.num_with_code == 2
    json.dumps(asdict(analysis), allow_nan=False)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, "x = 1", "def f(:", "\x00"]), st.sampled_from(VerdictStatus)
        )
    )
)
def test_every_analysis_is_strict_json(rows: list[tuple[str | None, VerdictStatus]]) -> None:
    analysis = analyze([judged(code, index=i, status=s) for i, (code, s) in enumerate(rows)])
    assert math.isclose(sum(analysis.verdict_shares.values()), 1.0) or not rows
    json.dumps(asdict(analysis), allow_nan=False)


def test_evaluations_are_aligned_by_problem_and_not_by_position() -> None:
    before = [result("a", 1), result("b", 2)]
    after = [result("b", 3), result("a", 4)]
    assert align(before, after) == (before, [after[1], after[0]])


def test_evaluations_of_different_problems_are_refused() -> None:
    with pytest.raises(CoderlError, match="2 problems were evaluated only before or only after"):
        align([result("a", 1), result("b", 1)], [result("a", 1), result("c", 1)])


def test_a_problem_without_judged_candidates_neither_improves_nor_worsens() -> None:
    rows: Sequence[JudgedCandidate] = [judged(status=VerdictStatus.sandbox_error)]
    lost = count_results(rows)
    assert problem_changes(lost, [result("mini/1", 1)]) == []


def test_the_histogram_counts_every_completion_once() -> None:
    before, after = [judged(num_tokens=n) for n in (0, 1, 99)], [judged(num_tokens=512)]
    histogram = length_histogram(before, after)
    assert histogram is not None
    assert (sum(histogram.before), sum(histogram.after)) == (3, 1)
    assert len(histogram.before) == len(histogram.after) == len(histogram.edges) - 1
    assert histogram.edges[-1] > 512


def test_a_set_that_was_not_generated_has_no_bins() -> None:
    assert length_histogram([], []) is None
    histogram = length_histogram([judged()], [])
    assert histogram is not None
    assert histogram.after == ()
