"""What makes preference pairs unfit to train on is seen, and labels that flip are left out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import pytest

from coderl_exp.label_checks import CheckedPairs, check_labels
from coderl_exp.pair_audit import PairAudit, audit_pairs
from coderl_exp.preferences import build_preferences
from coderl_exp.records import JudgedCandidate, Problem, Program, Verdict, VerdictStatus
from coderl_exp.sandbox import IsolationReport
from tests.conftest import make_judged, make_problem, sandbox_config
from tests.test_preferences import CRASH, LONG, SHORT, WRONG, rl_build_config

PASSED, FAIL = VerdictStatus.passed, VerdictStatus.wrong_answer
TRAIN = replace(make_problem(), split="train")
TEST = replace(
    make_problem(),
    task_id="mini/9",
    split="test",
    text="Sort a list of words by length.",
    references=("def by_length(words):\n    return sorted(words, key=len)\n",),
    tests=("assert by_length(['bb', 'a']) == ['a', 'bb']",),
)


def audit(
    rows: list[JudgedCandidate], problems: Iterable[Problem] = (TRAIN, TEST), **options: Any
) -> PairAudit:
    named = {problem.task_id: problem for problem in problems}
    pairs = build_preferences(rows, named, rl_build_config(**options)).pairs
    return audit_pairs(pairs, rows, named)


def judged(
    *programs: tuple[str, VerdictStatus, int], task_id: str = "mini/1"
) -> list[JudgedCandidate]:
    return [
        make_judged(code, status, index, task_id, num_completion_tokens=tokens)
        for index, (code, status, tokens) in enumerate(programs)
    ]


def test_no_pairs_give_zero_counts_and_nothing_defined() -> None:
    empty = audit(judged((WRONG, FAIL, 5)))
    assert (empty.num_pairs, empty.num_problems, empty.num_near_duplicates) == (0, 0, 0)
    assert empty.chosen_longer is empty.effective_problems is empty.largest_share is None
    json.dumps(asdict(empty), allow_nan=False)


def test_pairs_are_counted_by_kind() -> None:
    found = audit(judged((SHORT, PASSED, 9), (LONG, PASSED, 9), (WRONG, FAIL, 9)))
    assert found.by_kind == {"pass_over_fail": 2, "pass_over_pass": 1}
    assert (found.num_pairs, found.num_problems) == (3, 1)


def test_a_chosen_side_that_is_always_longer_is_seen() -> None:
    found = audit(judged((SHORT, PASSED, 30), (WRONG, FAIL, 10), (CRASH, FAIL, 20)))
    assert (found.median_chosen_tokens, found.median_rejected_tokens) == (30, 15)
    assert found.chosen_longer is not None
    assert found.chosen_longer.mean == 1.0


def test_equal_lengths_count_half() -> None:
    found = audit(judged((SHORT, PASSED, 10), (WRONG, FAIL, 10)))
    assert found.chosen_longer is not None
    assert found.chosen_longer.mean == 0.5


def test_programs_that_differ_in_one_token_of_many_are_near_duplicates() -> None:
    body = "def double(x):\n" + "    x = x + 0\n" * 20
    found = audit(
        judged((body + "    return 2 * x\n", PASSED, 9), (body + "    return 3 * x\n", FAIL, 9))
    )
    assert found.num_near_duplicates == 1
    assert audit(judged((SHORT, PASSED, 9), (CRASH, FAIL, 9))).num_near_duplicates == 0


def test_one_problem_with_most_of_the_pairs_is_seen() -> None:
    other = replace(TRAIN, task_id="mini/2")
    rows = judged((SHORT, PASSED, 9), (LONG, PASSED, 9), (WRONG, FAIL, 9), (CRASH, FAIL, 9))
    rows += judged((SHORT, PASSED, 9), (WRONG, FAIL, 9), task_id="mini/2")
    found = audit(rows, (TRAIN, other, TEST), within_pass_pairs_per_winner=0)
    assert found.num_pairs == 5
    assert found.largest_share == pytest.approx(4 / 5)
    assert found.effective_problems == pytest.approx(25 / 17)


@pytest.mark.parametrize(
    ("copied", "known_by"),
    [
        ({"text": "sort a list of WORDS, by length"}, "the text of mini/9"),
        ({"tests": ("assert by_length( ['bb','a'] )==['a','bb']",)}, "a test of mini/9"),
    ],
)
def test_a_test_problem_under_another_name_is_a_leak(
    copied: Mapping[str, Any], known_by: str
) -> None:
    rows = judged((SHORT, PASSED, 9), (WRONG, FAIL, 9))
    assert audit(rows, (replace(TRAIN, **copied), TEST)).leaks == {"mini/1": known_by}
    assert audit(rows).leaks == {}


def test_a_text_that_differs_in_a_number_only_is_another_task() -> None:
    rows = judged((SHORT, PASSED, 9), (WRONG, FAIL, 9))
    first, second = (
        replace(problem, text=f"Write a function that adds {number} to a number.")
        for problem, number in ((TRAIN, 101), (TEST, 1))
    )
    assert audit(rows, (first, second)).leaks == {}


def test_a_chosen_program_that_is_a_test_problems_reference_is_a_leak() -> None:
    rows = judged((f"{TEST.reference}# mine\n", PASSED, 9), (WRONG, FAIL, 9))
    assert audit(rows).leaks == {"mini/1": "its program solves mini/9"}


class _Forgetful:
    """Judges by a list per program and call; after it, everything passes that says `2 *`."""

    def __init__(self, *rounds: Mapping[str, VerdictStatus]) -> None:
        self._rounds = list(rounds)

    def run(self, programs: Iterable[Program]) -> Iterator[Verdict]:
        special = self._rounds.pop(0) if self._rounds else {}
        for program in programs:
            code = program.code or ""
            status = special.get(code, PASSED if code in (SHORT, LONG) else FAIL)
            yield Verdict(status=status, tests=(status,))

    def describe(self) -> IsolationReport:
        return IsolationReport(active=())

    def close(self) -> None: ...


def check(*rounds: Mapping[str, VerdictStatus], repeats: int = 2) -> CheckedPairs | None:
    rows = judged((SHORT, PASSED, 9), (WRONG, FAIL, 9), (CRASH, FAIL, 9))
    problems = {"mini/1": TRAIN}
    pairs = build_preferences(rows, problems, rl_build_config()).pairs
    judge = _Forgetful({}, *rounds)  # the first round judges the references
    return check_labels(pairs, rows, problems, lambda: judge, sandbox_config(), repeats)


def test_labels_that_hold_keep_every_pair() -> None:
    checked = check()
    assert checked is not None
    assert asdict(checked.checks) == {"num_programs": 3, "num_repeats": 2, "num_changed": 0}
    assert len(checked.kept) == 2


def test_a_pair_whose_rejected_program_passes_the_next_time_is_left_out() -> None:
    checked = check({}, {CRASH: PASSED})
    assert checked is not None
    assert checked.checks.num_changed == 1
    assert [pair.rejected for pair in checked.kept] == [f"```python\n{WRONG}```\n"]


def test_a_failure_of_the_judge_is_no_evidence_against_a_label() -> None:
    checked = check({SHORT: VerdictStatus.sandbox_error})
    assert checked is not None
    assert len(checked.kept) == 2


def test_without_repeats_the_judge_is_not_started() -> None:
    assert check(repeats=0) is None
