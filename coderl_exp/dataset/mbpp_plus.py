"""MBPP+ (https://arxiv.org/abs/2305.01210): many more tests for 378 problems of MBPP.

Reads the rows of `evalplus/mbppplus`: `task_id` and `test`, a script with the lists `inputs` and
`results` and a loop that compares them, one assertion for each. Only test ids are asked for: the
other problems of MBPP+ are MBPP's own train problems, and would be no evaluation.

Not covered: EvalPlus' own `MbppPlus.jsonl` (`base_input`, `plus_input`), whose expected values
come into being only when its solutions run.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coderl_exp.config import project_path
from coderl_exp.dataset.rows import hub_rows, rows_at
from coderl_exp.entry_points import parse_python
from coderl_exp.errors import DataError
from coderl_exp.io_tests import close
from coderl_exp.json_rows import Row
from coderl_exp.records import Problem

_OPTION = "dataset.plus"
_FLOAT_TOLERANCE = 1e-6
"""What EvalPlus allows for floats where the script says 0."""


def plus_tests(source: str, problems: Mapping[str, Problem]) -> dict[str, tuple[str, ...]]:
    """Task id → further asserts, for those of the problems that MBPP+ has.

    Raises:
        DataError: the data cannot be read or is not MBPP+.
    """
    path = project_path(source)
    rows = rows_at(path, _OPTION) if _is_path(source) else hub_rows(source, None, _OPTION)
    numbers = {task_id.split("/")[1]: task_id for task_id in problems}
    found = {}
    for row in rows:
        if "plus_input" in row.columns:
            raise DataError(
                f"{row.where} is of EvalPlus' own file, which has no expected values: give "
                "dataset.plus=evalplus/mbppplus or a file with its rows."
            )
        task_id = str(row.column("task_id", int, str)).split("/")[-1]
        if task_id in numbers:
            problem = problems[numbers[task_id]]
            found[problem.task_id] = _asserts(row, str(problem.entry_point))
    return found


def _is_path(source: str) -> bool:
    return project_path(source).exists() or bool(Path(source).suffix)


def _asserts(row: Row, entry_point: str) -> tuple[str, ...]:
    """One assert per input; the script as a whole where it has another shape."""
    script = row.column("test", str)
    tree = parse_python(script, f"{row.where}: test")
    lists = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    call = _assertion(tree)
    match lists.get("inputs"), lists.get("results"):
        case ast.List(elts=[]), _:
            raise DataError(f"{row.where}: its test has no inputs, so nothing can be judged.")
        case ast.List(elts=inputs), ast.List(elts=results) if call and len(inputs) == len(results):
            pairs = zip(inputs, results, strict=True)
            return tuple(_assert(call, given, expected) for given, expected in pairs)
    if entry_point not in script:
        raise DataError(f"{row.where}: its test does not call {entry_point}.")
    return (script,)


def _assertion(tree: ast.Module) -> list[ast.expr] | None:
    """The arguments of `assertion(result, expected, tolerance)` in the script's loop."""
    for node in ast.walk(tree):
        match node:
            case ast.For(
                body=[
                    ast.Expr(
                        value=ast.Call(
                            func=ast.Name("assertion"),
                            args=[_, _, ast.Constant(value=int() | float())] as args,
                        )
                    )
                ]
            ):
                return args
    return None


def _assert(call: list[ast.expr], given: ast.expr, expected: ast.expr) -> str:
    fill = _Fill({"inp": given, "exp": expected})
    result, wanted = (ast.unparse(fill.visit(_copy(part))) for part in call[:2])
    tolerance = ast.literal_eval(call[2]) or _FLOAT_TOLERANCE
    if tolerance and isinstance(call[1], ast.Name) and _has_floats(expected):
        return f"assert {close(result, wanted, f'rel_tol=1e-07, abs_tol={tolerance}')}"
    return f"assert {result} == {wanted}"


def _has_floats(node: ast.expr) -> bool:
    """A float, or a list or tuple of numbers of which one is a float."""
    parts = node.elts if isinstance(node, ast.List | ast.Tuple) else [node]
    values = [part.operand if isinstance(part, ast.UnaryOp) else part for part in parts]
    numbers = [v.value for v in values if isinstance(v, ast.Constant)]
    return len(numbers) == len(values) and any(isinstance(n, float) for n in numbers)


def _copy(node: ast.expr) -> ast.expr:
    return ast.parse(ast.unparse(node), mode="eval").body


class _Fill(ast.NodeTransformer):
    """Puts an input's arguments and its result where the loop has their names."""

    def __init__(self, values: Mapping[str, ast.expr]) -> None:
        self._values = values

    def visit_Name(self, node: ast.Name) -> Any:
        return self._values.get(node.id, node)

    def visit_Call(self, node: ast.Call) -> Any:
        self.generic_visit(node)
        arguments: list[ast.expr] = []
        for argument in node.args:
            match argument:
                case ast.Starred(value=ast.List(elts=parts) | ast.Tuple(elts=parts)):
                    arguments += parts
                case _:
                    arguments.append(argument)
        node.args = arguments
        return node
