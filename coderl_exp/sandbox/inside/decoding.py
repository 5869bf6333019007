"""The judge's half of the encoding: hostile text in, plain values out.

Any bytes either decode or raise `EncodingError`. Nothing is evaluated or unpickled, and every
value that comes out is of a size that comparing it cannot stall the judge.
"""

from __future__ import annotations

import json
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from math import prod
from typing import Any, NoReturn

from .arrays import Array
from .encoding import (
    MAX_BYTES,
    MAX_DECIMAL_DIGITS,
    MAX_DEPTH,
    MAX_FRACTION_BITS,
    MAX_INT_BITS,
    MAX_NODES,
    MAX_RANGE_ITEMS,
)
from .opaque import Opaque, OpaqueValueError

MAX_SAME_HASH = 64
MAX_DIMENSIONS = 64


class EncodingError(ValueError):
    """What the candidate's process sent is not an encoded value."""


def decode(text: str | bytes) -> Any:
    """The value that the text stands for.

    Raises:
        EncodingError: the text is no encoded value, or one over the caps.
    """
    if len(text) > 2 * MAX_BYTES:
        raise EncodingError(f"the message is longer than {2 * MAX_BYTES}")
    try:
        return from_json(json.loads(text, parse_float=_no_float, parse_constant=_no_float))
    except (ValueError, RecursionError) as error:
        raise EncodingError(str(error)[:200]) from None


def from_json(tree: Any) -> Any:
    """The value of parsed JSON; raises as `decode`."""
    return values_from_json([tree])[0]


def values_from_json(trees: list[Any]) -> list[Any]:
    """Several values that will meet in one comparison, under caps for all together."""
    decoder = _Decoder()
    return [_value(decoder, tree) for tree in trees]


