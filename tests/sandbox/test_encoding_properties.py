"""The encoding under hostile values on one side and hostile bytes on the other.

Round trips are exact in type, content and order over the whole closed set; whatever else there is
has a named error; and no bytes crash the judge or make a comparison with an unknown value hold.
"""

from __future__ import annotations

import contextlib
import json
import random
import string
import sys
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from coderl_exp.sandbox.children import ChannelError
from coderl_exp.sandbox.comparison import compare
from coderl_exp.sandbox.inside.arrays import Array
from coderl_exp.sandbox.inside.decoding import EncodingError, decode
from coderl_exp.sandbox.inside.encoding import UnencodableValueError, encode
from coderl_exp.sandbox.inside.opaque import Opaque
from coderl_exp.sandbox.messages import Judged, parse_batch_message, parse_message

SECRET = 987654321987654321
EXAMPLES = 150


def without_fold(moment: Any) -> Any:
    """`fold` is not carried: Python's == does not look at it."""
    return moment.replace(fold=0)


ZONES = st.none() | st.integers(-1400, 1400).map(lambda m: timezone(timedelta(minutes=m)))
DECIMALS = st.decimals().filter(lambda number: not number.is_snan())  # those have no hash
TEXTS = st.text(st.characters(codec=None), max_size=8)  # with surrogates
KEYS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | TEXTS
    | st.binary(max_size=9) | DECIMALS | st.fractions() | st.dates() | st.timedeltas()
    | st.datetimes(timezones=ZONES).map(without_fold) | st.times(timezones=ZONES).map(without_fold)
    | st.integers(0, 3).map(lambda exponent: 10 ** (999 * exponent))
    | st.builds(range, st.integers(-9, 9), st.integers(-99, 99), st.integers(1, 3)),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)  # fmt: skip
ARRAYS: st.SearchStrategy[Any] = arrays_of.arrays(
    st.sampled_from([np.dtype(name) for name in ("int64", "float64", "bool", "complex128", "U3")]),
    arrays_of.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3),
    fill=st.nothing(),
)
VALUES = st.recursive(
    KEYS | st.binary(max_size=9).map(bytearray) | st.sets(KEYS, max_size=4) | ARRAYS
    | st.decimals(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple)
        | st.lists(inner, max_size=4).map(deque)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=4).map(OrderedDict)
        | st.dictionaries(KEYS, inner, max_size=4).map(lambda d: defaultdict(list, d))
        | st.dictionaries(KEYS, st.integers(), max_size=4).map(Counter)
        | st.dictionaries(KEYS, inner, max_size=4).map(dict.keys)
        | st.dictionaries(KEYS, inner, max_size=4).map(dict.values)
        | st.dictionaries(KEYS, inner, max_size=4).map(dict.items)
    ),
    max_leaves=10,
)  # fmt: skip


def canonical(value: Any) -> Any:
    """Content and exact types as something that compares by value, nan and -0.0 included."""
    kind = type(value).__name__
    if isinstance(value, Array | np.ndarray):
        return "array", value.shape, canonical(value.tolist())
    if isinstance(value, float):
        return kind, value.hex()
    if isinstance(value, complex):
        return kind, value.real.hex(), value.imag.hex()
    if isinstance(value, Decimal):
        return kind, value.as_tuple()
    if isinstance(value, set | frozenset):
        return kind, frozenset(map(canonical, value))
    if isinstance(value, dict):
        return kind, [(canonical(key), canonical(item)) for key, item in value.items()]
    if isinstance(value, bytearray):
        return kind, bytes(value)
    if isinstance(value, tuple):
        return kind, tuple(map(canonical, value))
    if isinstance(value, list | deque) or kind in ("dict_keys", "dict_values", "dict_items"):
        return kind, list(map(canonical, value))
    return kind, value


@given(VALUES)
@settings(max_examples=EXAMPLES, deadline=None)
def test_every_value_of_the_closed_set_comes_back_exactly(value: Any) -> None:
    assert canonical(decode(encode(value))) == canonical(value)


