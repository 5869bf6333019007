"""Values as text: the closed, type-exact encoding in which a candidate's results come back.

This half runs in the candidate's process: standard library only, nothing heavy imported (a Decimal
can only exist where `decimal` is loaded). `decoding.py` is the other half and trusts nothing that
is written here. It is JSON: null, booleans, small integers and strings stand for themselves, every
other value is `[tag, ...]`.

A subclass is encoded as its base's true content, read by the base type's own methods, so that no
method of the candidate's has a say. What has no encoding is opaque: `["?", type name, truth]`,
where the truth is the object's own word (null: it has none), as good as a returned True or False.
"""

import sys
from _json import encode_basestring_ascii as quote  # `json` itself imports `re`, which is slow
from collections.abc import Callable
from typing import Any

MAX_DEPTH = 100
MAX_NODES = 200_000
MAX_BYTES = 4_000_000
MAX_INT_BITS = 1_000_000
MAX_FRACTION_BITS = 20_000  # reducing takes time that grows with the square of the size
MAX_DECIMAL_DIGITS = 10_000  # and the size of its exponent
MAX_RANGE_ITEMS = 1_000_000
MAX_ITERATOR_ITEMS = 10_000
_CONTAINERS = (list, tuple, dict, set, frozenset)
_type_name = type.__dict__["__name__"].__get__
_type_mro = type.__dict__["__mro__"].__get__
_type_module = type.__dict__["__module__"].__get__
_type_dict = type.__dict__["__dict__"].__get__


class UnencodableValueError(Exception):
    """The value is too deep, too large, contains itself or cannot be read."""


def encode(value: object) -> str:
    """The value as one line of JSON.

    Raises:
        UnencodableValueError: a cap is passed, the value contains itself, or code of the candidate
            that reading it sets off, such as the hash of a key, raises.
        Exception: what an iterator of the candidate raises, as `list` would.
    """
    encoder = _Encoder()
    try:
        return encoder.text(value, 0)
    except (UnencodableValueError, MemoryError):
        raise
    except Exception:
        if encoder.iterating:
            raise
        raise UnencodableValueError("the value cannot be read") from None


class _Encoder:
    def __init__(self) -> None:
        self._nodes = 0
        self._bytes = 0
        self._open: set[int] = set()
        self.iterating = False

    def text(self, value: object, depth: int) -> str:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise UnencodableValueError(f"the value has more than {MAX_NODES} parts")
        if depth > MAX_DEPTH:
            raise UnencodableValueError(f"the value is nested more than {MAX_DEPTH} deep")
        if id(type(value)) in _SCALARS:
            return _ENCODERS[id(type(value))](self, value, depth)
        if id(value) in self._open:
            raise UnencodableValueError("the value contains itself")
        self._open.add(id(value))
        text = self._by_type(value, depth + 1)
        self._open.discard(id(value))
        return text

    def leaf(self, text: str) -> str:
        self._bytes += len(text)
        if self._bytes > MAX_BYTES:
            raise UnencodableValueError(f"the value takes more than {MAX_BYTES} bytes")
        return text

    def tagged(self, tag: str, items: Any, depth: int) -> str:
        return "[" + ",".join([f'"{tag}"', *(self.text(item, depth) for item in items)]) + "]"

    def _by_type(self, value: Any, depth: int) -> str:
        kind = type(value)
        for base in _type_mro(kind):
            encoder = _ENCODERS.get(id(base)) or _lazy_encoder(base)
            if encoder is not None:
                return encoder(self, value, depth)
        if _defines(kind, "__next__") and _defines(kind, "__iter__"):
            return _iterator(self, value, depth)
        return self.leaf(f'["?",{quote(str.__str__(_type_name(kind))[:80])},{_truth(value)}]')


def _truth(value: object) -> str:
    try:
        return "true" if value is NotImplemented or value else "false"
    except Exception:  # whatever its `__bool__` raises
        return "null"


def _defines(kind: Any, method: str) -> bool:
    """Whether a class of the value has the method; names that only look like it are not asked."""
    names = [name for base in _type_mro(kind) for name in _type_dict(base)]
    return any(type(name) is str and name == method for name in names)


