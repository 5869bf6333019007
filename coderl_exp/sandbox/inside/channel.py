"""The child's end of its socket to the judge: one request in, lines of JSON out."""

import marshal
import os
import sys
from _json import encode_basestring_ascii as quote  # as in `encoding`
from typing import Any

from .encoding import encode

CHANNEL_FD = 3
MAX_TEXT = 2000
_SIZE_BYTES = 8


def message(kind: str, *values: object) -> str:
    """`[kind, encoded values...]`."""
    return "[" + ",".join([quote(kind), *map(encode, values)]) + "]"


def described(error: BaseException) -> tuple[str, str]:
    """Type name and last line of the message, though its `__str__` may be the candidate's."""
    name = "MemoryError" if isinstance(error, MemoryError) else type(error).__name__
    try:
        lines = str.__str__(str(error)).strip().splitlines()
        line = lines[-1][:MAX_TEXT] if lines else ""
        line.encode()
    except BaseException:
        line = "(the message cannot be shown)"
    return str(name)[:80], line


def framed(request: Any) -> bytes:
    """What `Channel.read_request` reads."""
    body = marshal.dumps(request)
    return len(body).to_bytes(_SIZE_BYTES, "big") + body


class Channel:
    """Holds on to what it needs before a candidate runs, which may patch anything."""

    def __init__(self, fd: int = CHANNEL_FD) -> None:
        self._fd = fd
        self._write, self._read, self._exit = os.write, os.read, os._exit

    def read_request(self) -> Any:
        """What the judge wants, as marshalled data; the judge is trusted."""
        size = int.from_bytes(self._read_exactly(_SIZE_BYTES), "big")
        return marshal.loads(self._read_exactly(size))

    def _read_exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._read(self._fd, size - len(data))
            if not part:
                self._exit(0)  # the judge is gone, or wants no more
            data += part
        return data

    def send(self, text: str) -> None:
        """Write one line."""
        data = text.encode() + b"\n"
        while data:
            data = data[self._write(self._fd, data) :]

    def reply(self) -> bytes:
        """The judge's one-byte answer; ends the process when the judge wants no more."""
        answer = self._read(self._fd, 1)
        if not answer:
            self._exit(0)
        return answer


class Flusher:
    """Flushes Python's own streams, so that what was printed is known before a result is."""

    def __init__(self) -> None:
        self._flush = (sys.stdout.flush, sys.stderr.flush)

    def __call__(self) -> None:
        for flush in self._flush:
            try:
                flush()
            except BaseException:  # the candidate has closed or broken it
                continue