@given(st.lists(VALUES, max_size=4))
@settings(max_examples=30, deadline=None)
def test_what_iterators_give_comes_back_in_order(values: list[Any]) -> None:
    for iterator in (iter(values), filter(lambda _: True, values), (v for v in values)):
        got = decode(encode(iterator))
        assert isinstance(got, Iterator)
        assert canonical(list(got)) == canonical(values)


def refuse(*_: object, **__: object) -> Any:
    raise RuntimeError("a method of the candidate's was called")


HOSTILE: dict[str, Any] = dict.fromkeys(
    """__eq__ __ne__ __lt__ __gt__ __le__ __ge__ __iter__ __next__ __len__ __bool__ __contains__
    __getitem__ __getattr__ __getattribute__ __str__ __repr__ __format__ __int__ __index__ __float__
    __complex__ __bytes__ __reversed__ __call__ __dir__ __reduce__ __reduce_ex__ __add__ __sizeof__
    keys values items tolist isoformat as_tuple numerator denominator real imag utcoffset tzinfo
    hex encode days seconds microseconds""".split(),  # noqa: SIM905
    refuse,
)
BASES: list[tuple[Any, Any]] = [
    (int, -7), (str, "é\ud800"), (float, -0.0), (complex, 1 - 2j), (bytes, b"\xff"), (list, [1, 2]),
    (bytearray, bytearray(b"x")), (tuple, (1, "x")), (set, {1, 2}), (frozenset, frozenset({3})),
    (dict, {1: 2}), (deque, deque([1, 2])), (Counter, Counter("aab")), (Decimal, Decimal("-0.10")),
    (OrderedDict, OrderedDict([(2, 1), (1, 2)])), (Fraction, Fraction(1, 3)),
    (datetime, datetime(2020, 1, 2, 3)), (time, time(1, 2)), (timedelta, timedelta(-1, 5, 7)),
]  # fmt: skip


def made(base: Any, value: Any, **members: Any) -> Any:
    """The value as an instance of a fresh subclass."""
    kind = type("Liar", (base,), {**members, "__class__": property(lambda _: int)})
    if base in (datetime, time, timedelta):
        return kind(*{
            datetime: (2020, 1, 2, 3), time: (1, 2), timedelta: (-1, 5, 7)
        }[base])  # fmt: skip
    return kind(value.real, value.imag) if base is complex else kind(value)


@pytest.mark.parametrize(("base", "value"), BASES, ids=lambda part: getattr(part, "__name__", ""))
def test_no_method_of_a_subclass_has_a_say(base: Any, value: Any) -> None:
    liar = made(base, value)
    for name, method in HOSTILE.items():
        with contextlib.suppress(TypeError, AttributeError):
            setattr(type(liar), name, method)
    assert canonical(decode(encode(liar))) == canonical(value)
    assert canonical(decode(encode([liar]))) == canonical([value])


class HostileMeta(type):
    """Nothing about a class of this kind can be asked without an error."""

    __eq__ = __hash__ = __getattribute__ = __instancecheck__ = __subclasscheck__ = refuse
    __iter__ = __call__ = __repr__ = __dir__ = refuse


class EqualMeta(type):
    """A class that claims to be every other class."""

    def __eq__(cls, other: object) -> bool:
        return True

    def __hash__(cls) -> int:
        return hash(list)


class LyingName(str):
    __slots__ = ()

    def __str__(self) -> str:
        return refuse()  # type: ignore[no-any-return]

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash("__next__")


class LyingZone(tzinfo):
    utcoffset = dst = tzname = refuse


def hostile_object() -> Any:
    return type("Evil", (), {k: v for k, v in HOSTILE.items() if k != "__next__"})()


def hostile_class_object() -> Any:
    return type.__call__(HostileMeta("Evil", (), {}))


def claims_to_be_an_array() -> Any:
    kind = type("ndarray", (), {"__module__": "numpy", "tolist": refuse, "shape": (1,)})
    return kind()


