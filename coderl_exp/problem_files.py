"""The problems of a dataset file as the judge needs them: tests and how to call them.

Reference solutions are not needed. Two formats:

- `mbpp`: rows of MBPP, `test_list` (and `challenge_test_list`) of asserts, with `test_setup_code`
  or `test_imports`. The id is `mbpp/<task_id>`.
- `taco`: rows of TACO and APPS, with `input_output` (an object, or its JSON text). Without
  `fn_name` each pair of `inputs` and `outputs` is a run of a whole program; with it, a call with
  the input as arguments. The id is `taco/<id>` where the row has an `id`, else `taco/<n>` with n
  counting rows from 0. A row may declare `float_tolerance` and `ignore_case`.

Not covered: expected values of a function that the file wraps in a list of one element. They are
taken as they stand, for only a reference solution can say which is meant; and JSON has no tuples,
so a function that returns one differs from an expected list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coderl_exp.entry_points import called_function, find_entry_point, parse_python
from coderl_exp.errors import DataError
from coderl_exp.io_tests import read_input_output
from coderl_exp.json_rows import OnInvalid, Row, read_rows
from coderl_exp.records import OutputRule, Program, StdinTest


@dataclass(frozen=True, kw_only=True)
class ProblemTests:
    """What decides a problem's verdicts."""

    task_id: str
    where: str
    """`file:line` of its row."""
    entry_point: str | None
    """The function or class that the tests call; None for a program judged by its output."""
    tests: tuple[str, ...] | tuple[StdinTest, ...]
    setup_code: str = ""
    output_rule: OutputRule = field(default_factory=OutputRule)

    def program(self, code: str | None) -> Program:
        """A candidate's code with these tests."""
        return Program(
            code=code,
            entry_point=self.entry_point,
            tests=self.tests,
            setup_code=self.setup_code,
            output_rule=self.output_rule,
        )


def read_problems(
    path: Path, dataset: str, *, use_challenge_tests: bool, on_invalid: OnInvalid
) -> Iterator[ProblemTests]:
    """Yield the problems of a file in the format `dataset`, one of `DATASETS`.

    Raises:
        DataError: the file cannot be read; what `on_invalid` makes of a row is its own affair.
    """
    seen: dict[str, str] = {}
    for row in read_rows(path, on_invalid):
        try:
            problem = _READERS[dataset](row, use_challenge_tests)
            if problem.task_id in seen:
                raise DataError(f"{row.where} repeats {problem.task_id} of {seen[problem.task_id]}")
        except DataError as error:
            on_invalid(error)
        else:
            seen[problem.task_id] = row.where
            yield problem


def full_task_id(dataset: str, given: int | str) -> str:
    """`<dataset>/<id>`, of an id with or without the dataset."""
    text = str(given)
    return text if text.startswith(f"{dataset}/") else f"{dataset}/{text}"


def mbpp_problem(row: Row, use_challenge_tests: bool, dataset: str = "mbpp") -> ProblemTests:
    """A row of MBPP, whose ids begin with the dataset's name.

    Raises:
        DataError: the row has no tests, or something in it is not Python.
    """
    task_id = full_task_id(dataset, row.column("task_id", int, str))
    tests = _strings(row, "test_list")
    setup_code = _mbpp_setup(row)
    parse_python(setup_code, f"{row.where} ({task_id}): the setup code")
    has_more = use_challenge_tests and row.columns.get("challenge_test_list")
    more = _strings(row, "challenge_test_list") if has_more else []
    every = [test.strip() for test in tests + more]
    _check_tests(every, f"{row.where} ({task_id})")
    return ProblemTests(
        task_id=task_id,
        where=row.where,
        entry_point=_mbpp_entry_point(row, tests, setup_code),
        tests=tuple(every),
        setup_code=setup_code,
    )


def _mbpp_setup(row: Row) -> str:
    if row.columns.get("test_setup_code"):
        return str(row.column("test_setup_code", str)).replace("\r\n", "\n")
    return "\n".join(_strings(row, "test_imports")) if row.columns.get("test_imports") else ""


def _strings(row: Row, name: str) -> list[str]:
    values: list[Any] = row.column(name, list)
    if not all(isinstance(value, str) for value in values):
        raise DataError(f"{row.where} has a {name!r} with something else than strings.")
    return values


def _mbpp_entry_point(row: Row, tests: Sequence[str], setup_code: str) -> str:
    tests = [test.strip() for test in tests]
    if row.columns.get("code"):
        code = row.column("code", str).replace("\r\n", "\n")
        return find_entry_point(code, tests, row.where)[0]
    return called_function(tests, setup_code, row.where)


def _check_tests(tests: Sequence[str], where: str) -> None:
    """Refuse tests that no judge could run; those that only this one cannot are its affair.

    Raises:
        DataError: there is none, or one is not Python.
    """
    if not tests:
        raise DataError(f"{where} has no tests, so nothing can be judged: leave the problem out.")
    for number, test in enumerate(tests, start=1):
        parse_python(test, f"{where}: test {number}")


def taco_problem(row: Row, _use_challenge_tests: bool) -> ProblemTests:
    """A row of TACO, its expected values taken as they stand.

    Raises:
        DataError: its `input_output` has no tests that could be run.
    """
    has_id = row.columns.get("id") is not None
    task_id = full_task_id("taco", row.column("id", int, str) if has_id else row.number)
    where = f"{row.where} ({task_id})"
    content = read_input_output(row, where)
    tests: tuple[str, ...] | tuple[StdinTest, ...]
    if content.function is None:
        tests = content.runs()
    else:
        tests = content.calls()
        _check_tests(tests, where)
    return ProblemTests(
        task_id=task_id,
        where=row.where,
        entry_point=content.entry_point,
        tests=tests,
        output_rule=_output_rule(row),
    )


def _output_rule(row: Row) -> OutputRule:
    tolerance = row.columns.get("float_tolerance")
    if tolerance is not None and not 0 <= row.column("float_tolerance", int, float) < 1:
        raise DataError(f"{row.where} has the float_tolerance {tolerance}: give 0 to 1.")
    ignores_case = "ignore_case" in row.columns and row.column("ignore_case", bool)
    return OutputRule(float_tolerance=tolerance, ignore_case=ignores_case)


_READERS: Mapping[str, Callable[[Row, bool], ProblemTests]] = {
    "mbpp": mbpp_problem,
    "taco": taco_problem,
}
DATASETS = tuple(_READERS)
"""The formats."""
