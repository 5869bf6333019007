"""The usual test, `assert f(1, [2]) == [3]`, split without a walk through its syntax."""

from __future__ import annotations

import ast
import re

_TEXTS = re.compile(r"""'[^'\\\n]*'|"[^"\\\n]*\"""")
_WORDS = re.compile(r"(?<!\w)[A-Za-z_]\w*")
_CONSTANTS = frozenset(("True", "False", "None"))
_DELIMITED = (ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.Set)
"""Kinds of expression that need no parentheses around them."""
_COMPARISONS = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}


def split_plain(test: str, entry_point: str) -> tuple[str, str] | None:
    """The call and the comparison of its result `__r0`; None for any other kind of test.

    Beside the entry point, once, the test may name nothing: then what it is called with and
    compared to are literals, or operators on them, and stay as they are written.

    Raises:
        SyntaxError: it is not Python.
    """
    source = test.strip()
    if not source.isascii() or "\n" in source or "#" in source:
        return None
    rest = _TEXTS.sub("0", source)
    names = [word for word in _WORDS.findall(rest) if word not in _CONSTANTS]
    if names != ["assert", entry_point] or "'" in rest or '"' in rest:
        return None
    match ast.parse(source).body:
        case [
            ast.Assert(
                test=ast.Compare(
                    left=ast.Call(func=ast.Name()) as call, ops=[comparison], comparators=[right]
                )
            )
        ] if type(comparison) in _COMPARISONS:
            operator, expected = _COMPARISONS[type(comparison)], _text(source, right)
            if not isinstance(right, _DELIMITED):
                expected = f"({expected})"
            return _text(source, call), f"__r0 {operator} {expected}"
    return None


def _text(line: str, node: ast.expr) -> str:
    return line[node.col_offset : node.end_col_offset]
