"""A static check that a program touches nothing but its own data.

A program that passes may run in one process with others (the batch lane). The check is an
allow-list of syntax, names, modules and attributes (`allowed.py`); what it cannot prove it
refuses, and then the program gets a process of its own. What syntax cannot tell is left to guards
at run time, all in `batch.py`: `__own__(x)` stands around everything whose attribute is assigned,
or read though it is not on the list; classes derive from listed ones, `type` gives listed ones, and
imports give listed modules only.
"""

import ast
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from . import allowed
from .nodes import (
    UnprovableError,
    add_children,
    children,
    guard,
    guard_unlisted,
    is_super_init,
    refuse,
    refuse_special,
)

_PLAIN_FORMAT = re.compile(r"(?:[^{}]|\{\{|\}\}|\{\w*(?:![rsa])?(?::[^{}]*)?\})*")
"""Without attributes, indices or nested fields."""
Nodes = Iterable[Any]


class Proof(NamedTuple):
    """What a proven program can touch of what it shares with others."""

    modules: frozenset[str]
    """Those that it names."""
    has_streams: bool
    """Whether it can reach standard input or output."""


def prove(trees: Iterable[ast.AST], names: Iterable[str] = ()) -> Proof:
    """Check that parsed sources, run in one namespace, touch nothing but their own data.

    `names` are used beside them, by calls that are proven on their own. Attributes that are not on
    the list get their guard `__own__`, in place.

    Raises:
        UnprovableError: the check cannot tell.
    """
    check = _Check()
    check.names.update(names)
    for tree in trees:
        check.walk(tree)
    modules = check.conclude()
    has_streams = bool(modules & allowed.STREAM_MODULES) or not check.names.isdisjoint(
        allowed.STREAM_BUILTINS
    )
    return Proof(modules, has_streams)


def prove_call(tree: ast.AST) -> frozenset[str]:
    """Check one expression as `prove` does; the names that it uses."""
    check = _Check()
    check.walk(tree)
    check.conclude()
    return frozenset(check.names)