Encode = Callable[[_Encoder, Any, int], str]


def _int(encoder: _Encoder, value: Any, _depth: int) -> str:
    number = int.__index__(value)
    bits = number.bit_length()
    if bits > MAX_INT_BITS:
        raise UnencodableValueError(f"the integer has {bits} bits, more than {MAX_INT_BITS}")
    return encoder.leaf(str(number) if bits < 64 else f'["i","{number:x}"]')


def _str(encoder: _Encoder, value: Any, _depth: int) -> str:
    plain = str.__str__(value)
    if len(plain) > MAX_BYTES:
        raise UnencodableValueError(f"the string is longer than {MAX_BYTES}")
    try:
        str.encode(plain, "utf-8")
    except UnicodeEncodeError:  # JSON would join a pair of surrogates into one character
        return encoder.leaf('["s","' + str.encode(plain, "utf-8", "surrogatepass").hex() + '"]')
    return encoder.leaf(quote(plain))


def _float(encoder: _Encoder, value: Any, _depth: int) -> str:
    return encoder.leaf('["f","' + float.hex(value) + '"]')


def _complex(encoder: _Encoder, value: Any, depth: int) -> str:
    parts = complex.__dict__["real"].__get__(value), complex.__dict__["imag"].__get__(value)
    return encoder.tagged("c", parts, depth)


def _bytes(tag: str, base: Any) -> Encode:
    def encode_bytes(encoder: _Encoder, value: Any, _depth: int) -> str:
        if base.__len__(value) * 2 > MAX_BYTES:
            raise UnencodableValueError(f"the bytes are longer than {MAX_BYTES // 2}")
        return encoder.leaf(f'["{tag}","' + base.hex(value) + '"]')

    return encode_bytes


def _sequence(tag: str, base: Any) -> Encode:
    return lambda encoder, value, depth: encoder.tagged(tag, base.__iter__(value), depth)


def _mapping(tag: str, base: Any) -> Encode:
    def encode_mapping(encoder: _Encoder, value: Any, depth: int) -> str:
        pairs = base.items(value)
        return encoder.tagged(tag, (part for pair in pairs for part in pair), depth)

    return encode_mapping


def _range(encoder: _Encoder, value: Any, depth: int) -> str:
    parts = (abs(value.start), abs(value.stop), abs(value.step))
    if max(parts) >= 2**62 or len(value) > MAX_RANGE_ITEMS:
        raise UnencodableValueError(f"the range has more than {MAX_RANGE_ITEMS} items")
    return encoder.tagged("r", (value.start, value.stop, value.step), depth)


def _decimal(base: Any) -> Encode:
    def encode_decimal(encoder: _Encoder, value: Any, depth: int) -> str:
        sign, digits, exponent = base.as_tuple(value)
        size = abs(exponent) if type(exponent) is int else 0
        if max(len(digits), size) > MAX_DECIMAL_DIGITS:
            raise UnencodableValueError(f"the decimal has more than {MAX_DECIMAL_DIGITS} digits")
        return encoder.tagged("D", (sign, "".join(map(str, digits)), exponent), depth)

    return encode_decimal


def _fraction(base: Any) -> Encode:
    def encode_fraction(encoder: _Encoder, value: Any, depth: int) -> str:
        parts = base._numerator.__get__(value), base._denominator.__get__(value)
        if max(int.bit_length(part) for part in parts) > MAX_FRACTION_BITS:
            raise UnencodableValueError(f"the fraction has more than {MAX_FRACTION_BITS} bits")
        return encoder.tagged("F", parts, depth)

    return encode_fraction


def _isoformat(tag: str) -> Callable[[Any], Encode]:
    return lambda base: (
        lambda encoder, value, depth: encoder.tagged(tag, (base.isoformat(value),), depth)
    )


def _timedelta(base: Any) -> Encode:
    def encode_timedelta(encoder: _Encoder, value: Any, depth: int) -> str:
        parts = [getattr(base, name).__get__(value) for name in ("days", "seconds", "microseconds")]
        return encoder.tagged("td", parts, depth)

    return encode_timedelta


