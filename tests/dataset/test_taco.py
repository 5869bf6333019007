"""TACO's columns become problems that mean what the data means."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from coderl_exp.dataset import load_dataset
from coderl_exp.dataset.taco import load_taco
from coderl_exp.errors import DataError
from coderl_exp.records import Problem, StdinTest
from coderl_exp.sandbox import make_judge
from coderl_exp.sandbox.programs import program_for
from tests.conftest import sandbox_config
from tests.dataset.taco import COLUMNS, FIXTURE, config, loaded, row, rows, write_rows

DEEP = json.loads("[" * 300 + "]" * 300)
"""More brackets than Python's parser takes."""


def folder(path: Path, **rows_of: list[dict[str, object]]) -> Path:
    for split, found in rows_of.items():
        write_rows(path / f"{split}-0.jsonl", found)
    return path


def tasks(count: int, name: str, **fields: object) -> list[dict[str, object]]:
    questions = [f"{name} number {n} is to be done." for n in range(count)]
    return [row(["1"], ["1"], question=question, **fields) for question in questions]


@pytest.fixture(scope="module")
def problems() -> dict[int, Problem]:
    """Row → problem."""
    return {int(p.task_id.split("/")[1]): p for p in loaded()}


def one(tmp_path: Path, *overrides: str, **fields: object) -> Problem:
    path = write_rows(tmp_path / "one.jsonl", [row(**fields)])  # type: ignore[arg-type]
    [problem] = load_taco(config(path, *overrides), Counter())
    return problem


def test_the_fixture_has_the_columns_of_taco() -> None:
    assert all(tuple(each) == COLUMNS for each in rows())


def test_rows_without_tests_are_left_out_and_counted() -> None:
    dataset = load_dataset(config())
    assert dataset.left_out == {"malformed tests": 4}
    assert len(dataset.problems) == len(rows()) - 4
    missing = {36, 37, 38, 39}
    assert not missing & {int(p.task_id.split("/")[1]) for p in dataset.problems}


def test_a_whole_program_has_runs_and_no_entry_point(problems: dict[int, Problem]) -> None:
    problem = problems[20]
    assert problem.entry_point is None
    assert all(isinstance(test, StdinTest) for test in problem.tests)
    assert problem.num_visible_tests == 0


def test_lines_in_a_list_are_joined(tmp_path: Path) -> None:
    problem = one(tmp_path, inputs=[["1", "2"]], outputs=[["3"]])
    assert problem.tests == (StdinTest(stdin="1\n2\n", stdout="3\n"),)


def test_a_function_is_called_with_its_arguments(problems: dict[int, Problem]) -> None:
    problem = problems[22]
    assert problem.entry_point == "tent_count"
    assert all(str(test).startswith("assert tent_count(") for test in problem.tests)


def test_a_method_of_solution_is_called_on_a_new_object(problems: dict[int, Problem]) -> None:
    assert problems[26].entry_point == "Solution"
    assert str(problems[26].tests[0]).startswith("assert Solution().countRises(")


@pytest.mark.parametrize("number", [34, 35])
def test_a_function_may_have_no_starter_code(problems: dict[int, Problem], number: int) -> None:
    assert problems[number].starter_code == ""
    assert problems[number].entry_point in ("wheel_total", "drop_spaces")


def test_wrapped_outputs_can_be_read_both_ways(tmp_path: Path) -> None:
    problem = one(tmp_path, inputs=[[2], [3]], outputs=[[4], [6]], fn_name="double")
    assert problem.tests == ("assert double(2) == [4]", "assert double(3) == [6]")
    assert ("assert double(2) == 4", "assert double(3) == 6") in problem.readings


def test_one_output_of_two_elements_means_that_none_is_wrapped(tmp_path: Path) -> None:
    problem = one(tmp_path, inputs=[[2], [3]], outputs=[[4], [6, 7]], fn_name="double")
    assert not any("== 4" in reading[0] for reading in problem.readings)


def test_numbers_that_are_not_whole_need_only_be_close(tmp_path: Path) -> None:
    problem = one(tmp_path, inputs=[[2]], outputs=[0.1], fn_name="tenth")
    assert problem.tests == ("assert math.isclose(tenth(2), 0.1, rel_tol=1e-06, abs_tol=1e-06)",)


def test_among_numbers_that_are_not_whole_a_text_or_nothing_is_exact(tmp_path: Path) -> None:
    problem = one(tmp_path, inputs=[[2], [3], [4]], outputs=[0.5, "none", None], fn_name="half")
    assert problem.tests == (
        "assert math.isclose(half(2), 0.5, rel_tol=1e-06, abs_tol=1e-06)",
        "assert half(3) == 'none'",
        "assert half(4) == None",
    )


def test_printed_numbers_are_compared_as_such_only_where_one_is_not_whole(
    problems: dict[int, Problem],
) -> None:
    assert problems[29].output_rule.float_tolerance == 1e-6
    assert problems[20].output_rule.float_tolerance is None