class _Check:
    """Collects what the sources name and where; `conclude` holds it against the lists."""

    def __init__(self) -> None:
        self._modules: dict[str, str] = {}
        self._imported: dict[str, tuple[str, str]] = {}
        self.names: set[str] = set()
        """Bound, or used other than before a dot."""
        self._dotted: list[ast.Attribute] = []
        """Attributes of a name, which may be a module's."""
        self._decorators: set[str] = set()
        self._called: set[str] = set()
        """Called with one argument."""
        self._assigned: set[str] = set()
        """Attributes."""
        self._yields = self._tries = self._has_lying_keys = False

    def walk(self, tree: ast.AST) -> None:
        pending: list[ast.AST | None] = [tree]
        while pending:
            node = pending.pop()
            if node is None:  # a part that is left out, such as a key in `{**x}`
                continue
            kind = type(node)
            if kind in _PLAIN:
                add_children(node, pending)
            elif kind in _HANDLERS:
                pending += _HANDLERS[kind](self, node)
            else:
                raise UnprovableError(f"it contains {kind.__name__}")

    def conclude(self) -> frozenset[str]:
        """Hold what was found against the lists; the modules that are named."""
        for node in self._dotted:
            self._check_dotted(node)
        if self._yields and (self._tries or (self._assigned | self.names) & {"close", "throw"}):
            raise UnprovableError("the end of a generator could run later")
        changers = self._bound_to(allowed.DECORATORS_ONLY)
        single = self._bound_to(allowed.ONE_ARGUMENT)
        if self._decorators - changers:
            raise UnprovableError("it decorates a class")
        self.names |= self._called - single
        special = self._modules.keys() | changers | single | allowed.CALLED_ONLY
        refuse(self.names & (special | allowed.FORBIDDEN_BUILTINS))
        modules = frozenset((*self._modules.values(), *(m for m, _ in self._imported.values())))
        if self._has_lying_keys and modules & allowed.CACHING_MODULES:
            raise UnprovableError("its own keys could stay in tables that programs share")
        return modules

    def _check_dotted(self, node: ast.Attribute) -> None:
        assert isinstance(node.value, ast.Name)
        module = self._modules.get(node.value.id)
        if isinstance(node.ctx, ast.Store):
            if (module, node.attr) not in allowed.ASSIGNABLE:
                self.names.add(node.value.id)
                self._assign(node)
        elif module is None:
            self.names.add(node.value.id)
            guard_unlisted(node)
        elif (
            node.attr not in allowed.MODULES[module]
            or (module, node.attr) in allowed.DECORATORS_ONLY | allowed.ONE_ARGUMENT
        ):
            raise UnprovableError(f"it uses {module}.{node.attr}")

    def _bound_to(self, sources: frozenset[tuple[str, str]]) -> set[str]:
        return {name for name, source in self._imported.items() if source in sources}

    def bind(self, name: str | None) -> None:
        """A name that is bound, declared or used as a value."""
        if name is not None:
            refuse_special(name)
            self.names.add(name)

    def name(self, node: ast.Name) -> Nodes:
        if node.id != "__name__" or not isinstance(node.ctx, ast.Load):
            self.bind(node.id)
        return ()

    def attribute(self, node: ast.Attribute) -> Nodes:
        name, owner = node.attr, node.value
        if name == "__name__" and isinstance(node.ctx, ast.Load):
            return (owner,)
        if name.startswith("__"):
            raise UnprovableError(f"it uses the attribute {name}")
        if isinstance(node.ctx, ast.Store) and isinstance(owner, ast.Name):
            refuse_special(owner.id)
            self._dotted.append(node)
            return ()
        if not isinstance(node.ctx, ast.Load):
            return self._assign(node)
        if name == "format" and isinstance(owner, ast.Constant):
            if not (isinstance(owner.value, str) and _PLAIN_FORMAT.fullmatch(owner.value)):
                raise UnprovableError("a format string could read attributes")
            return ()
        if isinstance(owner, ast.Name):
            refuse_special(owner.id)
            self._dotted.append(node)
            return ()
        guard_unlisted(node)
        return (owner,)

    def _assign(self, node: ast.Attribute) -> Nodes:
        self._assigned.add(node.attr)
        owner = node.value
        guard(node)
        return (owner,)

    def call(self, node: ast.Call) -> Nodes:
        function, arguments = node.func, [*node.args, *node.keywords]
        has_one = len(arguments) == 1 and not isinstance(arguments[0], ast.Starred | ast.keyword)
        if isinstance(function, ast.Name) and function.id in allowed.CALLED_ONLY:
            if not (has_one if function.id == "type" else not arguments):
                raise UnprovableError(f"it calls {function.id} with other arguments")
            return arguments
        if is_super_init(function):
            return arguments
        if has_one and isinstance(function, ast.Name):
            refuse_special(function.id)
            self._called.add(function.id)
            return arguments
        return [function, *arguments]

    def import_modules(self, node: ast.Import) -> Nodes:
        for alias in node.names:
            local = alias.asname or alias.name
            refuse_special(local)
            if allowed.is_absent(alias.name):
                continue
            if alias.name not in allowed.MODULES:
                raise UnprovableError(f"it imports {alias.name}")
            if self._modules.setdefault(local, alias.name) != alias.name:
                raise UnprovableError(f"it imports two modules as {local}")
        return ()

    def import_names(self, node: ast.ImportFrom) -> Nodes:
        module = node.module or ""
        if node.level or not (module in allowed.MODULES or allowed.is_absent(module)):
            raise UnprovableError(f"it imports from {module}")
        for alias in node.names:
            if alias.name != "*" or module not in allowed.STAR_MODULES:
                self._import_name(module, alias.name, alias.asname or alias.name)
        return ()

    def _import_name(self, module: str, name: str, local: str) -> None:
        source = (module, name)
        if module in allowed.MODULES and name not in allowed.MODULES[module]:
            raise UnprovableError(f"it imports {module}.{name}")
        if self._imported.setdefault(local, source) != source:
            raise UnprovableError(f"it imports two things as {local}")
        refuse_special(local)
        if source not in allowed.DECORATORS_ONLY | allowed.ONE_ARGUMENT:
            self.names.add(local)

    def define_function(self, node: ast.FunctionDef) -> Nodes:
        if node.name in ("__eq__", "__hash__"):
            self._has_lying_keys = True
        if node.name not in allowed.SPECIAL_METHODS:
            self.bind(node.name)
        return children(node)

    def define_class(self, node: ast.ClassDef) -> Nodes:
        self.bind(node.name)
        simple = (ast.FunctionDef, ast.Assign, ast.AnnAssign, ast.Expr, ast.Pass, ast.ClassDef)
        if node.keywords or not all(isinstance(part, simple) for part in node.body):
            raise UnprovableError(f"the class {node.name} has an unusual body")
        self._has_lying_keys |= bool(node.bases)
        for decorator in node.decorator_list:
            self._check_decorator(decorator)
        return [*node.bases, *node.body]

    def _check_decorator(self, node: ast.expr) -> None:
        """A class decorator must be one of those that change a class, with plain switches."""
        function, values = node, []
        if isinstance(node, ast.Call):
            function, values = node.func, [*node.args, *(k.value for k in node.keywords)]
        if isinstance(function, ast.Name):
            refuse_special(function.id)
            self._decorators.add(function.id)
        elif not self._is_changer(function):
            raise UnprovableError("it decorates a class")
        if not all(isinstance(value, ast.Constant) for value in values):
            raise UnprovableError("it decorates a class with more than switches")

    def _is_changer(self, node: ast.expr) -> bool:
        if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
            return False
        return (self._modules.get(node.value.id, ""), node.attr) in allowed.DECORATORS_ONLY

    def declare(self, node: ast.Global | ast.Nonlocal) -> Nodes:
        for name in node.names:
            self.bind(name)
        return ()

    def argument(self, node: ast.arg | ast.keyword | ast.ExceptHandler) -> Nodes:
        self.bind(node.name if isinstance(node, ast.ExceptHandler) else node.arg)
        return children(node)

    def delay(self, node: ast.Try | ast.Yield | ast.YieldFrom) -> Nodes:
        if isinstance(node, ast.Try):
            self._tries = True
        else:
            self._yields = True
        return children(node)


_ALL_HANDLERS: dict[type[ast.AST], Any] = {
    ast.Name: _Check.name,
    ast.Attribute: _Check.attribute,
    ast.Call: _Check.call,
    ast.Import: _Check.import_modules,
    ast.ImportFrom: _Check.import_names,
    ast.FunctionDef: _Check.define_function,
    ast.ClassDef: _Check.define_class,
    ast.Global: _Check.declare,
    ast.Nonlocal: _Check.declare,
    ast.arg: _Check.argument,
    ast.keyword: _Check.argument,
    ast.ExceptHandler: _Check.argument,
    **dict.fromkeys((ast.Try, ast.Yield, ast.YieldFrom), _Check.delay),
}


def _is_known(kind: type[ast.AST]) -> bool:
    return set(kind._fields) <= allowed.FIELDS | allowed.OTHER_FIELDS


_HANDLERS = {kind: handler for kind, handler in _ALL_HANDLERS.items() if _is_known(kind)}
"""Per kind of node, the method that takes it and says what to visit next."""
_PLAIN = frozenset(filter(_is_known, allowed.PLAIN_SYNTAX))
