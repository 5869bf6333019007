"""Problems as the judge reads them: both formats, without reference solutions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coderl_exp.config import PROJECT_ROOT
from coderl_exp.entry_points import called_function, find_entry_point
from coderl_exp.errors import DataError
from coderl_exp.json_rows import read_rows
from coderl_exp.problem_files import ProblemTests, read_problems
from coderl_exp.records import OutputRule, StdinTest
from tests.conftest import mbpp_row

MBPP_FILES = [
    PROJECT_ROOT.parent / "shared" / "data" / name for name in ("mbpp.jsonl", "sanitized-mbpp.json")
]

Write = Callable[..., Path]


def refuse(error: DataError) -> None:
    raise error


def read(path: Path, dataset: str = "mbpp", challenge: bool = False) -> list[ProblemTests]:
    return list(read_problems(path, dataset, use_challenge_tests=challenge, on_invalid=refuse))


def taco_row(inputs: Any, outputs: Any, /, **columns: Any) -> dict[str, Any]:
    """A row in TACO's schema, as the hub has it: `input_output` is JSON text."""
    content = {"inputs": inputs, "outputs": outputs}
    if "fn_name" in columns:
        content["fn_name"] = columns.pop("fn_name")
    return {"question": "…", "starter_code": "", "input_output": json.dumps(content), **columns}


def test_mbpp_rows_give_asserts_and_the_function_they_call(write_dataset: Write) -> None:
    (problem,) = read(write_dataset([mbpp_row(11)]))
    assert problem.task_id == "mbpp/11"
    assert problem.where.endswith("data.jsonl:1")
    assert problem.entry_point == "add_11"
    assert problem.tests == tuple(f"assert add_11({i}) == {i + 11}" for i in range(3))
    program = problem.program("x = 1")
    assert (program.code, program.entry_point, program.tests) == (
        "x = 1",
        "add_11",
        problem.tests,
    )


def test_challenge_tests_are_added_when_asked_for(write_dataset: Write) -> None:
    path = write_dataset([mbpp_row(1, challenge_test_list=["assert add_1(9) == 10"])])
    assert len(read(path)[0].tests) == 3
    assert read(path, challenge=True)[0].tests[3:] == ("assert add_1(9) == 10",)


def test_both_names_of_the_setup_code_are_read(write_dataset: Write) -> None:
    rows = [
        mbpp_row(1, test_setup_code="import math\r\nx = 1"),
        mbpp_row(2, test_imports=["import re", "import os"]),
    ]
    first, second = read(write_dataset(rows))
    assert first.setup_code == "import math\nx = 1"
    assert second.setup_code == "import re\nimport os"


@pytest.mark.parametrize(
    ("tests", "setup_code", "name"),
    [
        (["assert set(f(1)) == {1}", "assert not f(2)"], "", "f"),
        (["import math\nassert math.isclose(area(1), 3.14)"], "import math", "area"),
        (["assert longest([Pair(1, 2), Pair(3, 4)], 2) == 1"], "", "longest"),
        (["assert str(f(Node(1))) == '1'", "assert f(None) is None"], "", "f"),
        (["assert same(f(1), 2)"], "def same(a, b): return a == b", "f"),
        (["assert isclose(f(1), 2)"], "from math import isclose", "f"),
        (["assert sum(10, 15) == 6"], "", "sum"),
        (["assert f(g(1)) == 2", "assert g(1) == 1"], "", "g"),
        (["assert Solution().f(1) == 2"], "", "Solution"),
    ],
)
def test_the_function_is_found_without_a_reference(
    tests: list[str], setup_code: str, name: str
) -> None:
    assert called_function(tests, setup_code, "here") == name


@pytest.mark.skipif(not MBPP_FILES[0].exists(), reason="needs the MBPP files")
@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@pytest.mark.parametrize("path", MBPP_FILES, ids=lambda path: path.name)
def test_every_function_of_mbpp_is_found_with_and_without_its_reference(path: Path) -> None:
    problems = read(path)
    assert len(problems) == (974 if path.suffix == ".jsonl" else 427)
    for row, problem in zip(read_rows(path, refuse), problems, strict=True):
        tests = [test.strip() for test in row.columns["test_list"]]
        code = row.columns["code"].replace("\r\n", "\n")
        assert problem.entry_point == find_entry_point(code, tests, row.where)[0]
        assert problem.entry_point == called_function(tests, problem.setup_code, row.where)