def test_case_is_ignored_only_where_the_statement_says_so(tmp_path: Path) -> None:
    told = "Print YES or NO. You can print each letter in any case (upper or lower)."
    fields = {"inputs": ["1\n"], "outputs": ["YES\n"]}
    assert one(tmp_path, question=told, **fields).output_rule.ignore_case
    assert not one(tmp_path, question="Print YES or NO.", **fields).output_rule.ignore_case


@pytest.mark.parametrize(
    ("number", "seconds", "megabytes"),
    [(51, 1.0, 256.0), (52, 2.0, 64.0), (53, 0.5, None), (54, None, None), (55, None, None)],
)
def test_limits_are_read_in_every_form(
    problems: dict[int, Problem], number: int, seconds: float | None, megabytes: float | None
) -> None:
    origin = problems[number].origin
    assert (origin.time_limit_s, origin.memory_limit_mb) == (seconds, megabytes)


def test_several_right_answers_are_flagged_and_left_out_unless_wanted(
    problems: dict[int, Problem],
) -> None:
    assert [n for n, p in problems.items() if p.origin.is_special_judge] == [32]
    dataset = load_dataset(config(FIXTURE, "dataset.use_special_judge=false"))
    assert dataset.left_out["several right answers"] == 1


def test_large_integers_and_digits_as_keys_stay_what_they_are(tmp_path: Path) -> None:
    given = [{"1": "a"}, 2**70]
    problem = one(tmp_path, inputs=[given], outputs=[2**70 + 1], fn_name="f")
    assert problem.tests == (f"assert f({{'1': 'a'}}, {2**70}) == {2**70 + 1}",)


def test_solutions_are_distinct_and_limited(tmp_path: Path) -> None:
    fields = {"inputs": ["1"], "outputs": ["1"]}
    solutions = ["a = 1", "a = 1", "b = 2", "c = 3"]
    found = one(tmp_path, "dataset.max_references=2", solutions=solutions, **fields)
    assert found.references == ("a = 1", "b = 2")


def test_the_splits_of_the_data_are_kept_and_validation_is_drawn_from_train(
    tmp_path: Path,
) -> None:
    path = folder(tmp_path, train=tasks(60, "this"), test=tasks(30, "that"))
    found = load_dataset(config(path, "dataset.validation_fraction=0.3")).problems
    counts = Counter(p.split for p in found)
    assert counts["test"] == 30
    assert counts["train"] + counts["validation"] == 60
    assert counts["validation"] > 0
    assert {p.task_id for p in found if p.split == "test"} == {f"taco/test-{n}" for n in range(30)}


def test_a_validation_split_of_the_data_is_kept(tmp_path: Path) -> None:
    path = folder(
        tmp_path, train=tasks(20, "this"), validation=tasks(1, "that"), test=tasks(1, "the")
    )
    found = load_dataset(config(path, "dataset.validation_fraction=0.9")).problems
    assert Counter(p.split for p in found) == {"train": 20, "validation": 1, "test": 1}


def test_near_duplicates_of_the_test_split_leave_train_and_are_counted(tmp_path: Path) -> None:
    words = " ".join(f"word{n}" for n in range(100))
    path = folder(
        tmp_path,
        train=[row(["1"], ["1"], question=f"{words} and more"), *tasks(3, "this")],
        test=[row(["1"], ["1"], question=words)],
    )
    few = "dataset.validation_fraction=0"
    dataset = load_dataset(config(path, few))
    assert [p.task_id for p in dataset.problems if p.split == "train"] == [
        f"taco/train-{n}" for n in (1, 2, 3)
    ]
    assert dataset.left_out == {"near-duplicate of a test problem": 1}
    kept = load_dataset(config(path, few, "dataset.near_duplicate_threshold=null"))
    assert len(kept.problems) == 5


def test_one_id_for_two_problems_is_refused(tmp_path: Path) -> None:
    path = folder(tmp_path, train=tasks(3, "this", id=7)[:1], test=tasks(1, "that", id=7))
    with pytest.raises(DataError, match="2 problems have the id taco/7"):
        load_dataset(config(path))


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"question": " "}, "no question"),
        ({"question": None}, "no question"),
        ({"question": "half of a pair: \ud800"}, "half a character (a lone surrogate)"),
        ({"input_output": json.dumps({"inputs": ["\ud800"], "outputs": ["1"]})},
         "half a character (a lone surrogate)"),
        ({"input_output": {"inputs": [1], "outputs": ["1"]}}, "malformed tests"),
        ({"input_output": {"inputs": [[DEEP]], "outputs": [1], "fn_name": "f"}}, "malformed tests"),
    ],
)  # fmt: skip
def test_a_row_that_nothing_can_be_made_of_is_left_out(
    columns: dict[str, object], reason: str, tmp_path: Path
) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [tasks(1, "bad")[0] | columns, *tasks(3, "this")])
    dataset = load_dataset(config(path))
    assert len(dataset.problems) == 3
    assert dataset.left_out == {reason: 1}


