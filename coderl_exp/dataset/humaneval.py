"""HumanEval (https://arxiv.org/abs/2107.03374): a prompt to complete and a `check(candidate)`.

All problems are in the test split; nothing of it may be trained on.
"""

from __future__ import annotations

import ast

from coderl_exp.config import HumanEvalDatasetConfig
from coderl_exp.dataset.rows import dataset_rows
from coderl_exp.dataset.selection import choose_tests
from coderl_exp.entry_points import called_names, parse_python, signature_of
from coderl_exp.errors import DataError
from coderl_exp.json_rows import Row
from coderl_exp.records import Problem


def load_humaneval(config: HumanEvalDatasetConfig) -> list[Problem]:
    """The problems in the order of the rows.

    Raises:
        DataError: the data cannot be read, or a row is not in HumanEval's schema.
    """
    return [_problem(row, config) for row in dataset_rows(config)]


def _problem(row: Row, config: HumanEvalDatasetConfig) -> Problem:
    prompt, entry_point = row.column("prompt", str), row.column("entry_point", str)
    task_id = f"{config.name}/{row.column('task_id', str).rpartition('/')[2]}"
    reference = prompt + row.column("canonical_solution", str)
    definitions = {
        node.name: node
        for node in parse_python(reference, f"{row.where}: canonical_solution").body
        if isinstance(node, ast.FunctionDef)
    }
    if entry_point not in definitions:
        raise DataError(f"{row.where}: the prompt does not define {entry_point}.")
    tests = _tests(row.column("test", str), entry_point, row.where)
    kept = choose_tests([len(test.encode()) for test in tests], config, task_id)
    return Problem(
        task_id=task_id,
        split="test",
        text="",
        entry_point=entry_point,
        signature=signature_of(definitions[entry_point]),
        starter_code=prompt,
        references=(reference,),
        tests=tuple(tests[i] for i in kept),
        setup_code=_helpers(prompt, entry_point, row.where),
        num_visible_tests=0,
    )


def _helpers(prompt: str, entry_point: str, where: str) -> str:
    """What the prompt imports and defines beside the function: tests use it too."""
    body = parse_python(prompt, f"{where}: prompt").body
    return "\n".join(
        ast.unparse(node)
        for node in body
        if not (isinstance(node, ast.FunctionDef) and node.name == entry_point)
    )


def _tests(script: str, entry_point: str, where: str) -> list[str]:
    """The asserts of `check`, one each; the script as a whole where it is more than asserts."""
    body = parse_python(script, f"{where}: test").body
    check = next((n for n in body if isinstance(n, ast.FunctionDef) and n.name == "check"), None)
    if check is None or not check.args.args:
        raise DataError(f"{where}: its test defines no check(candidate).")
    asserts = [node for node in check.body if not _says_nothing(node)]
    if not asserts:
        raise DataError(f"{where}: its check(candidate) asserts nothing, so nothing can be judged.")
    others = [node for node in body if node is not check and not _says_nothing(node)]
    if others or not all(isinstance(node, ast.Assert) for node in asserts):
        return [f"{script}\n\ncheck({entry_point})\n"]
    name = check.args.args[0].arg
    return [ast.unparse(_Renamed(name, entry_point).visit(node)) for node in asserts]


def _says_nothing(node: ast.stmt) -> bool:
    """A docstring, `METADATA = …`, `pass`, or an assert that calls nothing."""
    if isinstance(node, ast.Assert):
        return not called_names(node)
    is_metadata = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "METADATA"
    is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_metadata or is_docstring or isinstance(node, ast.Pass)


class _Renamed(ast.NodeTransformer):
    def __init__(self, old: str, new: str) -> None:
        self._old, self._new = old, new

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(id=self._new if node.id == self._old else node.id, ctx=node.ctx)