def test_taco_rows_without_a_function_are_runs_of_a_program(write_dataset: Write) -> None:
    rows = [
        taco_row(["1 2\n", ["3 4", "5\n"]], ["3\n", ["7", "5"]]),
        taco_row(["1"], ["2"], id="tl7", input_output={"inputs": ["x"], "outputs": ["y"]}),
    ]
    first, second = read(write_dataset(rows), "taco")
    assert (first.task_id, first.entry_point) == ("taco/0", None)
    assert first.tests == (
        StdinTest(stdin="1 2\n", stdout="3\n"),
        StdinTest(stdin="3 4\n5\n", stdout="7\n5\n"),
    )
    assert (second.task_id, second.tests) == ("taco/tl7", (StdinTest(stdin="x", stdout="y"),))
    assert second.program("pass").entry_point is None


def test_taco_rows_are_numbered_from_zero_counting_those_left_out(tmp_path: Path) -> None:
    good = json.dumps(taco_row(["1"], ["2"]))
    path = tmp_path / "data.jsonl"
    path.write_text(f"{good}\n\nnot JSON\n{good}\n", encoding="utf-8")
    errors: list[DataError] = []
    found = read_problems(path, "taco", use_challenge_tests=False, on_invalid=errors.append)
    assert [(p.task_id, p.where[-2:]) for p in found] == [("taco/0", ":1"), ("taco/2", ":4")]
    assert len(errors) == 1


def test_taco_rows_with_a_function_become_asserts(write_dataset: Write) -> None:
    row = taco_row([[[1, 2], "a'b"], [None, True]], [{"1": 2.5}, [[3]]], fn_name="solve")
    (problem,) = read(write_dataset([row]), "taco")
    assert problem.entry_point == "solve"
    assert problem.tests == (
        """assert solve([1, 2], "a'b") == {'1': 2.5}""",
        "assert solve(None, True) == [[3]]",
    )


def test_methods_of_a_solution_class_are_called_on_an_instance(write_dataset: Write) -> None:
    starter = "# Your code here\nclass Solution:\n    def twice(self, x):\n"
    row = taco_row([[1]], [2], fn_name="twice", starter_code=starter)
    (problem,) = read(write_dataset([row]), "taco")
    assert problem.entry_point == "Solution"
    assert problem.tests == ("assert Solution().twice(1) == 2",)


def test_infinity_is_written_as_a_literal(write_dataset: Write) -> None:
    row = taco_row([[float("inf"), [-float("inf")], "inf"]], [1.5], fn_name="f")
    (problem,) = read(write_dataset([row]), "taco")
    assert problem.tests == ("assert f(1e999, [-1e999], 'inf') == 1.5",)


def test_a_taco_row_may_declare_its_output_rule(write_dataset: Write) -> None:
    rows = [taco_row(["1"], ["2"], float_tolerance=1e-6, ignore_case=True), taco_row(["1"], ["2"])]
    first, second = read(write_dataset(rows), "taco")
    assert first.output_rule == OutputRule(float_tolerance=1e-6, ignore_case=True)
    assert second.output_rule == OutputRule()


