"""An assert statement becomes the calls that the candidate's process evaluates and the comparison
that the judge evaluates on the returned data, so that expected values stay with the judge.

`assert set(f([1, 2])) == {1}` gives the call `f([1, 2])` and the comparison `set(__r0) == {1}`.

What goes to the child is every maximal expression (name, call, attribute, subscript) whose root
name is neither a trusted builtin, nor a trusted module, nor the name of a plain data type. The
entry point and what the setup code defines are never trusted, whatever they are called.

A test that cannot be divided so (`UnsplittableTest`) is a matter of `trusted.py`.
"""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass
from functools import lru_cache

from coderl_exp.errors import DataError
from coderl_exp.sandbox.expressions import (
    bound_names,
    called_name,
    compares,
    is_number,
    names_in,
    results_in,
    root_of,
    truths,
)
from coderl_exp.sandbox.plain_asserts import split_plain
from coderl_exp.sandbox.setup_code import defined_names
from coderl_exp.sandbox.trusted_names import (
    CHEAP,
    DATA_METHODS,
    DATA_TYPES,
    REMAINDER,
    TRUSTED_BUILTINS,
    TRUSTED_MODULES,
)

_COMPREHENSIONS = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


class UnsplittableTest(DataError):  # noqa: N818  reads as what it is
    """A test that cannot be divided between the candidate's process and the judge."""


@dataclass(frozen=True, kw_only=True)
class SplitTest:
    """What the child evaluates, and what the judge does with the results `__r0`, `__r1`, …"""

    calls: tuple[str, ...]
    comparison: str


@lru_cache(maxsize=8192)
def split_test(test: str, entry_point: str, setup_code: str = "") -> SplitTest:
    """Divide one assert statement.

    Raises:
        UnsplittableTest: it is not one assert that calls the entry point, or dividing it would
            change its meaning or show the expected value to the candidate.
    """
    try:
        if plain := split_plain(test, entry_point):
            call, comparison = plain
            return SplitTest(calls=(call,), comparison=comparison)
        condition = _condition(test)
        splitter = _Splitter(entry_point, defined_names(setup_code), condition)
        tree = splitter.visit(condition)
        splitter.check()
    except (SyntaxError, ValueError, RecursionError) as error:
        raise UnsplittableTest(
            f"The test {test.strip()[:200]!r} cannot be split: {error}."
        ) from None
    return SplitTest(calls=tuple(splitter.calls), comparison=ast.unparse(tree))


def _condition(test: str) -> ast.expr:
    body = ast.parse(test.strip()).body
    if len(body) != 1 or not isinstance(body[0], ast.Assert):
        raise ValueError("it is not a single assert statement")
    return body[0].test


