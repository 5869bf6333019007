"""Rows of a JSON Lines file or of one JSON array, each with the place where it stands.

A file whose first character is `[` is read as one array, any other line by line, in constant
memory. A large array is read element by element too; its rows are then named by their number, not
their line. Not covered: compressed files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import ijson

from coderl_exp.errors import DataError

OnInvalid = Callable[[DataError], None]
"""Told of each row that cannot be used; the row is left out if this does not raise."""

_BLANK = " \t\r\n"
_LARGE_BYTES = 64 * 2**20
"""An array of more is not held in memory as a whole."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One object of a file."""

    where: str
    """`file:line`, for messages."""
    number: int
    """0 for the first row; rows that cannot be used count, blank lines do not."""
    columns: Mapping[str, Any]
    split: str | None = None
    """What the file's name says, or the data; None where it is not known."""

    def column(self, name: str, *kinds: type) -> Any:
        """The value of a column.

        Raises:
            DataError: there is none, or it is of none of the `kinds`.
        """
        wanted = " or ".join(_NAMES[kind] for kind in kinds)
        if name not in self.columns:
            raise DataError(f"{self.where} has no {name!r}, which must be {wanted}.")
        value = self.columns[name]
        if type(value) not in kinds:
            raise DataError(f"{self.where} has {_name(value)} as {name!r}, which must be {wanted}.")
        return value


_NAMES = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


def _name(value: Any) -> str:
    """Files of other forms have values that JSON has not."""
    return _NAMES.get(type(value), f"a {type(value).__name__}")


def read_rows(path: Path, on_invalid: OnInvalid) -> Iterator[Row]:
    """Yield the rows that are objects; blank lines are passed over.

    Raises:
        DataError: the file cannot be read, or is an array that is not valid JSON as a whole.
    """
    with _open(path) as file:
        start = file.read(1024).decode("utf-8-sig", "ignore").lstrip(_BLANK)
        file.seek(0)
        for number, (place, source) in enumerate(_places(path, file, start.startswith("["))):
            where = f"{path}{place}"
            try:
                columns = _parse(source, where)
            except DataError as error:
                on_invalid(error)
            else:
                yield Row(where=where, number=number, columns=columns)


def _open(path: Path) -> BinaryIO:
    if path.exists() and not path.is_file():
        raise DataError(f"{path} is no regular file: give a .jsonl or .json file.")
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): give another file.") from None


def _places(path: Path, file: BinaryIO, is_array: bool) -> Iterator[tuple[str, Any]]:
    """Where each row stands, and the row: the bytes of a line, or the element of an array."""
    if not is_array:
        return ((f":{n}", line) for n, line in enumerate(file, start=1) if line.strip())
    if path.stat().st_size > _LARGE_BYTES:
        return _streamed(path, file)
    return ((f":{line}", element) for line, element in _elements(path, file.read()))


def _streamed(path: Path, file: BinaryIO) -> Iterator[tuple[str, Any]]:
    """The elements of an array that need not fit into memory."""
    # Its faster parser, in C, refuses integers of more than 64 bits.
    parser = ijson.get_backend("python")
    elements = enumerate(parser.items(file, "item", use_float=True))
    number = -1
    try:
        for number, element in elements:
            yield f": row {number}", element
    except (ijson.JSONError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: row {number + 1} is not JSON ({_short(error)}): the array is truncated or "
            "damaged; fetch the file again."
        ) from None


def _elements(path: Path, data: bytes) -> Iterator[tuple[int, Any]]:
    """The elements of an array, and the line on which each begins."""
    text = _decode(data, str(path))
    decoder, line, counted = json.JSONDecoder(), 1, 0
    position = _skip(text, text.index("[") + 1)
    while text[position : position + 1] != "]":
        line, counted = line + text.count("\n", counted, position), position
        try:
            value, end = decoder.raw_decode(text, position)
            position = _after_element(text, end)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{path}:{line} is not JSON ({_short(error)}): the array is truncated or damaged; "
                "fetch the file again."
            ) from None
        yield line, value


def _after_element(text: str, position: int) -> int:
    """Where the next element or the closing bracket is."""
    position = _skip(text, position)
    found = text[position : position + 1]
    if found == ",":
        return _skip(text, position + 1)
    if found != "]" or _skip(text, position + 1) < len(text):
        raise ValueError(f"{text[position : position + 20]!r} follows an element")
    return position


def _skip(text: str, position: int) -> int:
    while text[position : position + 1] in (" ", "\t", "\r", "\n"):
        position += 1
    return position


def _parse(source: Any, where: str) -> Mapping[str, Any]:
    """An object from the bytes of a line, or the element of an array as it is."""
    value = _loads(_decode(source, where), where) if isinstance(source, bytes) else source
    if not isinstance(value, dict):
        raise DataError(f"{where} is {_name(value)}, not an object with columns.")
    return value


def _loads(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{where} is not JSON ({_short(error)}): each line must be one JSON object."
        ) from None


def _decode(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{where} is not UTF-8 text: give a .jsonl or .json file.") from None


def _short(error: Exception) -> str:
    return str(error).partition("\n")[0][:100]
