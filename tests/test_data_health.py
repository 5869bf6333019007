"""The report says how much of the data can be solved, and gives pass@k on that part too."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from coderl_exp.contamination import solution_overlaps, text_overlaps
from coderl_exp.data_audit import ProblemAudit, machine
from coderl_exp.data_health import DataHealth, data_health
from coderl_exp.dataset import Dataset
from coderl_exp.records import Problem
from coderl_exp.report import render_html, render_markdown, summarize
from tests.conftest import make_problem
from tests.runs import make_problems, make_report

WORDS = "Write a function that tells whether a word of small letters is a palindrome or not"


def audit_of(problem: Problem, status: str = "solvable") -> ProblemAudit:
    is_solvable = status == "solvable"
    return ProblemAudit(
        task_id=problem.task_id,
        split=problem.split,
        status=status,  # type: ignore[arg-type]
        reason="" if is_solvable else "wrong_answer: does not hold: assert <f>(1) == 3",
        num_references=1,
        passing=(0,) if is_solvable else (),
        reading=0,
        cpu_s=0.01,
        machine=machine(),
    )


def health(statuses: list[str]) -> DataHealth:
    problems = list(make_problems(len(statuses)).values())
    audits = {p.task_id: audit_of(p, s) for p, s in zip(problems, statuses, strict=True)}
    dataset = Dataset(problems=problems, left_out={"malformed tests": 3})
    return data_health(dataset, audits, problems)


def test_the_ceiling_is_the_share_of_test_problems_that_a_reference_solves() -> None:
    found = health(["solvable", "solvable", "flaky", "quarantined"])
    assert found.ceiling == 0.5
    assert found.unsolvable_test == {"mini/test2", "mini/test3"}
    [split] = found.splits
    assert (split.solvable, split.flaky, split.quarantined) == (2, 1, 1)


def test_pass_at_k_is_given_on_all_and_on_solvable_problems() -> None:
    data = health(["solvable", "solvable", "flaky", "quarantined"])
    summary = summarize(make_report([1, 0, 0, 0], [1, 1, 0, 0], data=data))
    assert summary.before[1].mean == 0.25
    assert summary.solvable is not None
    assert summary.solvable.before[1].mean == 0.5
    assert summary.solvable.comparisons[1].difference.mean == 0.5
    for page in (render_html(summary), render_markdown(summary)):
        assert "solvable test problems" in page
        assert "50.0 %" in page
        assert "mini/test3 (test), quarantined: wrong_answer" in page
        assert "3 (malformed tests)" in page
    assert "<f>" not in render_html(summary)
    assert json.loads(json.dumps(asdict(summary)))["data"]["ceiling"] == 0.5


def test_where_all_is_solvable_nothing_is_given_twice() -> None:
    summary = summarize(make_report([0.5, 0], [1, 0], data=health(["solvable"] * 2)))
    assert summary.solvable is None
    assert "100.0 % of the test problems are solved" in render_markdown(summary)


def test_a_run_without_an_audit_says_so() -> None:
    problems = list(make_problems(2).values())
    data = data_health(Dataset(problems=problems, left_out={}), None, problems)
    assert data.ceiling is None
    summary = summarize(make_report([0.5, 0], [1, 0], data=data))
    assert "not judged before this run" in render_html(summary)


def test_a_test_text_that_stands_in_train_is_found() -> None:
    train = [make_problem("m/1", text=f"{WORDS}."), make_problem("m/2", text="Add two numbers.")]
    test = [
        make_problem("m/9", "test", text=f"{WORDS}, ignoring case."),
        make_problem("m/8", "test", text="Sort the words of a long sentence by their last letter."),
    ]
    [overlap] = text_overlaps(train, test)
    assert (overlap.task_id, overlap.train_task_id) == ("m/9", "m/1")
    assert overlap.share > 0.8


def test_copies_in_a_small_train_split_are_no_common_wording() -> None:
    train = [make_problem(f"m/{n}", text=WORDS) for n in range(3)]
    [overlap] = text_overlaps(train, [make_problem("m/9", "test", text=WORDS)])
    assert overlap.share == 1.0


def test_words_that_all_tasks_share_are_no_overlap() -> None:
    start = "Write a python function to find the"
    train = [make_problem(f"m/{n}", text=f"{start} thing number{n}.") for n in range(100)]
    test = [make_problem("m/900", "test", text=f"{start} largest prime factor.")]
    assert text_overlaps(train, test) == []


def test_a_test_solution_that_stands_in_train_is_found() -> None:
    code = (
        "def f(values):\n    best = 0\n    for v in values:\n        best = max(best, v * v + 1)\n"
    )
    train = [make_problem("m/1", references=(code + "    return best\n",))]
    test = [
        make_problem("m/9", "test", references=(code + "    return best + 1\n",)),
        replace(make_problem("m/8", "test"), references=()),
        make_problem("m/7", "test", references=("print 'Python 2'\n",)),
    ]
    assert [o.task_id for o in solution_overlaps(train, test)] == ["m/9"]