class _Splitter(ast.NodeTransformer):
    """Replaces what the child evaluates by `__r0`, `__r1`, … and collects it in `calls`."""

    def __init__(self, entry_point: str, defined: frozenset[str], condition: ast.expr) -> None:
        self.calls: list[str] = []
        self._is_called = False
        self._condition = condition
        self._truths = truths(condition)
        self._entry_point = entry_point
        self._defined = defined
        self._bound: list[set[str]] = []

    def check(self) -> None:
        if not self._is_called:
            raise ValueError(f"it does not call {self._entry_point}")

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.Name | ast.Call | ast.Attribute | ast.Subscript):
            return self._visit_chain(node)
        if isinstance(node, ast.Lambda | _COMPREHENSIONS):
            return self._visit_scope(node)
        if isinstance(node, ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom | ast.Starred):
            raise ValueError(f"it contains {type(node).__name__}")
        self._refuse_skipped_calls(node)
        new = self.generic_visit(node)
        self._refuse_changed_meaning(new)
        if isinstance(new, ast.BinOp) and isinstance(new.op, ast.Mod) and self._is_result(new.left):
            return ast.Call(ast.Name(REMAINDER, ast.Load()), [new.left, new.right], [])
        return new

    def _visit_chain(self, node: ast.expr) -> ast.AST:
        root = root_of(node)
        if isinstance(root, ast.Name) and not self._is_trusted(root, node):
            return self._visit_untrusted(node)
        if isinstance(root, ast.Name) and root is node:
            return node
        self._refuse_class_check(node)
        new = self._visit_arguments(node)
        self._refuse_explosion(new)
        return new

    def _visit_arguments(self, node: ast.expr) -> ast.expr:
        """Visit what a trusted chain is given, but not the trusted name at its root."""
        if isinstance(node, ast.Call):
            node.func = self._visit_arguments(node.func)
            node.args = [self.visit(argument) for argument in node.args]  # type: ignore[misc]
            for keyword in node.keywords:
                keyword.value = self.visit(keyword.value)  # type: ignore[assignment]
        elif isinstance(node, ast.Attribute | ast.Subscript):
            node.value = self._visit_arguments(node.value)
            if isinstance(node, ast.Subscript):
                node.slice = self.visit(node.slice)  # type: ignore[assignment]
        elif not isinstance(node, ast.Name):
            return self.visit(node)  # type: ignore[return-value]
        return node

    def _visit_untrusted(self, node: ast.expr) -> ast.AST:
        if isinstance(node, ast.Attribute) and node.attr in DATA_METHODS:
            raise ValueError("a method of a result is passed on")
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and (node.args or node.keywords)
            and self._calls_entry_point(node.func.value)
        ):  # `f(x).startswith("ab")`: the judge asks the data
            if node.func.attr not in DATA_METHODS:
                return self._send_method_call(node)
            node.func.value = self._send(node.func.value)
            return self._visit_chain(node)
        return self._send(node)

    def _send_method_call(self, node: ast.Call) -> ast.AST:
        """`Solution().solve(3)` is a call; `f(1).equals(2)` would show what is expected."""
        assert isinstance(node.func, ast.Attribute)
        is_object = self._entry_point[:1].isupper() and isinstance(node.func.value, ast.Call)
        if id(node) in self._truths and not is_object:
            raise ValueError(f"the result's own {node.func.attr} would see what is expected")
        return self._send(node)

    def _calls_entry_point(self, node: ast.expr) -> bool:
        return not isinstance(node, ast.Name) and self._entry_point in names_in(node)

    def _send(self, node: ast.expr) -> ast.Name:
        names = names_in(node)
        if any(names & bound for bound in self._bound):
            raise ValueError("a call depends on a name bound within the test")
        if isinstance(node, ast.Name) and node.id == self._entry_point:
            raise ValueError(f"it passes {node.id} on instead of calling it")
        root = root_of(node)
        if (
            isinstance(root, ast.Name)
            and root.id != self._entry_point
            and isinstance(node, ast.Call)
        ):
            arguments = ast.Tuple([*node.args, *(k.value for k in node.keywords)], ast.Load())
            if self._entry_point in names_in(arguments):
                raise ValueError(f"{root.id} would see the result together with what is expected")
        if any(isinstance(part, ast.NamedExpr) for part in ast.walk(node)):
            raise ValueError("it contains NamedExpr")
        self._is_called |= self._entry_point in names
        self.calls.append(ast.unparse(node))
        return ast.Name(f"__r{len(self.calls) - 1}", ast.Load())

    def _is_trusted(self, root: ast.Name, chain: ast.expr) -> bool:
        name = root.id
        if any(name in bound for bound in self._bound):
            return True
        if name.startswith("__r"):
            return True
        if name == self._entry_point or name in self._defined:
            return False
        is_module = name in TRUSTED_MODULES and chain is not root
        return is_module or name in TRUSTED_BUILTINS or name in DATA_TYPES

    def _refuse_class_check(self, node: ast.expr) -> None:
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("isinstance", "issubclass", "map", "filter")
        ):
            kind = node.args[0 if node.func.id in ("map", "filter") else -1]
            names = [part for part in ast.walk(kind) if isinstance(part, ast.Name)]
            if not all(self._is_trusted(name, kind) for name in names):
                raise ValueError(f"{node.func.id} needs a name of the candidate's")

    def _visit_scope(self, node: ast.AST) -> ast.AST:
        """A lambda or comprehension stays whole with the judge, or goes whole to the child."""
        whole = copy.deepcopy(node)  # visiting changes it
        self._bound.append(bound_names(node))
        num_calls = len(self.calls)
        try:
            new = self.generic_visit(node)
            self._refuse_nested_loops(new)
            return new
        except ValueError:
            if not isinstance(node, _COMPREHENSIONS) or compares(node):
                raise
        finally:
            self._bound.pop()
        del self.calls[num_calls:]
        return self._send(whole)  # type: ignore[arg-type]

    def _refuse_nested_loops(self, scope: ast.AST) -> None:
        """A result may be what a loop runs over, but not be searched in each of its rounds."""
        inner = list(ast.iter_child_nodes(scope))
        if isinstance(scope, _COMPREHENSIONS):
            first, *others = scope.generators
            inner = [*(part for part in inner if part is not first), *first.ifs]
            if others and (results_in(first.iter) or len(self._bound) > 1):
                raise ValueError("a loop within a loop over a result could stall the judge")
        if len(self._bound) > 1 or any(map(results_in, inner)):
            raise ValueError("a loop that searches a result could stall the judge")

    def _is_result(self, node: ast.AST) -> bool:
        """Whether its value, or its cost, depends on what a candidate returned."""
        bound = {name for names in self._bound for name in names}
        return results_in(node) or bool(names_in(node) & bound)

    def _refuse_skipped_calls(self, node: ast.AST) -> None:
        """The child makes all calls of a test, so none may be one that Python would skip."""
        later: list[ast.expr] = []
        if (
            node is self._condition
            and isinstance(node, ast.BoolOp)
            and isinstance(node.op, ast.And)
        ):
            return  # once one part is false the test has failed, whatever the others are
        if isinstance(node, ast.BoolOp):
            later = node.values[1:]
        elif isinstance(node, ast.IfExp):
            later = [node.body, node.orelse]
        elif isinstance(node, ast.Compare):
            later = node.comparators[1:]
        if any(self._entry_point in names_in(part) for part in later):
            raise ValueError("a call might be skipped")

    def _refuse_changed_meaning(self, node: ast.AST) -> None:
        """Identity of results is lost on the way, and some operators could be made to explode."""
        if (
            isinstance(node, ast.Compare)
            and any(isinstance(op, ast.Is | ast.IsNot) for op in node.ops)
            and sum(self._is_result(side) for side in (node.left, *node.comparators)) > 1
        ):
            raise ValueError("it asks whether two results are the same object")
        if not isinstance(node, ast.BinOp) or not self._is_result(node):
            return
        if isinstance(node.op, ast.Pow | ast.LShift):
            raise ValueError("a power or shift of a result could stall the judge")
        if isinstance(node.op, ast.Mult) and not (is_number(node.left) or is_number(node.right)):
            raise ValueError("a product of a result could stall the judge")

    def _refuse_explosion(self, node: ast.AST) -> None:
        if not isinstance(node, ast.Call):
            return
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        if not any(self._is_result(argument) for argument in arguments):
            return
        name, is_method = called_name(node.func)
        is_cheap = name in CHEAP
        if name == "sum":
            is_cheap = len(node.args) == 1
        elif name == "round":
            is_cheap = not any(map(self._is_result, node.args[1:]))
        elif name == "join":
            is_cheap = is_method and not self._is_result(node.func)
        if not is_cheap:
            raise ValueError(f"{name} of a result could stall the judge")
