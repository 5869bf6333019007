"""Which function or class a problem's tests call, from parsed code, never guessed from its text."""

from __future__ import annotations

import ast
import builtins
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from coderl_exp.errors import DataError


def find_entry_point(reference: str, tests: Iterable[str], where: str) -> tuple[str, str]:
    """The function that the tests call, and its signature, from the reference's definitions.

    Asserts wrap the call in all sorts of things (`set(f(x))`, `not f(x)`, `math.isclose(f(x), …)`),
    so it is the defined name that most tests call, the last one defined among equals.

    Raises:
        DataError: the code or a test is not Python, or no test calls what the reference defines.
    """
    definitions = {
        node.name: node
        for node in parse_python(reference, f"{where}: code").body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    uses = dict.fromkeys(definitions, 0)
    for test in tests:
        for name in called_names(parse_python(test, f"{where}: test")):
            if name in uses:
                uses[name] += 1
    best = max(reversed(uses), key=lambda name: uses[name], default=None)
    if best is None or not uses[best]:
        raise DataError(f"{where}: no test calls a function that the reference code defines.")
    return best, signature_of(definitions[best])


def called_function(tests: Sequence[str], setup_code: str, where: str) -> str:
    """The function under test, from the tests alone: the name that most of them call.

    Among equals it is the outermost, which is given the others' results. Builtins and what the
    setup code defines count only if nothing else is called: a function may be named `sum`.

    Raises:
        DataError: no test calls a name.
    """
    uses = Counter(name for test in tests for name in called_names(ast.parse(test)))
    defined = {*dir(builtins), *_bound_names(ast.parse(setup_code))}
    names = [name for name in uses if name not in defined] or list(uses)
    if not names:
        raise DataError(f"{where}: no test calls a function by its name, so none can be judged.")
    return max(names, key=uses.__getitem__)


def called_names(tree: ast.AST) -> list[str]:
    """Each called name once, outermost first."""
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return list(dict.fromkeys(func.id for func in calls if isinstance(func, ast.Name)))


def signature_of(node: ast.stmt) -> str:
    """The first line of a definition: `def name(a, b=1):`."""
    if isinstance(node, ast.FunctionDef):
        return f"def {node.name}({ast.unparse(node.args)}):"
    assert isinstance(node, ast.ClassDef)
    return f"class {node.name}:"


def parse_python(code: str, where: str) -> ast.Module:
    """The syntax tree.

    Raises:
        DataError: it is not Python; `where` says what it is.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of '\\d' where r'\\d' is meant, as in MBPP
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else error
        shown = code.strip().partition("\n")[0][:80]
        raise DataError(f"{where} is not Python ({reason}): {shown!r}. Repair it.") from None


def _bound_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).partition(".")[0]