def test_a_name_is_read_as_python_reads_it(tmp_path: Path) -> None:
    assert one(tmp_path, inputs=[[2]], outputs=[4], fn_name="\uff46").entry_point == "f"


def test_a_split_of_another_name_is_left_out(tmp_path: Path) -> None:
    import datasets

    splits = {name: datasets.Dataset.from_list(tasks(2, name)) for name in ("train", "test", "dev")}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    dataset = load_dataset(config(tmp_path / "saved"))
    assert len(dataset.problems) == 4
    assert dataset.left_out == {"another split": 2}


@pytest.mark.parametrize("value", [b"1", date(2020, 1, 1), Decimal("1.5")])
def test_values_that_json_does_not_have_are_no_tests(value: object, tmp_path: Path) -> None:
    contents = [{"inputs": [value], "outputs": ["1"]},
                {"inputs": [[value]], "outputs": [value], "fn_name": "f"}]  # fmt: skip
    for content in contents:
        file = tmp_path / "rows.parquet"
        table = pa.Table.from_pylist([tasks(1, "bad")[0] | {"input_output": content}])
        parquet.write_table(table, file)
        left_out: Counter[str] = Counter()
        assert load_taco(config(file), left_out) == []
        assert left_out == {"malformed tests": 1}


@pytest.mark.parametrize("value", ["5", '"abc"', '{"python": "x"}', "[" * 10**5, "print(1)", None])
def test_solutions_that_are_no_list_are_none(value: object, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [tasks(1, "this")[0] | {"solutions": value}])
    [problem] = load_taco(config(path), Counter())
    assert problem.references == ()


def test_tags_that_are_no_list_are_none(tmp_path: Path) -> None:
    for tags in ("{[]: 1}", "[" * 10**5, "\0", "5"):
        assert one(tmp_path, inputs=["1"], outputs=["1"], tags=tags).origin.tags == ()


def test_the_longest_tests_go_but_never_the_first(tmp_path: Path) -> None:
    inputs = ["x" * 500, "a" * 10, "b" * 400, "c" * 20]
    found = one(tmp_path, "dataset.max_test_bytes=600", inputs=inputs, outputs=["y"] * len(inputs))
    assert [test.stdin[0] for test in found.tests] == ["x", "a", "c"]  # type: ignore[union-attr]


def test_so_many_tests_stay_drawn_by_seed_but_always_the_first(tmp_path: Path) -> None:
    fields = {"inputs": [str(n) for n in range(50)], "outputs": [str(n) for n in range(50)]}
    few = "dataset.max_tests=5"
    assert [t.stdin for t in one(tmp_path, few, **fields).tests] == list("01234")  # type: ignore[union-attr]
    drawn = one(tmp_path, few, "dataset.selection_seed=1", **fields).tests
    assert drawn[0] == StdinTest(stdin="0", stdout="0")
    assert len(drawn) == 5
    assert drawn != one(tmp_path, few, "dataset.selection_seed=2", **fields).tests
    assert drawn == one(tmp_path, few, "dataset.selection_seed=1", **fields).tests


@pytest.mark.parametrize(
    ("override", "kept"),
    [
        ("dataset.interface=function", lambda p: p.entry_point is not None),
        ("dataset.interface=stdin", lambda p: p.entry_point is None),
        ("dataset.difficulties=[EASY]", lambda p: p.origin.difficulty == "EASY"),
        ("dataset.sources=[leetcode]", lambda p: p.origin.source == "leetcode"),
    ],
)
def test_a_selection_keeps_what_it_names(override: str, kept: Callable[[Problem], bool]) -> None:
    every, found = loaded(), loaded(override)
    assert found
    assert {p.task_id for p in found} == {p.task_id for p in every if kept(p)}


def test_a_selection_of_nothing_says_what_was_left_out() -> None:
    with pytest.raises(DataError, match=r"no problem \(another difficulty: 63\)"):
        loaded("dataset.difficulties=[NONE]")


def test_so_many_problems_of_each_split_stay_the_first_or_drawn_ones() -> None:
    every = loaded()
    for override in ("dataset.max_problems=3", "dataset.max_problems=3,dataset.selection_seed=1"):
        found = loaded(*override.split(","))
        assert Counter(p.split for p in found)["train"] == 3
        assert Counter(p.split for p in found)["test"] == 3
    train = [p.task_id for p in every if p.split == "train"]
    assert [p.task_id for p in loaded("dataset.max_problems=3")][:3] == train[:3]
    assert [p.task_id for p in found][:3] != train[:3]


def test_lists_of_numbers_that_are_not_whole_need_only_be_close(tmp_path: Path) -> None:
    problem = one(tmp_path, inputs=[[2]], outputs=[[0.1, 3]], fn_name="f")
    judge = make_judge(sandbox_config(memory_mb=512))
    codes = [
        f"def f(x):\n    return {value}\n" for value in ("[0.1 + 1e-9, 3]", "[0.2, 3]", "[0.1]")
    ]
    passed = [v.passed for v in judge.run([program_for(problem, code) for code in codes])]
    judge.close()
    assert passed == [True, False, False]