def claims_a_module_that_is_no_text() -> Any:
    return type("ndarray", (), {"__module__": hostile_object()})()


def without_a_module() -> Any:
    return eval("type('Evil', (), {})()", {})


def an_object_that_only_has_next() -> Any:
    return type("Evil", (), {"__next__": refuse})()


def with_a_name_that_is_no_plain_text() -> Any:
    return type(LyingName("Evil"), (), {LyingName("x"): refuse})()


def a_key_that_changes_what_it_is_in() -> Any:
    table: dict[int, Any] = {1: 2, 3: 4}
    growing: Any = (table.update(dict.fromkeys(range(99))) for _ in range(2))
    table[5] = growing
    return table


def containing_itself(container: Any, add: Callable[[Any, Any], Any]) -> Any:
    add(container, container)
    return container


def nested(kind: Callable[[list[Any]], Any], depth: int = 5000) -> Any:
    value: Any = []
    for _ in range(depth):
        value = kind([value])
    return value


def in_an_array(items: list[Any]) -> Any:
    array = np.empty(1, object)
    array[0] = items
    return array


WEIRD: dict[str, Callable[[], Any]] = {
    "object": object,
    "every method raises": hostile_object,
    "its class raises": hostile_class_object,
    "the class itself": lambda: HostileMeta("Evil", (), {}),
    "its class equals list": lambda: EqualMeta("Evil", (), {})(),
    "claims to be an array": claims_to_be_an_array,
    "module is no text": claims_a_module_that_is_no_text,
    "no module": without_a_module,
    "only __next__": an_object_that_only_has_next,
    "lying name": with_a_name_that_is_no_plain_text,
    "lying zone": lambda: datetime(2020, 1, 1, tzinfo=LyingZone()),
    "changes while it is read": a_key_that_changes_what_it_is_in,
    "list in itself": lambda: containing_itself([], list.append),
    "dict in itself": lambda: containing_itself({}, lambda d, v: d.update(x=v)),
    "deque in itself": lambda: containing_itself(deque(), deque.append),
    "array in itself": lambda: containing_itself(np.empty(1, object), lambda a, v: a.fill(v)),
    "iterator in itself": lambda: containing_itself([], lambda c, _: c.append(iter(c))),
    "deep list": lambda: nested(list),
    "deep tuple": lambda: nested(tuple),
    "deep array": lambda: nested(in_an_array, depth=300),
    "huge int": lambda: 1 << 3_000_000,
    "huge decimal": lambda: Decimal("1E+900000"),
    "long decimal": lambda: Decimal("1" * 20_000),
    "huge fraction": lambda: Fraction(3**40_000, 2**60_000),
    "huge range": lambda: range(10**9),
    "far range": lambda: range(2**70, 2**70 + 2),
    "broken fraction": lambda: object.__new__(Fraction),
    "module": lambda: sys,
    "function": lambda: hostile_object,
    "class": lambda: int,
    "namespace": lambda: types.SimpleNamespace(x=1),
    "long double": lambda: np.longdouble(1),
    "record array": lambda: np.zeros(2, dtype=[("a", int), ("b", object)]),
    "not a time": lambda: np.datetime64("NaT"),
    "memory": lambda: memoryview(b"x"),
    "exception": lambda: ValueError("x"),
    "not implemented": lambda: NotImplemented,
}


@pytest.mark.parametrize("name", WEIRD)
def test_whatever_else_there_is_has_a_named_error_or_is_opaque(name: str) -> None:
    for value in (WEIRD[name](), [1, WEIRD[name]()], {"key": (WEIRD[name](),)}):
        with contextlib.suppress(UnencodableValueError):
            decode(encode(value))


@dataclass(frozen=True)
class Weird:
    """A place in a drawn value for one of the weird ones."""

    name: str


def filled(tree: Any) -> Any:
    if isinstance(tree, Weird):
        return WEIRD[tree.name]()
    return type(tree)(map(filled, tree)) if type(tree) in (list, tuple, deque) else tree