def _value(decoder: _Decoder, tree: Any) -> Any:
    try:
        return decoder.value(tree, 0)
    except EncodingError:
        raise
    except OpaqueValueError:
        return Opaque("container of objects")
    except (TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise EncodingError(str(error)[:200]) from None


def _no_float(text: str) -> NoReturn:
    raise EncodingError(f"a bare float {text[:20]}")


class _Decoder:
    """Decodes values, and keeps count of what could make comparing them slow."""

    def __init__(self) -> None:
        self._nodes = 0
        self._range_items = 0
        self._fraction_bits = 0
        self._by_hash: dict[int, list[Any]] = {}

    def value(self, tree: Any, depth: int) -> Any:
        self._nodes += 1
        if depth > MAX_DEPTH + 1 or self._nodes > 2 * MAX_NODES:
            raise EncodingError("the value is too deep or has too many parts")
        kind = type(tree)
        if kind in _PLAIN:
            return tree
        if kind is int:
            return tree if -_PLAIN_INT < tree < _PLAIN_INT else self._counted(_sized(tree))
        if kind is not list or not tree or type(tree[0]) is not str:
            raise EncodingError("neither a plain value nor a tagged list")
        return self._tagged(tree[0], tree[1:], depth + 1)

    def _tagged(self, tag: str, parts: list[Any], depth: int) -> Any:
        if tag in _TEXTS:
            return self._counted(_TEXTS[tag](_only_text(parts)))
        if tag not in _PARTS:
            raise EncodingError(f"an unknown tag {tag[:20]!r}")
        value = _PARTS[tag]([self.value(part, depth) for part in parts])
        return value if tag in _UNCOUNTED else self._counted(value)

    def _counted(self, value: Any) -> Any:
        if isinstance(value, range):
            self._range_items += len(value)
        elif isinstance(value, Fraction):
            self._fraction_bits += value.denominator.bit_length()
        if self._range_items > MAX_RANGE_ITEMS or self._fraction_bits > MAX_FRACTION_BITS:
            raise EncodingError("too many items of ranges, or bits of fractions, in all")
        if isinstance(value, _CRAFTABLE) or (type(value) is int and value.bit_length() > 60):
            self._count_hash(value)
        return value

    def _count_hash(self, value: Any) -> None:
        """Refuse many different values of one hash: a set of them would take quadratic time."""
        try:
            same = self._by_hash.setdefault(hash(value), [])
        except (TypeError, OpaqueValueError):  # so it will never be in a set
            return
        if value not in same:
            same.append(value)
        if len(same) > MAX_SAME_HASH:
            raise EncodingError(f"more than {MAX_SAME_HASH} values with the same hash")


def _only_text(parts: list[Any]) -> str:
    if len(parts) != 1 or not isinstance(parts[0], str):
        raise EncodingError("a tag that needs one text")
    return parts[0]


def _opaque(parts: list[Any]) -> Opaque:
    match parts:
        case [str(type_name), bool() | None as truth]:
            return Opaque(type_name, truth)
    raise EncodingError("not an opaque value")


def _sized(number: int) -> int:
    if number.bit_length() > MAX_INT_BITS:
        raise EncodingError("an integer over the cap")
    return number


def _integer(text: str) -> int:
    if len(text) > MAX_INT_BITS // 4 + 2:
        raise EncodingError("an integer over the cap")
    return _sized(int(text, 16))


def _hashable(items: list[Any]) -> list[Any]:
    """The items, unless so many share a hash that a table of them would take quadratic time."""
    hashes = Counter(map(hash, items))
    if hashes and max(hashes.values()) > MAX_SAME_HASH:
        raise EncodingError(f"more than {MAX_SAME_HASH} items with the same hash")
    return items


def _pairs(parts: list[Any]) -> list[tuple[Any, Any]]:
    if len(parts) % 2:
        raise EncodingError("a key without a value")
    return list(zip(_hashable(parts[::2]), parts[1::2], strict=True))


def _exactly(parts: list[Any], *kinds: type) -> list[Any]:
    if [type(part) for part in parts] != list(kinds):
        raise EncodingError(f"expected {[kind.__name__ for kind in kinds]}")
    return parts


def _range(parts: list[Any]) -> range:
    start, stop, step = _exactly(parts, int, int, int)
    value = range(start, stop, step)
    if max(abs(start), abs(stop), abs(step)) >= 2**62 or len(value) > MAX_RANGE_ITEMS:
        raise EncodingError(f"a range of more than {MAX_RANGE_ITEMS} items")
    return value


def _decimal(parts: list[Any]) -> Decimal:
    sign, digits, exponent = parts
    if not isinstance(digits, str) or len(digits) > MAX_DECIMAL_DIGITS or sign not in (0, 1):
        raise EncodingError("not a decimal number")
    if isinstance(exponent, int) and abs(exponent) > MAX_DECIMAL_DIGITS:
        raise EncodingError("a decimal exponent over the cap")
    return Decimal((sign, tuple(map(int, digits)), exponent))


def _fraction(parts: list[Any]) -> Fraction:
    numerator, denominator = _exactly(parts, int, int)
    if max(numerator.bit_length(), denominator.bit_length()) > MAX_FRACTION_BITS:
        raise EncodingError(f"a fraction of more than {MAX_FRACTION_BITS} bits")
    return Fraction(numerator, denominator)


def _array(parts: list[Any]) -> Array:
    shape = parts[0] if parts else None
    if type(shape) is not tuple or len(shape) > MAX_DIMENSIONS:
        raise EncodingError("an array without a shape")
    if not all(type(length) is int and 0 <= length <= MAX_NODES for length in shape):
        raise EncodingError("an array whose shape is not made of lengths")
    if prod(length or 1 for length in shape) > MAX_NODES:
        raise EncodingError(f"an array of more than {MAX_NODES} parts")
    if not all(isinstance(part, _SCALARS) for part in parts[1:]):
        raise EncodingError("an array of other containers")
    return Array(parts[1:], shape)


def _iterator(parts: list[Any]) -> Iterator[Any]:
    if not parts or not isinstance(parts[0], bool):
        raise EncodingError("an iterator without its flag")
    return _then_refuse(parts[1:]) if parts[0] else iter(parts[1:])


def _then_refuse(items: list[Any]) -> Iterator[Any]:
    yield from items
    raise OpaqueValueError(f"the returned iterator has more than {len(items)} items")


def _complex(parts: list[Any]) -> complex:
    real, imaginary = _exactly(parts, float, float)
    return complex(real, imaginary)


def _items(parts: list[Any]) -> Any:
    _hashable([key for key, _ in parts])
    return dict(parts).items()


def _counter(parts: list[Any]) -> Counter[Any]:
    counter: Counter[Any] = Counter()
    counter.update(dict(_pairs(parts)))
    return counter


_PLAIN = frozenset((type(None), bool, str))
_PLAIN_INT = 1 << 60
_UNCOUNTED = frozenset(("l", "S", "d", "dq", "C", "O", "dd"))
"""Tags of values that have no hash."""
_SCALARS = (
    bool, int, float, complex, str, bytes, type(None), Decimal, Fraction, date, time, timedelta,
    Opaque,
)  # fmt: skip
_CRAFTABLE = (tuple, frozenset, Decimal, Fraction, complex)
"""Kinds of which many different values with one hash are easily made, beside large integers."""
_TEXTS: dict[str, Callable[[str], Any]] = {
    "i": _integer,
    "s": lambda text: bytes.fromhex(text).decode("utf-8", "surrogatepass"),
    "f": float.fromhex,
    "b": bytes.fromhex,
    "ba": bytearray.fromhex,
    "dt": datetime.fromisoformat,
    "da": date.fromisoformat,
    "tm": time.fromisoformat,
}

_PARTS: dict[str, Callable[[list[Any]], Any]] = {
    "?": _opaque,
    "c": _complex,
    "l": list,
    "t": tuple,
    "S": lambda parts: set(_hashable(parts)),
    "fs": lambda parts: frozenset(_hashable(parts)),
    "d": lambda parts: dict(_pairs(parts)),
    "dq": deque,
    "C": _counter,
    "O": lambda parts: OrderedDict(_pairs(parts)),
    "dd": lambda parts: defaultdict(None, _pairs(parts)),
    "r": _range,
    "D": _decimal,
    "F": _fraction,
    "nd": _array,
    "td": lambda parts: timedelta(*_exactly(parts, int, int, int)),
    "it": _iterator,
    "dk": lambda parts: dict.fromkeys(_hashable(parts)).keys(),
    "dv": lambda parts: dict(enumerate(parts)).values(),
    "di": _items,
}