def _numpy_array(base: Any) -> Encode:
    """Its shape and its items in one row; without dimensions, the item."""

    def encode_array(encoder: _Encoder, value: Any, depth: int) -> str:
        shape = base.shape.__get__(value)
        size = 1
        for length in shape:
            size *= length or 1  # an empty array still costs time by its other dimensions
        if size > MAX_NODES:
            raise UnencodableValueError(f"the value has more than {MAX_NODES} parts")
        items = base.tolist(value)
        if not shape:
            return encoder.text(items, depth)
        for _ in shape[1:]:
            items = [item for row in items for item in row]
        if any(issubclass(type(item), _CONTAINERS) for item in items):
            raise UnencodableValueError("an array of other containers")
        return encoder.tagged("nd", (shape, *items), depth)

    return encode_array


def _numpy_scalar(base: Any) -> Encode:
    """As Python's own number or text."""

    def encode_scalar(encoder: _Encoder, value: Any, depth: int) -> str:
        plain = base.tolist(value)  # a long double is its own `tolist`
        is_itself = type(plain) is type(value)
        return encoder.leaf('["?","numpy",null]') if is_itself else encoder.text(plain, depth)

    return encode_scalar


def _iterator(encoder: _Encoder, value: Any, depth: int) -> str:
    """The first items, and whether there were more."""
    items: list[Any] = []
    more = False
    encoder.iterating = True
    for item in value:
        more = len(items) == MAX_ITERATOR_ITEMS
        if more:
            break
        items.append(item)
    encoder.iterating = False
    return encoder.tagged("it", (more, *items), depth)


_BY_TYPE: dict[type, Encode] = {
    type(None): lambda _e, _v, _d: "null",
    bool: lambda _e, value, _d: "true" if value is True else "false",
    int: _int,
    str: _str,
    float: _float,
    complex: _complex,
    bytes: _bytes("b", bytes),
    bytearray: _bytes("ba", bytearray),
    list: _sequence("l", list),
    tuple: _sequence("t", tuple),
    set: _sequence("S", set),
    frozenset: _sequence("fs", frozenset),
    dict: _mapping("d", dict),
    range: _range,
    type({}.keys()): lambda encoder, value, depth: encoder.tagged("dk", value, depth),
    type({}.values()): lambda encoder, value, depth: encoder.tagged("dv", value, depth),
    type({}.items()): lambda encoder, value, depth: encoder.tagged("di", value, depth),
}
_ENCODERS = {id(kind): encoder for kind, encoder in _BY_TYPE.items()}
"""By identity: a class of the candidate's may have a hash and an `==` of its own."""
_SCALARS = frozenset(map(id, (type(None), bool, int, float, str)))

_LAZY: dict[tuple[str, str], Callable[[Any], Encode]] = {
    ("collections", "deque"): lambda base: _sequence("dq", base),
    ("collections", "Counter"): lambda _base: _mapping("C", dict),
    ("collections", "OrderedDict"): lambda base: _mapping("O", base),
    ("collections", "defaultdict"): lambda _base: _mapping("dd", dict),
    ("decimal", "Decimal"): _decimal,
    ("fractions", "Fraction"): _fraction,
    ("datetime", "datetime"): _isoformat("dt"),
    ("datetime", "date"): _isoformat("da"),
    ("datetime", "time"): _isoformat("tm"),
    ("datetime", "timedelta"): _timedelta,
    ("numpy", "ndarray"): _numpy_array,
    ("numpy", "generic"): _numpy_scalar,
}


def _lazy_encoder(base: Any) -> Encode | None:
    """The encoder of a type whose module only the candidate may have imported."""
    try:
        key = (_type_module(base), _type_name(base))
    except AttributeError:  # the candidate has deleted it
        return None
    is_known = type(key[0]) is str and type(key[1]) is str and key in _LAZY
    if is_known and getattr(sys.modules.get(key[0]), key[1], None) is base:
        return _LAZY[key](base)
    return None
