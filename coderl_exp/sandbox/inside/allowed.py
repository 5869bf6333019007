"""What a program may name in the batch lane: an allow-list, from which everything else is absent.

The list holds what computes on the program's own data. Nothing on it gives access to a module, a
frame, a namespace or an attribute by a string, changes anything that other programs share, does
input or output, or acts later than it is called.
"""

import ast
import builtins
import collections
import datetime
import decimal
import fractions
import functools
import io
import re
import sys
import types
from importlib.util import find_spec

PLAIN_SYNTAX = (
    ast.Module, ast.Expression, ast.Lambda, ast.Return, ast.Delete, ast.Assign, ast.AugAssign,
    ast.AnnAssign, ast.For, ast.While, ast.If, ast.Raise, ast.Assert, ast.Expr, ast.Pass, ast.Break,
    ast.Continue, ast.NamedExpr, ast.IfExp, ast.Dict, ast.Set, ast.ListComp, ast.SetComp,
    ast.DictComp, ast.GeneratorExp, ast.JoinedStr, ast.Constant, ast.FormattedValue, ast.Subscript,
    ast.Starred, ast.List, ast.Tuple, ast.Slice, ast.comprehension, ast.arguments, ast.BoolOp,
    ast.BinOp, ast.UnaryOp, ast.Compare, *ast.boolop.__subclasses__(),
    *ast.operator.__subclasses__(), *ast.unaryop.__subclasses__(), *ast.cmpop.__subclasses__(),
    *ast.expr_context.__subclasses__(),
)  # fmt: skip
"""Kinds of syntax that name nothing."""
FIELDS = frozenset(
    """annotation args argtypes bases body comparators decorator_list defaults elt elts exc cause
    finalbody format_spec func generators handlers ifs iter items key keys keywords kwarg
    kw_defaults left lower msg operand orelse posonlyargs kwonlyargs right returns slice step target
    targets test type type_params upper value values vararg""".split()  # noqa: SIM905
)
"""Where syntax has parts that are syntax."""
OTHER_FIELDS = frozenset(
    """arg asname attr conversion ctx id is_async kind level module name names op ops simple
    type_comment type_ignores""".split()  # noqa: SIM905
)
"""Where it has names, operators and switches; a kind with yet other fields is never proven."""
_EXCEPTIONS = {
    name: value
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
}
BUILTINS = frozenset(
    """abs all any ascii bin bool bytearray bytes callable chr classmethod complex dict divmod
    enumerate filter float format frozenset hash hex input int isinstance issubclass iter len list
    map max min next object oct ord pow print property range repr reversed round set slice sorted
    staticmethod str sum super tuple type zip exit quit
    None True False Ellipsis NotImplemented""".split()  # noqa: SIM905
) | frozenset(_EXCEPTIONS)
FORBIDDEN_BUILTINS = frozenset(dir(builtins)) - BUILTINS
STREAM_BUILTINS = frozenset(("exit", "input", "print", "quit"))
"""Builtins that use standard input or output, if only to close it."""
STREAM_MODULES = frozenset(("os", "sys"))
"""Modules through which they can be reached; of `os` a stand-in is given."""
ASSIGNABLE = frozenset((("sys", "stdin"), ("sys", "stdout")))
"""Attributes of modules that a program may assign; the lane puts them back."""
CALLED_ONLY = frozenset(("type", "super"))
"""Builtins that only one form of call is allowed of."""

_PUBLIC = {
    name: {attribute for attribute in dir(__import__(name)) if not attribute.startswith("_")}
    for name in ("bisect", "cmath", "heapq", "itertools", "math")
}
_LISTED = {
    name: set(names.split())
    for name, names in {
        "__future__": """annotations division absolute_import print_function unicode_literals
            generators nested_scopes generator_stop with_statement""",
        "array": "array",
        "calendar": "isleap leapdays monthrange weekday",
        "collections": "ChainMap Counter OrderedDict defaultdict deque namedtuple",
        "copy": "copy deepcopy",
        "dataclasses": "dataclass field",
        "datetime": "date datetime time timedelta timezone",
        "decimal": """Decimal ROUND_CEILING ROUND_DOWN ROUND_FLOOR ROUND_HALF_DOWN ROUND_HALF_EVEN
            ROUND_HALF_UP ROUND_UP InvalidOperation""",
        "fractions": "Fraction",
        "functools": "cache cmp_to_key lru_cache partial reduce total_ordering",
        "io": "BytesIO IOBase StringIO",
        "operator": """abs add and_ concat contains countOf eq floordiv ge getitem gt iadd indexOf
            inv invert is_ is_not itemgetter le lshift lt matmul mod mul ne neg not_ or_ pos pow
            rshift sub truediv truth xor""",
        "os": "fstat read write",
        "random": """choice choices gauss randint random randrange sample seed shuffle
            triangular uniform""",
        "re": """A ASCII DOTALL I IGNORECASE M MULTILINE S U UNICODE VERBOSE X compile error escape
            findall finditer fullmatch match search split sub subn""",
        "statistics": """StatisticsError fmean geometric_mean harmonic_mean mean median median_high
            median_low mode multimode pstdev pvariance stdev variance""",
        "string": """ascii_letters ascii_lowercase ascii_uppercase capwords digits hexdigits
            octdigits printable punctuation whitespace""",
        "sys": "exit float_info maxsize maxunicode setrecursionlimit stdin stdout",
        "typing": """Any Callable DefaultDict Deque Dict FrozenSet Generator Iterable Iterator List
            Mapping NoReturn Optional Sequence Set Tuple Union""",
    }.items()
}
MODULES = {name: frozenset(names) for name, names in {**_PUBLIC, **_LISTED}.items()}
"""Module to the names that may be taken from it; a module itself is never a value."""


