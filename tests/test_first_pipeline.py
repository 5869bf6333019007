"""The defects that once shaped published MBPP and TACO numbers: none of them is possible here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from coderl_exp.config import compose_config
from coderl_exp.data_audit import apply_audit, audit_problems
from coderl_exp.dataset import load_dataset
from coderl_exp.errors import ConfigError
from coderl_exp.prompts import with_prompts
from coderl_exp.records import Problem
from coderl_exp.sandbox import Judge, make_judge
from coderl_exp.sandbox.programs import program_for
from tests.conftest import make_problem, mbpp_row, sandbox_config
from tests.dataset.taco import config, loaded, row, write_rows


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    judge = make_judge(sandbox_config(memory_mb=512))
    yield judge
    judge.close()


def passes(judge: Judge, problem: Problem, code: str) -> bool:
    return next(judge.run([program_for(problem, code)])).passed


def test_hidden_signature() -> None:
    """The model had to guess what the function was called."""
    assert "def double(x):" in make_problem(num_visible_tests=0).prompt[-1].content
    options = compose_config("dataset=taco", "stages=[baseline]").dataset
    for problem in with_prompts(loaded("dataset.interface=function"), options):
        called = re.search(r"(\w+)\((?!\))", str(problem.tests[0]).replace("math.isclose(", ""))
        assert called is not None
        assert called[1] in problem.prompt[-1].content, problem.task_id


def test_test_inside_train(tmp_path: Path) -> None:
    """The test split was part of the train split."""
    with pytest.raises(ConfigError, match="overlap"):
        compose_config("dataset=mini", "dataset.train_ids=[1,180]")
    text = "Print the sum of the two numbers that stand in the input, one after the other."
    copies = [
        row(["1 1"], ["2"], ["print(2)"], question=f"{text}{'!' * (n % 7)}") for n in range(60)
    ]
    others = [row(["1"], ["1"], ["print(1)"], question=f"Task {n}.") for n in range(60)]
    path = write_rows(tmp_path / "rows.jsonl", copies + others)
    problems = load_dataset(config(path, "dataset.test_fraction=0.5")).problems
    splits = {p.split for p in problems if p.text.startswith(text)}
    assert len(splits) == 1
    assert {p.split for p in problems} >= {"train", "test"}


def test_unwrapped_outputs(judge: Judge) -> None:
    """`[5]` stood for 5, and every right program failed."""
    wrapped = {p.task_id: p for p in loaded() if p.task_id in ("taco/23", "taco/24", "taco/27")}
    audits = {a.task_id: a for a in audit_problems(list(wrapped.values()), judge)}
    for problem in apply_audit(list(wrapped.values()), audits, sandbox_config()):
        assert passes(judge, problem, problem.reference), problem.task_id


def test_order_insensitive_lists(judge: Judge) -> None:
    """Lists were compared as multisets."""
    problem = make_problem(tests=("assert double(1) == [1, 2]",))
    assert passes(judge, problem, "def double(x):\n    return [1, 2]\n")
    assert not passes(judge, problem, "def double(x):\n    return [2, 1]\n")


def test_a_text_equal_to_a_number(judge: Judge) -> None:
    """Results were compared as their texts."""
    problem = make_problem(tests=("assert double(1) == 1",))
    assert passes(judge, problem, "def double(x):\n    return 1\n")
    assert not passes(judge, problem, "def double(x):\n    return '1'\n")


def test_guessed_entry_point(tmp_path: Path) -> None:
    """The first name in a test was taken for the function under test."""
    data = tmp_path / "data.jsonl"
    code = "def helper(x):\n    return x\ndef main(x):\n    return [helper(x)]\n"
    tests = [
        "assert set(main(1)) == {1}",
        "assert not main(0) == [1]",
        "assert main(helper(2)) == [2]",
    ]
    rows = [mbpp_row(n, code=code, test_list=tests) for n in (1, 101)]
    write_rows(data, rows)
    options = ["dataset.train_ids=[101,200]", "dataset.test_ids=[1,100]"]
    problems = load_dataset(
        compose_config("dataset=mini", f"dataset.path='{data}'", *options).dataset
    ).problems
    assert {p.entry_point for p in problems} == {"main"}


def test_ignored_setup_code(judge: Judge, tmp_path: Path) -> None:
    """Tests that need it failed every program."""
    tests = ["assert add_1(Pair().value) == 22", "assert math.isclose(add_1(0.5), 1.5)"]
    setup = "import math\r\nclass Pair:\r\n    value = 21\r\n"
    path = write_rows(
        tmp_path / "data.jsonl", [mbpp_row(1, test_setup_code=setup, test_list=tests)]
    )
    options = compose_config("dataset=mini", f"dataset.path='{path}'", "stages=[baseline]").dataset
    [problem] = load_dataset(options).problems
    assert passes(judge, problem, problem.reference)


def test_an_early_exit_is_no_pass(judge: Judge) -> None:
    """`sys.exit(0)` ended the process with success."""
    assert not passes(judge, make_problem(), "import sys\nsys.exit(0)\n")
    code = "import sys\ndef double(x):\n    sys.exit(0)\n"
    assert not passes(judge, make_problem(), code)
