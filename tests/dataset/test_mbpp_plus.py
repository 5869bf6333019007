"""MBPP+ adds tests to MBPP's test split, and only there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from coderl_exp.config import compose_config
from coderl_exp.dataset import load_dataset
from coderl_exp.errors import ConfigError, DataError
from coderl_exp.records import Problem
from coderl_exp.sandbox import make_judge
from coderl_exp.sandbox.programs import program_for
from tests.conftest import mbpp_row, sandbox_config

SCRIPT = """
import numpy as np
from math import inf


def is_floats(x) -> bool:
    return isinstance(x, float)


def assertion(out, exp, atol):
    assert out == exp


inputs = [[1], [2**10], [-5]]
results = [2, 1025, -4]
for i, (inp, exp) in enumerate(zip(inputs, results)):
    assertion(add_1(*inp), exp, 0)
"""


def plus_row(task_id: int, script: str = SCRIPT) -> dict[str, Any]:
    return {"task_id": task_id, "code": "", "prompt": "", "test": script}


def loaded(tmp_path: Path, plus: Sequence[dict[str, Any]], *overrides: str) -> list[Problem]:
    data, more = tmp_path / "data.jsonl", tmp_path / "plus.jsonl"
    rows = [mbpp_row(1), mbpp_row(2), mbpp_row(101)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    more.write_text("".join(json.dumps(row) + "\n" for row in plus))
    config = compose_config(
        "dataset=mini",
        f"dataset.path='{data}'",
        "dataset.train_ids=[101,200]",
        "dataset.test_ids=[1,100]",
        f"dataset.plus='{more}'",
        *overrides,
    )
    return list(load_dataset(config.dataset).problems)


def test_each_input_becomes_a_test_that_is_not_shown(tmp_path: Path) -> None:
    [_, problem] = loaded(tmp_path, [plus_row(1)])
    assert problem.tests[-3:] == (
        "assert add_1(1) == 2",
        "assert add_1(2 ** 10) == 1025",
        "assert add_1(-5) == -4",
    )
    assert problem.num_visible_tests == 3
    assert not any("1025" in str(test) for test in problem.tests[:3])


def test_problems_without_further_tests_leave_the_test_split_only(tmp_path: Path) -> None:
    assert [p.task_id for p in loaded(tmp_path, [plus_row(1)])] == ["mini/101", "mini/1"]


def test_its_tests_of_train_problems_are_not_used(tmp_path: Path) -> None:
    train, test = loaded(tmp_path, [plus_row(1), plus_row(101)])
    assert len(train.tests) < len(test.tests)


def test_evaluating_on_train_ids_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="overlap"):
        loaded(tmp_path, [plus_row(101)], "dataset.test_ids=[1,150]")


def test_numbers_that_are_not_whole_need_only_be_close(tmp_path: Path) -> None:
    script = SCRIPT.replace("[2, 1025, -4]", "[2.5, [1.0, 2], 3]")
    [_, problem] = loaded(tmp_path, [plus_row(1, script)])
    tolerances = "rel_tol=1e-07, abs_tol=1e-06"
    assert problem.tests[-3:] == (
        f"assert math.isclose(add_1(1), 2.5, {tolerances})",
        f"assert all(math.isclose(a, b, {tolerances}) for a, b in "
        "itertools.zip_longest(add_1(2 ** 10), [1.0, 2], fillvalue=math.nan))",
        "assert add_1(-5) == 3",
    )


def test_results_are_compared_as_sets_where_the_script_says_so(tmp_path: Path) -> None:
    script = SCRIPT.replace(
        "assertion(add_1(*inp), exp, 0)", "assertion(set(add_1(*inp)), set(exp), 0)"
    )
    [_, problem] = loaded(tmp_path, [plus_row(1, script.replace("[2,", "[[1],"))])
    assert problem.tests[-3] == "assert set(add_1(1)) == set([1])"


def test_a_script_of_another_shape_is_kept_whole(tmp_path: Path) -> None:
    script = "for n in range(9):\n    assert add_1(n) == n + 1\n"
    [_, problem] = loaded(tmp_path, [plus_row(1, script)])
    assert problem.tests[-1] == script
    judge = make_judge(sandbox_config(memory_mb=512))
    good, bad = judge.run(
        [
            program_for(problem, "def add_1(x):\n    return x + 1\n"),
            program_for(problem, "def add_1(x):\n    return x + 1 if x != 7 else 0\n"),
        ]
    )
    judge.close()
    assert good.passed
    assert not bad.passed


def test_files_without_expected_values_are_refused(tmp_path: Path) -> None:
    row = {"task_id": "Mbpp/1", "plus_input": [[1]], "base_input": [[1]]}
    with pytest.raises(DataError, match="no expected values"):
        loaded(tmp_path, [row])


def test_a_script_without_inputs_is_refused(tmp_path: Path) -> None:
    empty = SCRIPT.replace("[[1], [2**10], [-5]]", "[]").replace("[2, 1025, -4]", "[]")
    with pytest.raises(DataError, match=r"plus\.jsonl:1: its test has no inputs"):
        loaded(tmp_path, [plus_row(1, empty)])


def test_a_tolerance_that_is_no_number_leaves_the_script_whole(tmp_path: Path) -> None:
    script = SCRIPT.replace("exp, 0)", "exp, atol)")
    assert loaded(tmp_path, [plus_row(1, script)])[1].tests[-1] == script


def test_ids_that_are_no_numbers_are_passed_over(tmp_path: Path) -> None:
    rows = [{**plus_row(1), "task_id": name} for name in ("Mbpp/x", "Mbpp/1")]
    assert len(loaded(tmp_path, rows)[1].tests) == 6


def test_a_missing_file_of_it_is_named_with_its_option(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dataset\.plus .*nowhere\.jsonl does not exist"):
        loaded(tmp_path, [], f"dataset.plus={tmp_path / 'nowhere.jsonl'}")


def test_no_problem_in_common_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no problem of the test split"):
        loaded(tmp_path, [plus_row(77)])
