"""Parts of syntax: what a node holds, and the guard that an attribute gets (`provable.py`)."""

import ast
from collections.abc import Iterable
from typing import Any

from . import allowed

OWN = "__own__"
_FIELDS = {
    kind: tuple(
        name for name in kind._fields if name in allowed.FIELDS and kind is not ast.Constant
    )
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST)
}


class UnprovableError(Exception):
    """The program may be harmless, but this check cannot tell."""


def children(node: ast.AST) -> list[Any]:
    """The parts of a node, some of which may be None; without operators, which are all plain."""
    found: list[Any] = []
    add_children(node, found)
    return found


def add_children(node: ast.AST, found: list[Any]) -> None:
    for name in _FIELDS[type(node)]:
        value = getattr(node, name)
        if value.__class__ is list:
            found += value
        elif value is not None:
            found.append(value)


def guard(node: ast.Attribute) -> None:
    """Let only what is the program's own have this attribute read or assigned."""
    owner, function = node.value, ast.Name(OWN, ast.Load())
    node.value = ast.Call(function, [owner], [])
    for new in (function, node.value):
        ast.copy_location(new, owner)


def guard_unlisted(node: ast.Attribute) -> None:
    if node.attr in allowed.NEVER_ATTRIBUTES:
        raise UnprovableError(f"it uses the attribute {node.attr}")
    if node.attr not in allowed.ATTRIBUTES:
        guard(node)


def is_super_init(node: ast.expr) -> bool:
    """`super().__init__`, the one special attribute that classes need to name."""
    return (
        isinstance(node, ast.Attribute)
        and node.attr == "__init__"
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id == "super"
        and not (node.value.args or node.value.keywords)
    )


def refuse_special(name: str) -> None:
    """Identifiers with two underscores in front are special, or mangled within classes."""
    if name.startswith("__"):
        raise UnprovableError(f"it names {name}")


def refuse(names: Iterable[str]) -> None:
    for name in sorted(names):
        raise UnprovableError(f"it uses {name}")
