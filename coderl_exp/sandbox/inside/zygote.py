"""A warm, confined process that forks one child per candidate or batch: `python … -c "…" FD`.

Two processes: the first makes the namespaces and waits, so that the judge has one pid to reap; its
child, the zygote, is the first process of its pid namespace, where it kills what a candidate
leaves behind. Requests and verdicts do not pass through here: the judge hands over the child's end
of a socket of its own, and the zygote only starts, limits, measures and ends children.
"""

# pathlib is slow to import:
# ruff: noqa: PTH110, PTH123

import gc
import json
import marshal
import os
import select
import signal
import socket
import sys
import warnings
from select import POLLIN
from struct import pack
from time import clock_gettime, monotonic
from typing import Any

from . import asserts, batch, child, confinement, serving, tester, whole
from .answers import CAUSES, ENDED
from .channel import Channel
from .memory import fill_gaps
from .rehearsal import rehearse

_RUNNERS = {
    "asserts": asserts.run,
    "batch": batch.run,
    "program": whole.run,
    "serve": serving.run,
    "test": tester.run,
}
_MAX_CONFIG = 1 << 17
_MAX_ORDER = 1 << 12
_MAX_ANCILLARY = socket.CMSG_SPACE(3 * 4)
SIGKILL = int(signal.SIGKILL)
_REAP_S = 1.0
_SENT_BY_OTHERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    control = socket.socket(fileno=moved(int(sys.argv[1]), child.CONTROL_FD))
    config = marshal.loads(control.recv(_MAX_CONFIG))
    confinement.die_with_parent()
    if os.getppid() != config["judge"]:
        os._exit(1)
    confined = confinement.Confinement(
        config["missing"], config["readable"], config["syscall_filters"]
    )
    confined.unshare()
    confinement.die_with_parent()  # a new user namespace resets it
    zygote = os.fork()
    if zygote == 0:
        Zygote(control, config, confined).serve()
        os._exit(0)
    control.close()
    os.waitpid(zygote, 0)


def moved(descriptor: int, place: int) -> int:
    """The place, at which the descriptor is then: the judge's numbers may be any."""
    if descriptor != place:
        os.dup2(descriptor, place)
        os.close(descriptor)
    return place


def ignore_signals() -> None:
    """Only the judge ends a zygote."""
    for number in _SENT_BY_OTHERS:
        signal.signal(number, signal.SIG_IGN)


class Zygote:
    """Serves one request after the other until the judge closes the socket."""

    def __init__(self, control: socket.socket, config: Any, confined: Any) -> None:
        confinement.die_with_parent()
        os.setsid()
        ignore_signals()
        self._control = control
        self._confined = confined
        sys.argv = [""]
        sys.dont_write_bytecode = True
        del sys.path[0]  # our own folder
        sys.path += config["site_packages"]
        warnings.simplefilter("ignore")
        add_exit_builtins()
        os.environ.clear()
        confined.enter()
        self._can_end_all = os.getpid() == 1
        self._num_cpus = os.cpu_count() or 1
        self._poll = select.poll()
        self._poll.register(control, POLLIN)
        rehearse(confined)
        ignore_signals()
        batch.prepare()
        gc.collect()
        gc.freeze()
        gc.disable()
        fill_gaps()

    def serve(self) -> None:
        self._probe_children()
        self._control.send(json.dumps({"missing": self._confined.missing}).encode())
        while True:
            order, descriptors = self._receive()
            if order is not None:  # else the child that was to be killed had ended already
                self._run_child(order, descriptors)

    def _probe_children(self) -> None:
        """Let a child that runs nothing say which of its layers are missing."""
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._confined.restrict((10, 1 << 32))
            os.write(write_end, json.dumps(self._confined.missing).encode())
            os._exit(0)
        os.close(write_end)
        self._confined.missing = json.loads(os.read(read_end, _MAX_CONFIG))
        os.close(read_end)
        os.waitpid(pid, 0)

    def _receive(self) -> tuple[Any, list[int]]:
        """An order, or None to end the child that runs; and the child's descriptors."""
        data, ancillary, _, _ = self._control.recvmsg(_MAX_ORDER, _MAX_ANCILLARY)
        if not data:
            os._exit(0)
        descriptors = memoryview(ancillary[0][2]).cast("i").tolist() if ancillary else []
        return marshal.loads(data), descriptors

    def _run_child(self, order: tuple[Any, ...], descriptors: list[int]) -> None:
        """Start a child, and tell the judge how it ended."""
        kind, has_stderr, cpu_s, memory_bytes, modules = order
        for name in modules:
            preload(name)
        pid = os.fork()
        if pid == 0:
            leave = os._exit  # which the candidate may replace
            try:
                limits = int(cpu_s) + 2, memory_bytes
                child.become(descriptors, has_stderr, self._confined, limits)
                _RUNNERS[kind](Channel())
                leave(0)
            finally:
                leave(1)
        for descriptor in descriptors:
            os.close(descriptor)
        cause = self._wait(pid, cpu_s)
        if cause:
            os.kill(pid, SIGKILL)
        _, status, used = os.wait4(pid, 0)
        ended = monotonic()
        self._end_what_is_left()
        code = os.waitstatus_to_exitcode(status)
        cpu_used_s = used.ru_utime + used.ru_stime
        self._control.send(pack(ENDED, code, cause, cpu_used_s, ended, used.ru_maxrss))

    def _wait(self, pid: int, cpu_s: float) -> int:
        """Why the child must be ended, of `CAUSES`; 0 if it has ended by itself."""
        pidfd = os.pidfd_open(pid)
        self._poll.register(pidfd, POLLIN)
        try:
            cpu_left = cpu_s
            while not (ready := self._poll.poll(cpu_left / self._num_cpus * 1000 + 1)):
                # CPUCLOCK_SCHED of that process, as in clock_getcpuclockid(3)
                cpu_left = cpu_s - clock_gettime((~pid << 3) | 2)
                if cpu_left <= 0:
                    return CAUSES.index("cpu")
            if len(ready) == 1 and ready[0][0] != pidfd:
                self._receive()
                return CAUSES.index("stopped")
            return 0
        finally:
            self._poll.unregister(pidfd)
            os.close(pidfd)

    def _end_what_is_left(self) -> None:
        """End and reap what the child started, where the kernel let it start processes."""
        limit = 0.0
        while (kill_all if self._can_end_all else kill_children)():
            limit = limit or monotonic() + _REAP_S
            if monotonic() > limit:
                return
            reap()


def kill_all() -> bool:
    """Every process of the pid namespace but this one, its first; whether there was any."""
    try:
        os.kill(-1, SIGKILL)
    except ProcessLookupError:
        return False
    return True


def kill_children() -> bool:
    """The children of this process, which orphans become, as far as the kernel tells them."""
    path = f"/proc/self/task/{os.getpid()}/children"
    if not os.path.exists(path):
        return reap()
    with open(path) as file:
        pids = file.read().split()
    for pid in pids:
        try:
            os.kill(int(pid), SIGKILL)
        except ProcessLookupError:
            continue
    return bool(pids)


def reap() -> bool:
    """Take note of a child's end, if one has ended; whether there are any."""
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def preload(name: str) -> None:
    """Import a heavy module once for all children that will want it."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a process with threads cannot be forked
    try:
        __import__(name)
    except ImportError:
        return
    finally:
        os.environ.clear()
    gc.freeze()


def add_exit_builtins() -> None:
    """`exit` and `quit`, which come with `site`, whose other effects are not wanted."""
    import _sitebuiltins
    import builtins

    for name in ("exit", "quit"):
        setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D"))