@given(
    st.recursive(
        VALUES | st.sampled_from(sorted(WEIRD)).map(Weird),
        lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(deque),
    )
)
@settings(max_examples=EXAMPLES, deadline=None, report_multiple_bugs=False)
def test_what_was_encoded_can_always_be_decoded(tree: Any) -> None:
    try:
        text = encode(filled(tree))
    except UnencodableValueError:
        return
    decode(text)


@pytest.mark.parametrize(
    "name", ["object", "every method raises", "its class raises", "its class equals list",
             "claims to be an array", "no module", "only __next__", "lying name", "function"],
)  # fmt: skip
def test_objects_are_opaque_whatever_their_class_says(name: str) -> None:
    assert isinstance(decode(encode(WEIRD[name]())), Opaque)


def test_only_an_iterator_raises_its_own_error_as_list_would() -> None:
    def candidate() -> Iterator[int]:
        yield 1
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        encode([candidate()])
    key = type("Key", (), {"__hash__": refuse})
    table: dict[Any, int] = {}
    with pytest.raises(RuntimeError):
        table[key()] = 1
    with pytest.raises(UnencodableValueError, match="cannot be read"):
        encode(datetime(2020, 1, 1, tzinfo=LyingZone()))


def test_equal_caps_on_both_sides_leave_no_value_that_only_one_side_takes() -> None:
    for value in (range(10**6), Decimal("1E+10000"), Fraction(2**19_999, 3), 1 << 999_999):
        assert decode(encode(value)) == value


ATTACKS = [
    "__r0 == {s}", "{s} == __r0", "__r0 == [{s}, {s}]", "set(__r0) == {{{s}}}", "__r0 == '{s}'",
    "abs(__r0 - {s}) < 1e-6", "(__r0 == {s}).all()", "all(__r0 == [{s}, {s}])", "{s} in __r0",
    "sorted(__r0) == [{s}]", "str(__r0) == '{s}'", "__r0 == {{'x': {s}}}", "__r0 == ({s}, None)",
    "math.isclose(__r0, {s}, rel_tol=1e-12)", "not __r0 != {s}", "len(__r0) == {s}",
    "sum(__r0) == {s}", "list(__r0) == [{s}]", "__r0.tolist() == [{s}]",
]  # fmt: skip
SECRETS = [comparison.format(s=SECRET) for comparison in ATTACKS]


def test_the_comparisons_with_a_secret_would_hold_for_the_right_value() -> None:
    right = [SECRET, SECRET, [SECRET] * 2, [SECRET], str(SECRET), float(SECRET), [SECRET]]
    for comparison, value in zip(SECRETS, right, strict=False):
        if not comparison.startswith(("abs", "(__r0")):
            assert compare(comparison, [value]).held, comparison


@given(VALUES)
@settings(max_examples=EXAMPLES, deadline=None)
def test_no_value_equals_a_secret_that_it_does_not_hold(value: Any) -> None:
    got = decode(encode(value))
    assert [comparison for comparison in SECRETS if compare(comparison, [got]).held] == []


SEEDS: list[Any] = [
    None, True, 5, -1, 1.5, "a\ud800", b"\xff", [1, [2, {3: (4,)}]], {1, 2}, 1 << 70, 2j, range(3),
    Decimal("NaN"), Fraction(1, 3), datetime(2020, 1, 1), timedelta(1), Counter("ab"), deque([1]),
    frozenset({(1, 2)}), {"x": 1}.keys(), {"x": 1}.items(), iter([1, 2]), np.zeros((0, 2)),
    np.arange(4).reshape(2, 2), object(), OrderedDict(a=1), defaultdict(int, {2: 3}), time(1, 2),
]  # fmt: skip


def messages() -> list[bytes]:
    """One valid message per kind of value, and the others that a child sends."""
    found = [f'["value",{index % 3},{encode(value)}]' for index, value in enumerate(SEEDS)]
    found += ['["error",0,"ValueError","x"]', '["unreadable",1,"too deep"]']
    found += ['["failed","runtime_error","KeyError","1"]', '["ready",0,["d"]]']
    return [text.encode() for text in found]


