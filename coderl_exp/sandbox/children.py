"""The judge's end of one child: its messages and output come in, requests and answers go out.

A child is only believed about what its calls returned or raised, and what it printed. How it ended
and what it cost comes from its zygote, which never runs a candidate's code. It may wait for its
request as long as it takes: its wall time begins with it, and is the judge's to limit.
"""

from __future__ import annotations

import contextlib
import marshal
import math
import os
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from coderl_exp.errors import SandboxError
from coderl_exp.sandbox.inside.answers import CAUSES, ENDED
from coderl_exp.sandbox.inside.channel import framed

_GRACE_S = 10.0
"""What a zygote may take to end a child before it counts as dead."""
_POLL_S = 0.1
_EXIT_S = 0.003
"""What a child that has said everything may take to exit before it is killed."""
_MAX_LINE_BYTES = 10_000_000
_ENDED = struct.Struct(ENDED)
_KILL = marshal.dumps(None)
"""In an order's place."""


class ZygoteDiedError(SandboxError):
    """The zygote ended or stopped answering; what it was doing can be tried on another one."""


class OutputLimitError(Exception):
    """The candidate printed more than the cap."""


class ChannelError(Exception):
    """What came over the channel is no message of ours: the candidate wrote there."""


class JudgeStoppedError(Exception):
    """The iterator of verdicts was closed while the candidate ran."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one child may use."""

    cpu_s: float
    wall_s: float
    memory_mb: int
    max_output_bytes: int


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a child ended, as its zygote measured it."""

    exit_code: int
    """Negative: the signal that ended it."""
    cause: str
    """`cpu` or `wall`: it went over a limit; `stopped` by the judge; empty: it ended by itself."""
    cpu_s: float
    wall_s: float
    memory_mb: float


class Child:
    """A running child: lines and output come in, the request and one-byte answers go out."""

    def __init__(
        self,
        control: socket.socket,
        channel: socket.socket,
        output: int,
        limits: Limits,
        is_stopped: Callable[[], bool],
    ) -> None:
        self.output = bytearray()
        self.ended: Ended | None = None
        self._control, self._channel, self._output = control, channel, output
        self._max_output_bytes = limits.max_output_bytes
        self._is_discarding = False
        self._is_stopped = is_stopped
        self._wall_s = limits.wall_s
        self._began = self._deadline = math.inf
        self._is_killed = False
        self._incoming = bytearray()
        self._outgoing = memoryview(b"")
        channel.setblocking(False)
        os.set_blocking(output, False)
        self._poll = select.poll()
        for descriptor in (control.fileno(), channel.fileno(), output):
            self._poll.register(descriptor, select.POLLIN)
        self._open = {control.fileno(), channel.fileno(), output}

    def request(self, data: Any) -> None:
        """Hand over what it shall do, as marshalled data; goes out while `line` waits.

        With the first request its wall time begins.
        """
        if self._began == math.inf:
            self._began = time.monotonic()
            self._deadline = self._began + self._wall_s
        self._outgoing = memoryview(framed(data))
        self._send_more()

    def answer(self, byte: bytes) -> None:
        """Let it go on; if it has ended, `line` will tell."""
        with contextlib.suppress(OSError):
            self._channel.send(byte)

    @property
    def is_late(self) -> bool:
        """Whether its wall time is over."""
        return time.monotonic() > self._began + self._wall_s

    @property
    def has_line(self) -> bool:
        """Whether `line` returns at once."""
        return b"\n" in self._incoming

    def line(self) -> bytes | None:
        """The next line, or None when the child has ended or closed its channel.

        Raises:
            ChannelError, OutputLimitError, JudgeStoppedError, ZygoteDiedError: see there.
        """
        while (end := self._incoming.find(b"\n")) < 0:
            if self._channel.fileno() not in self._open or not self._receive():
                return None
        line = bytes(self._incoming[:end])
        del self._incoming[: end + 1]
        return line

    def finish(self) -> Ended:
        """Wait for the end, which is brought about if it does not come at once."""
        limit = time.monotonic() + _EXIT_S
        while self.ended is None and time.monotonic() < limit:
            self._receive(_EXIT_S)
        if self.ended is None:
            self.kill()
        while self.ended is None:
            self._receive()
        while self._output in self._open and self._read(self._output):
            continue
        return self.ended

    def wait(self) -> Ended:
        """Wait for the end that the child or its limits bring about."""
        while self.ended is None:
            self._receive()
        return self.finish()

    def kill(self) -> None:
        """Ask the zygote to end the child."""
        if not self._is_killed:
            self._is_killed = True
            self._deadline = time.monotonic() + _GRACE_S
        with contextlib.suppress(OSError):
            self._control.send(_KILL)

    def stop(self) -> None:
        """End the child, so that the zygote can be asked for another.

        Raises:
            ZygoteDiedError: the zygote does not say that it has ended.
        """
        self._is_discarding = True
        self._is_stopped = lambda: False
        self.kill()
        while self.ended is None:
            self._receive()

    def _receive(self, timeout_s: float = _POLL_S) -> bool:
        """Handle what is ready; False when everything the child wrote has been read."""
        if self._is_stopped():
            raise JudgeStoppedError
        left_s = max(0.0, self._deadline - time.monotonic())
        events = self._poll.poll(math.ceil(min(timeout_s, left_s) * 1000))
        ready = [fd for fd, _ in events]
        # Output first: what was printed before a result is then known with the result.
        for descriptor in sorted(ready, key=lambda fd: fd != self._output):
            if descriptor == self._control.fileno():
                self._take_end()
            else:
                self._read(descriptor)
        if self._outgoing:
            self._send_more()
        if self.ended is None and time.monotonic() > self._deadline:
            self._end_late()
        return not (self.ended and ready in ([], [self._control.fileno()]))

    def _end_late(self) -> None:
        if self._is_killed:
            raise ZygoteDiedError("A zygote did not end its child.")
        self.kill()

    def _take_end(self) -> None:
        try:
            code, cause, cpu_s, end, memory_kb = _ENDED.unpack(self._control.recv(_ENDED.size))
            wall_s = max(0.0, end - self._began)
            is_late = wall_s > self._wall_s and CAUSES[cause] != "cpu"
            self.ended = Ended(
                exit_code=code,
                cause="wall" if is_late else CAUSES[cause],
                cpu_s=cpu_s,
                wall_s=wall_s,
                memory_mb=memory_kb / 1024,
            )
        except (OSError, struct.error, IndexError):
            raise ZygoteDiedError("A zygote ended while a candidate ran.") from None
        self._poll.unregister(self._control)

    def _read(self, descriptor: int) -> bool:
        try:
            data = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._poll.unregister(descriptor)
            self._open.discard(descriptor)
        elif self._is_discarding:
            return True
        elif descriptor == self._output:
            self.output += data
            if len(self.output) > self._max_output_bytes:
                raise OutputLimitError
        else:
            self._incoming += data
            if len(self._incoming) > _MAX_LINE_BYTES:
                raise ChannelError("a message over the cap")
        return bool(data)

    def _send_more(self) -> None:
        try:
            self._outgoing = self._outgoing[self._channel.send(self._outgoing) :]
        except BlockingIOError:
            pass
        except OSError:
            self._outgoing = memoryview(b"")
        events = select.POLLIN | (select.POLLOUT if self._outgoing else 0)
        if self._channel.fileno() in self._open:
            self._poll.modify(self._channel, events)
