"""Datasets: MBPP's schema read right, and bad files named before any work."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from coderl_exp.config import PROJECT_ROOT, DatasetConfig, compose_config
from coderl_exp.dataset import check_split, load_dataset
from coderl_exp.entry_points import find_entry_point
from coderl_exp.errors import ConfigError, DataError
from coderl_exp.preferences import code_tokens, similarity
from coderl_exp.records import Problem, Program
from tests.conftest import mbpp_row, sandbox_config

Writer = Callable[..., Path]


def config(path: Path | None, *overrides: str) -> DatasetConfig:
    """MBPP's schema with the ids 101 to 200 for train, 1 to 100 for test."""
    return compose_config(
        "dataset=mini",
        f"dataset.path='{path}'" if path else "dataset.path=null",
        "dataset.train_ids=[101,200]",
        "dataset.test_ids=[1,100]",
        *overrides,
    ).dataset


def loaded(path: Path | None, *overrides: str) -> Sequence[Problem]:
    return load_dataset(config(path, *overrides)).problems


def mini() -> list[Problem]:
    return list(loaded(PROJECT_ROOT / "assets" / "datasets" / "mini" / "mini.jsonl"))


def test_rows_become_problems_of_their_split(write_dataset: Writer) -> None:
    path = write_dataset([mbpp_row(101), mbpp_row(1), mbpp_row(500)])
    train, test = loaded(path)
    assert (train.task_id, train.split) == ("mini/101", "train")
    assert (test.task_id, test.split) == ("mini/1", "test")
    assert test.entry_point == "add_1"
    assert test.signature == "def add_1(x):"
    assert "\r" not in test.reference


def test_max_problems_keeps_the_first_of_each_split(write_dataset: Writer) -> None:
    path = write_dataset([mbpp_row(i) for i in (3, 1, 2, 103, 101, 102)])
    problems = loaded(path, "dataset.max_problems=2")
    assert [p.task_id for p in problems] == ["mini/101", "mini/102", "mini/1", "mini/2"]


def test_max_problems_leaves_the_examples_of_few_shot_prompts(write_dataset: Writer) -> None:
    path = write_dataset([mbpp_row(i) for i in (1, 2, 101, 102, 201, 202)])
    problems = loaded(path, "dataset.max_problems=1", "dataset.prompt_ids=[201,202]")
    assert [p.task_id for p in problems] == ["mini/101", "mini/1", "mini/201", "mini/202"]


def test_challenge_tests_decide_but_are_not_shown(write_dataset: Writer) -> None:
    challenge = ["assert add_1(10**9) == 10**9 + 1"]
    path = write_dataset([mbpp_row(1, challenge_test_list=challenge), mbpp_row(101)])
    problem = loaded(path)[1]
    assert problem.tests[-1] == challenge[0]
    assert problem.num_visible_tests == 3


@pytest.mark.parametrize(
    ("tests", "name"),
    [
        (["assert set(main(1)) == {1}"], "main"),
        (["assert not main(1)"], "main"),
        (["assert math.isclose(main(1), 1.0)"], "main"),
        (["assert sorted(main(helper(1))) == [1]", "assert main(2) == 2"], "main"),
        (["assert Node(1).value == main(1)", "assert main(2)"], "main"),
    ],
)
def test_the_entry_point_is_what_the_tests_call(tests: list[str], name: str) -> None:
    reference = "class Node: pass\ndef main(x): return x\ndef helper(x): return x\n"
    assert find_entry_point(reference, tests, "row")[0] == name


def test_overlapping_splits_are_refused() -> None:
    with pytest.raises(ConfigError, match="overlap"):
        config(None, "dataset.train_ids=[50,150]")
    with pytest.raises(ConfigError, match="overlap"):
        config(None, "dataset.train_ids=[100,150]")


def test_a_shown_test_that_is_not_taken_makes_none_of_the_others_shown(
    write_dataset: Writer,
) -> None:
    tests = ["assert add_1(0) == 1", f"assert add_1({'1 - 1 + ' * 50}0) == 1"]
    row = mbpp_row(1, test_list=tests, challenge_test_list=["assert add_1(9) == 10"])
    [problem] = loaded(write_dataset([row]), "dataset.max_test_bytes=60")
    assert problem.tests == ("assert add_1(0) == 1", "assert add_1(9) == 10")
    assert problem.num_visible_tests == 1


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.jsonl does not exist"):
        loaded(tmp_path / "nowhere.jsonl")


