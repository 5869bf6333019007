"""What stands between a program of the batch lane and what it shares with others, at run time.

Nothing here that a program can get hold of leads to the lane: what gives up is found by name.
"""

import builtins
import io
import sys
from abc import ABCMeta
from collections.abc import Callable
from types import FunctionType, SimpleNamespace
from typing import Any, NoReturn

from . import allowed
from .nodes import OWN
from .whole import flush_open

_type_dict = type.__dict__["__dict__"].__get__
_METACLASSES = (type, ABCMeta)
_giving_up: list[Callable[[str], NoReturn]] = []


def set_give_up(give_up: Callable[[str], NoReturn]) -> None:
    """What to do when a program turns out to need a process of its own; must not return."""
    _giving_up[:] = [give_up]


def give_up(reason: str) -> NoReturn:
    _giving_up[0](reason)


def guards(namespace: dict[str, Any], streams: "Streams | None") -> dict[str, Any]:
    """The builtins that are not Python's own, for one program."""
    name = namespace["__name__"]

    def is_own(kind: type) -> bool:
        return bool(_type_dict(kind).get("__module__") == name)

    def own(value: Any) -> Any:
        """Pass on what the program itself made."""
        kind = type(value)
        if kind is FunctionType:
            is_allowed = value.__globals__ is namespace
        else:
            is_allowed = kind is super or is_own(value if kind is type else kind)
        if not is_allowed:
            give_up("it uses an attribute of something that is not its own")
        return value

    def type_of(value: Any) -> type:
        kind = type(value)
        if not (kind in allowed.TYPES or (type(kind) is type and is_own(kind))):
            give_up("it asks for an unusual type")
        return kind

    def build_class(body: Any, class_name: str, *bases: Any) -> Any:
        for base in bases:
            if not (type(base) in _METACLASSES and (base in allowed.BASES or is_own(base))):
                give_up("it derives from an unusual class")
        return builtins.__build_class__(body, class_name, *bases)

    def import_listed(name: str, *arguments: Any) -> Any:
        if not (name in allowed.MODULES or allowed.is_absent(name)):
            give_up(f"it imports {name}")
        if name == "os":
            return streams.functions() if streams else give_up("it imports os")
        return builtins.__import__(name, *arguments)

    return {
        OWN: own,
        "type": type_of,
        "__build_class__": build_class,
        "__import__": import_listed,
    }


class _Input(io.BytesIO):
    """What a program reads, as if from a file."""

    def fileno(self) -> int:
        return 0


class _Output(io.RawIOBase):
    """Keeps what is printed, up to a cap."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.printed = bytearray()

    def fileno(self) -> int:
        return 1

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.printed += data
        if len(self.printed) > self._max_bytes:
            give_up("it prints a lot")
        return len(data)


class Streams:
    """Standard input and output of one program, made as Python makes the real ones."""

    def __init__(self, text: str, max_output_bytes: int) -> None:
        self._output = _Output(max_output_bytes)
        self._input = _Input(text.encode("utf-8", "surrogateescape"))
        self.stdin = _wrapped(io.BufferedReader(self._input), "r")
        self.stdout = _wrapped(io.BufferedWriter(self._output), "w")

    def functions(self) -> SimpleNamespace:
        """What stands for the module `os`: these streams by their descriptors, nothing else."""
        size = len(self._input.getbuffer())

        def read(descriptor: int, length: int) -> bytes:
            if descriptor != 0 or length < 0:
                give_up("it reads from elsewhere")
            return self._input.read(length)

        def write(descriptor: int, data: bytes) -> int:
            if descriptor != 1:
                give_up("it writes elsewhere")
            return self._output.write(bytes(memoryview(data)))

        def fstat(descriptor: int) -> SimpleNamespace:
            if descriptor != 0:
                give_up("it asks about another file")
            return SimpleNamespace(st_size=size)

        return SimpleNamespace(read=read, write=write, fstat=fstat)

    def printed(self) -> bytes:
        """All that was printed, once flushed as Python does it before it ends."""
        try:
            flush_open(sys.stdout, self.stdout)
        except BaseException:
            give_up("its output cannot be flushed")
        return bytes(self._output.printed)


def _wrapped(buffer: Any, mode: str) -> io.TextIOWrapper:
    stream = io.TextIOWrapper(buffer, "utf-8", "surrogateescape", newline="\n")
    stream.mode = mode  # type: ignore[misc]  # as Python does it for the real ones
    return stream