def is_absent(module: str) -> bool:
    """Whether importing it fails, so that it does not matter what it would be."""
    return _is_absent(module.partition(".")[0])


@functools.lru_cache(maxsize=1024)
def _is_absent(name: str) -> bool:
    return name not in MODULES and name not in sys.modules and find_spec(name) is None


STAR_MODULES = frozenset(_PUBLIC)
"""Modules whose every public name is on the list."""
DECORATORS_ONLY = frozenset((("dataclasses", "dataclass"), ("functools", "total_ordering")))
"""They change the class that they are given, so it must be the one that is being defined."""

ONE_ARGUMENT = frozenset((("copy", "copy"), ("copy", "deepcopy")))
"""They are only called, with one argument: another would be filled with what they meet."""
CACHING_MODULES = frozenset(("re", "typing"))
"""They keep what they are given in tables, so that lying keys would reach other programs."""
BASES = frozenset(
    (
        object, int, float, complex, str, bytes, list, tuple, dict, set, frozenset,
        collections.OrderedDict, collections.defaultdict, collections.deque, io.IOBase,
        *_EXCEPTIONS.values(),
    )
)  # fmt: skip
"""Classes that a program may derive its own from."""
TYPES = BASES | {
    bool, bytearray, range, slice, type(None), type(...), type(NotImplemented), collections.Counter,
    datetime.date, datetime.datetime, datetime.time, datetime.timedelta, decimal.Decimal,
    fractions.Fraction, type(iter([])), type(iter({})), types.GeneratorType, zip, map, filter,
    enumerate, re.Match, re.Pattern,
}  # fmt: skip
"""Classes that `type(x)` may give, beside the program's own."""
_DATA_TYPES: tuple[type, ...] = (
    str, bytes, bytearray, list, tuple, dict, set, frozenset, int, float, complex, range, slice,
    property, collections.Counter, collections.OrderedDict, collections.defaultdict,
    collections.deque, collections.ChainMap, datetime.date, datetime.time, datetime.datetime,
    datetime.timedelta, decimal.Decimal, fractions.Fraction, functools.partial, re.Pattern,
    re.Match, type({}.items()),
)  # fmt: skip
_STREAM_METHODS = """buffer fileno flush getvalue mode read readable readline readlines seek
    seekable st_size tell truncate writable write writelines""".split()  # noqa: SIM905
_UNSAFE_METHODS = frozenset(
    """format format_map groupindex now today utcnow fromtimestamp with_traceback mapping""".split()  # noqa: SIM905
)
_INTROSPECTION = frozenset(
    name
    for kind in (
        types.FunctionType, types.MethodType, types.BuiltinFunctionType, types.CodeType,
        types.FrameType, types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType,
        types.TracebackType, types.ModuleType, types.CellType, type,
    )
    for name in dir(kind)
)  # fmt: skip
_OTHER_METHODS = "from_iterable send args value cache_clear cache_info _asdict _replace".split()  # noqa: SIM905
ATTRIBUTES = (
    frozenset(name for kind in _DATA_TYPES for name in dir(kind) if not name.startswith("_"))
    - _UNSAFE_METHODS
    | frozenset(_STREAM_METHODS)
    | frozenset(_OTHER_METHODS)
)
"""Attributes that may be read of anything: they are data or methods of plain data."""
NEVER_ATTRIBUTES = (_INTROSPECTION | _UNSAFE_METHODS) - ATTRIBUTES
"""Attributes that stay forbidden though a program's own objects may have one of that name."""
SPECIAL_METHODS = frozenset(
    f"__{name}__"
    for name in """abs add and bool call contains delitem divmod eq float floordiv ge getitem gt
    hash iadd imul index init int invert isub iter itruediv le len lshift lt missing mod mul ne neg
    next or pos post_init pow radd repr reversed rfloordiv rmod rmul round rpow rshift rsub rtruediv
    setitem str sub truediv xor""".split()  # noqa: SIM905
)
"""Special methods that a class of the program's may define."""
