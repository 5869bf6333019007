"""The tests of TACO and APPS, pairs of `inputs` and `outputs`, as asserts or as runs of a program.

Without `fn_name` each pair is a run of a whole program; with it, a call with the input as
arguments. What a pair means is not always plain: see `readings`.
"""

from __future__ import annotations

import json
import keyword
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coderl_exp.errors import DataError
from coderl_exp.json_rows import Row
from coderl_exp.records import StdinTest

_ABOUT = "~ "
"""Begins an expected number, or a list of some, that a result only has to be close to."""
_TOLERANCES = "rel_tol=1e-06, abs_tol=1e-06"


@dataclass(frozen=True, kw_only=True)
class InputOutput:
    """The content of a row's `input_output`."""

    where: str
    pairs: tuple[tuple[Any, Any], ...]
    function: str | None
    """Its `fn_name`; None for a program judged by what it prints."""
    in_class: bool
    """The function is a method of `class Solution`, as the row's starter code says."""

    @property
    def entry_point(self) -> str | None:
        return "Solution" if self.function and self.in_class else self.function

    def runs(self) -> tuple[StdinTest, ...]:
        """The pairs as runs of a program.

        Raises:
            DataError: an input or an output is neither a text nor a list of lines.
        """
        return tuple(
            StdinTest(stdin=_text(given, self.where), stdout=_text(out, self.where))
            for given, out in self.pairs
        )

    def calls(self) -> tuple[str, ...]:
        """The pairs as asserts, taken as they stand.

        Raises:
            DataError: an input is no list of arguments, or a value has no literal.
        """
        return self._asserts([f"== {self._literal(out)}" for _, out in self.pairs])

    def readings(self) -> tuple[tuple[str, ...], ...]:
        """All that the pairs may mean as asserts, of which reference solutions take one.

        Numbers that are not whole need not agree to the last bit. Then: a list that stands for a
        tuple, which JSON does not have; a list that is only put around the expected value.

        Raises:
            DataError: see `calls`.
        """
        outputs = [out for _, out in self.pairs]
        meant = [outputs]
        if all(isinstance(out, list) and len(out) == 1 for out in outputs):
            meant.append([out[0] for out in outputs])
        found = [self._asserts(ends) for values in meant for ends in self._endings(values)]
        return tuple(dict.fromkeys(found))

    def _asserts(self, endings: Sequence[str]) -> tuple[str, ...]:
        pairs = zip(self.pairs, endings, strict=True)
        return tuple(self._assert(given, ending) for (given, _), ending in pairs)

    def _endings(self, values: Sequence[Any]) -> Iterator[list[str]]:
        if any(_has_floats(value) for value in values):
            yield [
                f"{_ABOUT if _are_numbers(value) else '== '}{self._literal(value)}"
                for value in values
            ]
        yield [f"== {self._literal(value)}" for value in values]
        if any(isinstance(value, list) for value in values):
            yield [f"in ({', '.join(_as_lists_or_tuples(value))},)" for value in values]

    def _assert(self, arguments: Any, ending: str) -> str:
        if not isinstance(arguments, list):
            shown = repr(arguments)[:80]
            raise DataError(
                f"{self.where}: the input {shown} of {self.function} is no list of arguments."
            )
        called = f"Solution().{self.function}" if self.in_class else self.function
        call = f"{called}({', '.join(map(self._literal, arguments))})"
        if ending.startswith(_ABOUT):
            return f"assert {close(call, ending.removeprefix(_ABOUT), _TOLERANCES)}"
        return f"assert {call} {ending}"

    def _literal(self, value: Any) -> str:
        try:
            return _literal(value)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{self.where}: a test of {self.function} cannot be written: {error}."
            ) from None


def read_input_output(row: Row, where: str) -> InputOutput:
    """Parse a row's `input_output`, an object or its JSON text.

    Raises:
        DataError: it has no pairs of inputs and outputs, or a `fn_name` that is no name.
    """
    content = _content(row, where)
    inputs, outputs = content.get("inputs"), content.get("outputs")
    if not isinstance(inputs, list) or not isinstance(outputs, list) or not inputs:
        raise DataError(f"{where}: its input_output needs two lists, inputs and outputs.")
    if len(inputs) != len(outputs):
        raise DataError(f"{where} has {len(inputs)} inputs, but {len(outputs)} outputs.")
    starter = str(row.columns.get("starter_code") or "")
    return InputOutput(
        where=where,
        pairs=tuple(zip(inputs, outputs, strict=True)),
        function=_function_name(content, where),
        in_class=re.search(r"^class Solution\b", starter, re.M) is not None,
    )


def close(result: str, expected: str, tolerances: str) -> str:
    """Source of a comparison of two numbers, or of two sequences of numbers."""
    if expected[0] not in "[(":
        return f"math.isclose({result}, {expected}, {tolerances})"
    pairs = f"itertools.zip_longest({result}, {expected}, fillvalue=math.nan)"
    return f"all(math.isclose(a, b, {tolerances}) for a, b in {pairs})"


def _are_numbers(value: Any) -> bool:
    """A number, or a list of numbers, perhaps none."""
    return all(isinstance(n, int | float) for n in (value if isinstance(value, list) else [value]))


def _has_floats(value: Any) -> bool:
    """A float, or a list of numbers of which one is a float."""
    numbers = value if isinstance(value, list) else [value]
    return _are_numbers(value) and any(isinstance(n, float) for n in numbers)


def _content(row: Row, where: str) -> Mapping[str, Any]:
    source = row.column("input_output", str, dict)
    try:
        content = json.loads(source) if isinstance(source, str) else source
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: its input_output is not JSON ({str(error)[:100]}).") from None
    if not isinstance(content, dict):
        raise DataError(f"{where}: its input_output is no object with inputs and outputs.")
    return content


def _function_name(content: Mapping[str, Any], where: str) -> str | None:
    name = content.get("fn_name")
    if not name:
        return None
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise DataError(f"{where}: its fn_name {str(name)[:80]!r} is no name of a function.")
    return unicodedata.normalize("NFKC", name)  # as Python's parser does


def _text(value: Any, where: str) -> str:
    """A text as it stands, or lines, each with its end."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
        shown = repr(value)[:80]
        raise DataError(f"{where}: {shown} is neither a text nor a list of lines.")
    return "".join(line if line.endswith("\n") else line + "\n" for line in value)


def _literal(value: Any) -> str:
    """Python source of a JSON value; infinity has no name there, but a literal that overflows."""
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key!r}: {_literal(part)}' for key, part in value.items())}}}"
    if isinstance(value, float) and math.isnan(value):
        raise ValueError("NaN equals nothing")
    if not isinstance(value, bool | int | float | str | None):
        raise ValueError(f"JSON has no {type(value).__name__}")
    return repr(value).replace("inf", "1e999") if isinstance(value, float) else repr(value)


def _as_lists_or_tuples(value: Any) -> list[str]:
    """A list as itself and as a tuple, each of lists and of tuples where it holds lists."""
    if not isinstance(value, list):
        return [_literal(value)]
    parts = [list(map(_literal, value))]
    if any(isinstance(part, list) for part in value):
        parts.append(
            [
                _tuple(map(_literal, part)) if isinstance(part, list) else _literal(part)
                for part in value
            ]
        )
    return [text for texts in parts for text in (f"[{', '.join(texts)}]", _tuple(texts))]


def _tuple(parts: Iterable[str]) -> str:
    return f"({''.join(f'{part}, ' for part in parts).rstrip(' ')})"