def test_a_truncated_file_is_named_with_its_line(write_dataset: Writer) -> None:
    path = write_dataset([mbpp_row(1), mbpp_row(101)])
    path.write_text(path.read_text()[:-40])
    with pytest.raises(DataError, match=r"data\.jsonl:2 is not JSON"):
        loaded(path)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"test_list": []}, "no tests"),
        ({"test_list": None}, "null as 'test_list'"),
        ({"code": "def add_1(x"}, "is not Python"),
        ({"test_list": ["assert other(1) == 2"]}, "no test calls a function"),
        ({"text": 5}, "an integer as 'text'"),
        ({"task_id": "one"}, "a string as 'task_id'"),
    ],
)
def test_a_bad_row_is_named(write_dataset: Writer, columns: dict[str, Any], message: str) -> None:
    path = write_dataset([mbpp_row(1, **columns), mbpp_row(101)])
    with pytest.raises(DataError, match=message) as caught:
        loaded(path)
    assert "data.jsonl:1" in str(caught.value)


def test_a_repeated_task_is_refused(write_dataset: Writer) -> None:
    with pytest.raises(DataError, match="repeats mini/1"):
        loaded(write_dataset([mbpp_row(1), mbpp_row(1), mbpp_row(101)]))


def test_an_empty_split_is_refused(write_dataset: Writer) -> None:
    options = config(write_dataset([mbpp_row(101)]))
    dataset = load_dataset(options)
    check_split(dataset, options, "train")
    with pytest.raises(DataError, match="no test problem"):
        check_split(dataset, options, "test")


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.touch()
    with pytest.raises(DataError, match="the data is empty"):
        loaded(path)


def test_the_setup_code_is_kept(write_dataset: Writer) -> None:
    [problem] = loaded(write_dataset([mbpp_row(1, test_setup_code="import math\r\nx = 1")]))
    assert problem.setup_code == "import math\nx = 1"


def test_the_sanitized_columns_are_read(tmp_path: Path) -> None:
    rows = [mbpp_row(1), mbpp_row(101)]
    for row in rows:
        row["prompt"] = row.pop("text")
        row["test_imports"] = ["import math"]
        del row["test_setup_code"], row["challenge_test_list"]
    path = tmp_path / "sanitized.json"
    path.write_text(json.dumps(rows))
    assert loaded(path)[0].setup_code == "import math"


def test_mini_has_enough_problems_of_both_splits() -> None:
    splits = [problem.split for problem in mini()]
    assert splits.count("train") >= 64
    assert splits.count("test") >= 40
    assert sum(bool(problem.setup_code) for problem in mini()) >= 12
    assert all(len(problem.tests) >= 3 for problem in mini())


def test_mini_has_no_near_duplicates_across_its_splits() -> None:
    train = [p for p in mini() if p.split == "train"]
    test = [p for p in mini() if p.split == "test"]
    assert not {p.entry_point for p in train} & {p.entry_point for p in test}
    for left in train:
        for right in test:
            words = similarity(left.text.lower().split(), right.text.lower().split())
            code = similarity(code_tokens(left.reference), code_tokens(right.reference))
            assert words < 0.8 or code < 0.8, (left.task_id, right.task_id, words, code)


def test_every_reference_of_mini_passes_its_own_tests() -> None:
    from coderl_exp.sandbox import make_judge

    problems = mini()
    programs = [
        Program(code=p.reference, entry_point=p.entry_point, tests=p.tests, setup_code=p.setup_code)
        for p in problems
    ]
    verdicts = make_judge(
        sandbox_config(timeout_s=3.0, wall_timeout_factor=4.0, memory_mb=512)
    ).run(programs)
    failed = {
        problem.task_id: verdict.error
        for problem, verdict in zip(problems, verdicts, strict=True)
        if not verdict.passed
    }
    assert failed == {}
