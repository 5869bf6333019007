"""The judge's end of a zygote: start it, have it fork children, talk to each over its own socket.

A child is only believed about what its calls returned or raised, and what it printed. How it ended
and what it cost comes from its zygote, which never runs a candidate's code.
"""

from __future__ import annotations

import json
import marshal
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coderl_exp.errors import SandboxError
from coderl_exp.sandbox.children import Child, Limits, ZygoteDiedError

_FOLDER = str(Path(__file__).parent)
_START = (
    "import os, sys; sys.path.insert(0, {!r}); os.register_at_fork = lambda **_: None; "
    "from inside.start import main; main()"
)
_INTERPRETER_OPTIONS = ("-S", "-P", "-s", "-X", "utf8", "-c")
_START_S = 60.0
"""How long a zygote may take to start on a busy machine."""
_CLOSE_S = 1.0
"""What a zygote may take to end by itself."""
_MAX_ANSWER = 1 << 17


@dataclass(frozen=True, kw_only=True)
class ZygoteConfig:
    """What every zygote of a judge is started with."""

    missing: dict[str, str]
    """Layers that are off, and why."""
    readable: tuple[str, ...]
    site_packages: tuple[str, ...]
    syscall_filters: tuple[bytes, bytes]
    """Of the zygote, and in addition of each child."""


class Zygote:
    """One zygote process, started when made."""

    def __init__(self, config: ZygoteConfig) -> None:
        """Raises: SandboxError: it did not start."""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._process = self._spawn(theirs.fileno())
            except OSError as error:
                self._control.close()
                raise SandboxError(f"A process cannot be started: {error}.") from None
        try:
            self._greet(config)
        except BaseException:
            self.close()
            raise

    def _spawn(self, control: int) -> subprocess.Popen[bytes]:
        # No preexec_fn: the judge has threads. Not -I, which would ignore PYTHONHASHSEED.
        return subprocess.Popen(
            [
                sys.executable,
                *_INTERPRETER_OPTIONS,
                _START.format(_FOLDER),
                f"{control}",
            ],
            # Every child would look up the functions of shared libraries anew.
            env={"PYTHONHASHSEED": "0", "LD_BIND_NOW": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[control],
            cwd="/",
            start_new_session=True,
        )

    def _greet(self, config: ZygoteConfig) -> None:
        settings = {
            "judge": os.getpid(),
            "missing": config.missing,
            "readable": list(config.readable),
            "site_packages": list(config.site_packages),
            "syscall_filters": config.syscall_filters,
        }
        self._control.settimeout(_START_S)
        try:
            self._control.send(marshal.dumps(settings))
            self.missing: dict[str, str] = json.loads(self._control.recv(_MAX_ANSWER))["missing"]
        except (OSError, ValueError) as error:
            raise ZygoteDiedError(
                f"A zygote did not start: {self._last_words() or error}."
            ) from None
        self._control.setblocking(False)

    def _last_words(self) -> str:
        assert self._process.stderr is not None
        os.set_blocking(self._process.stderr.fileno(), False)
        text = (self._process.stderr.read() or b"").decode(errors="replace").strip()
        return text.splitlines()[-1] if text else ""

    @contextmanager
    def child(
        self,
        kind: str,
        limits: Limits,
        is_stopped: Callable[[], bool],
        *,
        preload: tuple[str, ...] = (),
        stdin: bytes | None = None,
    ) -> Iterator[Child]:
        """A new child, which waits for its request; on leaving, it has ended and is reaped."""
        channel, theirs = socket.socketpair()
        output, output_end = os.pipe()
        descriptors = [theirs.fileno(), output_end]
        if stdin is not None:
            descriptors.append(_read_only_file(stdin))
        child = Child(self._control, channel, output, limits, is_stopped)
        try:
            try:
                self._order(kind, limits, preload, descriptors)
            finally:
                theirs.close()
                for descriptor in descriptors[1:]:
                    os.close(descriptor)
            yield child
            child.finish()
        except BaseException:
            child.stop()
            raise
        finally:
            channel.close()
            os.close(output)

    def _order(
        self, kind: str, limits: Limits, preload: tuple[str, ...], descriptors: list[int]
    ) -> None:
        order = (
            kind,
            kind != "program",
            limits.cpu_s,
            limits.memory_mb * 1024 * 1024,
            preload,
        )
        try:
            socket.send_fds(self._control, [marshal.dumps(order)], descriptors)
        except OSError as error:
            raise ZygoteDiedError(f"A zygote takes no orders: {error}.") from None

    def close(self) -> None:
        """End the zygote and all that it started."""
        self._control.close()  # it ends by itself, and the kernel ends its namespace with it
        try:
            self._process.wait(_CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stderr is not None
        self._process.stderr.close()


def _read_only_file(data: bytes) -> int:
    """A descriptor of an anonymous file, at its start, that cannot be written to."""
    file = os.memfd_create("stdin")
    try:
        with open(file, "wb", closefd=False) as writer:
            writer.write(data)
        return os.open(f"/proc/self/fd/{file}", os.O_RDONLY)
    finally:
        os.close(file)
