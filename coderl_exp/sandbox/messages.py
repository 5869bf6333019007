"""Lines from a candidate's process as messages: a kind and plain values, or a `ChannelError`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from coderl_exp.sandbox.children import ChannelError
from coderl_exp.sandbox.inside.decoding import EncodingError, values_from_json

_MAX_VALUES = 1000
_MAX_NUMBER = 1 << 53


@dataclass(frozen=True, kw_only=True)
class Message:
    """`kind` and the decoded values of one line."""

    kind: str
    values: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the batch lane says of one program: its cost, its output, its messages."""

    index: int
    cpu_s: float
    wall_s: float
    memory_mb: float
    output: bytes
    messages: tuple[Message, ...]


def parse_message(line: bytes) -> Message:
    """One message of the strict lane."""
    return _message(_tree(line))


def parse_batch_message(line: bytes) -> Judged | Message:
    """One line of the batch lane: a result, or `strict` with index and reason."""
    tree = _tree(line)
    if tree[0] != "judged":
        return _message(tree)
    match tree:
        case [_, int(index), int(cpu_us), int(wall_us), int(memory_kb), printed, list(nested)] if (
            0 <= min(cpu_us, wall_us, memory_kb) <= max(cpu_us, wall_us, memory_kb) <= _MAX_NUMBER
        ):
            return Judged(
                index=index,
                cpu_s=cpu_us / 1e6,
                wall_s=wall_us / 1e6,
                memory_mb=memory_kb / 1024,
                output=_output(printed),
                messages=tuple(map(_message, nested)),
            )
    raise ChannelError("not a result of the batch lane")


def _output(printed: Any) -> bytes:
    match _values([printed]) if printed else [""]:
        case [str(text)]:
            return text.encode("utf-8", "surrogateescape")
        case [bytes(raw)]:
            return raw
    raise ChannelError("not what a program printed")


def _tree(line: bytes) -> Sequence[Any]:
    try:
        tree = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ChannelError(str(error)[:200]) from None
    if not isinstance(tree, list) or not tree:
        raise ChannelError("not a message")
    return tree


def _message(tree: Any) -> Message:
    if type(tree) is not list or not tree or type(tree[0]) is not str:
        raise ChannelError("not a message")
    if len(tree) > _MAX_VALUES:
        raise ChannelError("a message of too many values")
    return Message(kind=tree[0], values=tuple(_values(tree[1:])))


def _values(trees: list[Any]) -> list[Any]:
    try:
        return values_from_json(trees)
    except EncodingError as error:
        raise ChannelError(str(error)[:200]) from None