TAGS = "i s f b ba ? dt da tm c l t S fs d dq C O dd r nd D F td it dk dv di value".split()  # noqa: SIM905


def mutated(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """The message with one to three small changes."""
    for _ in range(rng.randint(1, 3)):
        at, to = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        middle = rng.choice((
            bytes([rng.randrange(256)]),
            rng.choice(string.printable).encode(),
            data[at:to] * rng.randint(0, 3),
            other[at:to],
            b'"' + rng.choice(TAGS).encode() + b'",',
            str(rng.choice((0, -1, 2**31, 2**63, 10**30))).encode(),
        ))  # fmt: skip
        data = data[:at] + middle + data[min(to, at + rng.randint(0, 6)) :]
    return data


def rebuilt(data: bytes, rng: random.Random) -> bytes:
    """The message with another tag, leaf or child somewhere in its tree."""

    def changed(tree: Any) -> Any:
        if not isinstance(tree, list) or rng.random() < 0.1:
            leaves = [
                tree,
                None,
                True,
                rng.randint(-9, 9),
                10**30,
                "",
                "ff",
                "x",
                [rng.choice(TAGS)],
            ]
            return rng.choice(leaves)
        parts = [tree[0], *(changed(part) if rng.random() < 0.4 else part for part in tree[1:])]
        if rng.random() < 0.3:
            parts[0] = rng.choice(TAGS)
        if rng.random() < 0.2:
            parts.insert(rng.randint(1, len(parts)), rng.choice(parts))
        return parts

    kind, index, *values = json.loads(data)
    return json.dumps([kind, index, *map(changed, values)]).encode()


def hostile_bytes(num: int, seed: int) -> Iterator[bytes]:
    rng = random.Random(seed)
    valid = messages()
    alphabet = '[]",{}0123456789-.eE\\untf ' + "".join(TAGS)
    for _ in range(num // 5):
        yield rng.randbytes(rng.randint(0, 60))
        yield "".join(rng.choices(alphabet, k=rng.randint(1, 60))).encode()
        yield mutated(rng.choice(valid), rng.choice(valid), rng)
        yield mutated(rng.choice(valid), rng.choice(valid), rng)
        yield rebuilt(rng.choice(valid), rng)


def claimed_values(data: bytes) -> list[Any]:
    """What a line of a child's, in either lane, claims that calls have returned.

    Raises:
        ChannelError: it is no message.
    """
    message = parse_message(data)
    values = [*message.values[1:]] if message.kind == "value" else []
    nested = b'["judged",0,125000,125000,12000,"",[' + data + b"]]"
    batch = parse_batch_message(nested)
    assert isinstance(batch, Judged)
    assert [part.kind for part in batch.messages] == [message.kind]
    return values


def test_a_hundred_thousand_hostile_messages_neither_crash_nor_pass() -> None:
    num_read = 0
    for data in hostile_bytes(100_000, seed=1):
        with contextlib.suppress(EncodingError):
            decode(data)
        with contextlib.suppress(ChannelError):
            parse_batch_message(data)
        try:
            values = claimed_values(data)
        except ChannelError:
            continue
        for value in values[:2]:
            num_read += 1
            comparison = SECRETS[num_read % len(SECRETS)]
            assert not compare(comparison, [value]).held, (data, comparison)
    assert num_read > 5_000, "the mutations are so wild that hardly any message is read"


@pytest.mark.parametrize(
    "numbers", ["-1,0,0", "0,-1,0", "0,0,-1", f"{10**400},0,0", "0,1e400,0", "0,null,0", '0,0,"1"']
)
def test_a_cost_that_is_no_number_of_microseconds_is_refused(numbers: str) -> None:
    assert parse_batch_message(b'["judged",0,1,2,3,"",[]]').cpu_s == 1e-6  # type: ignore[union-attr]
    with pytest.raises(ChannelError):
        parse_batch_message(f'["judged",0,{numbers},"",[]]'.encode())