BAD_TACO = {
    "input_output": {"question": "…"},
    "input_output is not JSON": {"input_output": "{'inputs': []}"},
    "no object": {"input_output": "[1]"},
    "two lists": {"input_output": {"inputs": []}},
    "needs two lists": {"input_output": {"inputs": [], "outputs": []}},
    "2 inputs, but 1 outputs": taco_row(["1", "2"], ["1"]),
    "3 is neither a text nor a list": taco_row([3], ["1"]),
    "neither a text": taco_row(["1"], [["a", 1]]),
    "no list of arguments": taco_row(["1"], ["1"], fn_name="f"),
    "no name of a function": taco_row([[1]], [1], fn_name="f()"),
    "fn_name 'class'": taco_row([[1]], [1], fn_name="class"),
    "NaN": taco_row([[1]], [float("nan")], fn_name="f"),
    "float_tolerance": taco_row(["1"], ["1"], float_tolerance=2),
    "true or false": taco_row(["1"], ["1"], ignore_case="yes"),
    "'id', which must be": taco_row(["1"], ["1"], id=[1]),
}
BAD_MBPP = {
    "'task_id'": {"test_list": ["assert f(1)"]},
    "true or false as 'task_id'": mbpp_row(1, task_id=True),
    "'test_list'": {"task_id": 1},
    "a string as 'test_list'": mbpp_row(1, test_list="assert f(1)"),
    "something else than strings": mbpp_row(1, test_list=[1]),
    "no tests": mbpp_row(1, test_list=[]),
    "test 2 is not Python": mbpp_row(1, test_list=["assert add_1(1) == 2", "assert add_1(1 = 2"]),
    "setup code is not Python": mbpp_row(1, test_setup_code="def"),
    "code is not Python": mbpp_row(1, code="def f(:"),
    "no test calls a function": mbpp_row(1, code=None, test_list=["assert True"]),
    "defines": mbpp_row(1, code="x = 1"),
}


@pytest.mark.parametrize(
    ("dataset", "message"), [("taco", m) for m in BAD_TACO] + [("mbpp", m) for m in BAD_MBPP]
)
def test_a_row_that_cannot_be_judged_is_named_with_its_line(
    write_dataset: Write, dataset: str, message: str
) -> None:
    row = (BAD_TACO if dataset == "taco" else BAD_MBPP)[message]
    good = taco_row(["1"], ["1"], id="good") if dataset == "taco" else mbpp_row(99)
    path = write_dataset([good, row])
    with pytest.raises(DataError, match=r"data\.jsonl:2") as error:
        read(path, dataset)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dataset", ["mbpp", "taco"])
def test_a_repeated_id_names_both_rows(write_dataset: Write, dataset: str) -> None:
    row = mbpp_row(7) if dataset == "mbpp" else taco_row(["1"], ["1"], id=7)
    with pytest.raises(DataError, match=r"jsonl:2 repeats \w+/7 of .*jsonl:1"):
        read(write_dataset([row, row]), dataset)


def test_arrays_are_read_with_the_line_of_each_row(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps([mbpp_row(1), mbpp_row(2)], indent=1), encoding="utf-8")
    first, second = read(path)
    assert first.where == f"{path}:2"
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[int(second.where.rpartition(":")[2]) - 1] == " {"
    assert second.task_id == "mbpp/2"


@pytest.mark.parametrize("text", ["[]", " [ ] ", "\ufeff[]\n", ""])
def test_an_empty_file_has_no_problems(tmp_path: Path, text: str) -> None:
    path = tmp_path / "data.json"
    path.write_text(text, encoding="utf-8")
    assert read(path) == []


@pytest.mark.parametrize(
    "text", ["[", "[{}", "[{},", "[{} {}]", "[{}] x", "[1,]x", "[" * 100_000, "[\ud800]"]
)
def test_a_damaged_array_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "data.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(DataError, match=r"data\.json"):
        read(path)


def test_separators_of_unicode_do_not_split_a_line(tmp_path: Path) -> None:
    row = mbpp_row(1, text="a\u2028b\x0cc")
    path = tmp_path / "data.jsonl"
    path.write_text("\ufeff" + json.dumps(row, ensure_ascii=False) + "\r\n", encoding="utf-8")
    assert read(path)[0].task_id == "mbpp/1"


@pytest.mark.parametrize("line", ["[1]", "null", '"x"', "1.5", "true", "{", "{} {}", "\x80"])
def test_a_line_that_is_no_object_is_an_error(tmp_path: Path, line: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(b'{"task_id": 1}\n' + line.encode("latin-1") + b"\n")
    rows = read_rows(path, refuse)
    assert next(rows).columns == {"task_id": 1}
    with pytest.raises(DataError, match=r"data\.jsonl:2"):
        next(rows)


def test_files_that_cannot_be_read_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read(tmp_path / "absent.jsonl")
    with pytest.raises(DataError, match="no regular file"):
        read(tmp_path)
