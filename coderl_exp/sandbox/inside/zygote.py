"""A warm, confined process that forks one child per candidate or batch: `python … -c "…" FD`.

Two processes: the first makes the namespaces and waits, so that the judge has one pid to reap; its
child, the zygote, is the first process of its pid namespace, where it kills what a candidate
leaves behind. Requests and verdicts do not pass through here: the judge hands over the child's end
of a socket of its own, and the zygote only starts, limits, measures and ends children.
"""

# pathlib is slow to import:
# ruff: noqa: PTH110, PTH123

import _signal  # type: ignore[import-not-found]
import gc
import json
import marshal
import os
import posix
import random
import select
import signal
import socket
import sys
import time
import warnings
from typing import Any

from . import asserts, batch, confinement, serving, tester, whole
from .channel import CHANNEL_FD, Channel

_RUNNERS = {
    "asserts": asserts.run,
    "batch": batch.run,
    "program": whole.run,
    "serve": serving.run,
    "test": tester.run,
}
USUAL_MODULES = """array bisect calendar cmath collections copy datetime decimal fractions
functools heapq itertools math numbers operator random re statistics string struct typing
dataclasses""".split()  # noqa: SIM905
"""Imported before forking. What is missing here is imported by each candidate that wants it."""

_MAX_MESSAGE = 1 << 17
_REAP_S = 1.0
_SENT_BY_OTHERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_HANDLERS_OF_CHILDREN = (
    (_signal.SIGINT, _signal.default_int_handler),
    (_signal.SIGTERM, _signal.SIG_DFL),
    (_signal.SIGHUP, _signal.SIG_DFL),
)
"""In numbers: the enumerations of `signal` cost a child a tenth of a millisecond."""


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    config = marshal.loads(control.recv(_MAX_MESSAGE))
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


class Zygote:
    """Serves one request after the other until the judge closes the socket."""

    def __init__(self, control: socket.socket, config: Any, confined: Any) -> None:
        confinement.die_with_parent()
        os.setsid()
        for number in _SENT_BY_OTHERS:
            signal.signal(number, signal.SIG_IGN)
        self._control = control
        self._confined = confined
        sys.argv = [""]
        sys.dont_write_bytecode = True
        del sys.path[0]  # our own folder
        sys.path += config["site_packages"]
        warnings.simplefilter("ignore")
        add_exit_builtins()
        os.environ.clear()
        import_usual_modules()
        confined.enter()
        self._can_end_all = os.getpid() == 1
        batch.prepare()
        gc.collect()
        gc.freeze()
        gc.disable()

    def serve(self) -> None:
        self._probe_children()
        self._say({"missing": self._confined.missing})
        while True:
            task, descriptors = self._receive()
            if task["kind"] == "kill":
                continue  # the child had ended already
            for name in task["preload"]:
                preload(name)
            pid = self._fork(task, descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            self._say(self._supervise(pid, task))

    def _probe_children(self) -> None:
        """Let a child that runs nothing say which of its layers are missing."""
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._confined.restrict(cpu_s=10, memory_bytes=1 << 32)
            os.write(write_end, json.dumps(self._confined.missing).encode())
            os._exit(0)
        os.close(write_end)
        self._confined.missing = json.loads(os.read(read_end, _MAX_MESSAGE))
        os.close(read_end)
        os.waitpid(pid, 0)

    def _receive(self) -> tuple[dict[str, Any], list[int]]:
        data, descriptors, _, _ = socket.recv_fds(self._control, _MAX_MESSAGE, 8)
        if not data:
            os._exit(0)
        return marshal.loads(data), descriptors

    def _say(self, answer: dict[str, Any]) -> None:
        self._control.send(json.dumps(answer).encode())

    def _fork(self, task: dict[str, Any], descriptors: list[int]) -> int:
        """Start a child with its channel, standard output and, for some, standard input."""
        pid = os.fork()
        if pid == 0:
            try:
                self._become_child(task, descriptors)
            finally:
                os._exit(1)
        return pid

    def _become_child(self, task: dict[str, Any], descriptors: list[int]) -> None:
        channel, output, *stdin = descriptors
        os.dup2(output, 1)
        os.dup2(output if task["stderr"] else 0, 2)  # 0 is /dev/null so far
        if stdin:
            os.dup2(stdin[0], 0)
        os.dup2(channel, CHANNEL_FD)
        os.closerange(CHANNEL_FD + 1, 256)
        gc.enable()
        for number, handler in _HANDLERS_OF_CHILDREN:
            _signal.signal(number, handler)
        self._confined.restrict(task["cpu_limit_s"], task["memory_bytes"])
        leave = os._exit  # which the candidate may replace
        _RUNNERS[task["kind"]](Channel())
        leave(0)

    def _supervise(self, pid: int, task: dict[str, Any]) -> dict[str, Any]:
        """Wait for the child's end, or bring it about at a limit or at the judge's word."""
        started = time.monotonic()
        cause = self._wait(pid, task["cpu_s"], started + task["wall_s"])
        if cause:
            os.kill(pid, signal.SIGKILL)
        _, status, used = os.wait4(pid, 0)
        self._end_what_is_left()
        return {
            "exit_code": os.waitstatus_to_exitcode(status),
            "cause": cause,
            "cpu_s": used.ru_utime + used.ru_stime,
            "wall_s": time.monotonic() - started,
            "memory_mb": used.ru_maxrss / 1024,
        }

    def _wait(self, pid: int, cpu_s: float, deadline: float) -> str:
        """Why the child must be ended; empty if it has ended by itself."""
        child = os.pidfd_open(pid)
        poll = select.poll()
        poll.register(child, select.POLLIN)
        poll.register(self._control, select.POLLIN)
        cpu_clock = (~pid << 3) | 2  # CPUCLOCK_SCHED of that process, as in clock_getcpuclockid(3)
        num_cpus = os.cpu_count() or 1
        try:
            while True:
                wall_left = deadline - time.monotonic()
                cpu_left = cpu_s - time.clock_gettime(cpu_clock)
                if cpu_left <= 0:
                    return "cpu"
                if wall_left <= 0:
                    return "wall"
                pause = min(wall_left, cpu_left / num_cpus)
                ready = {fd for fd, _ in poll.poll(pause * 1000 + 1)}
                if child in ready:
                    return ""
                if self._control.fileno() in ready:
                    self._receive()
                    return "stopped"
        finally:
            os.close(child)

    def _end_what_is_left(self) -> None:
        """End and reap what the child started, where the kernel let it start processes."""
        limit = time.monotonic() + _REAP_S
        while time.monotonic() < limit:
            if self._can_end_all:
                kill_all()
            else:
                kill_children()
            try:
                os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return


def kill_all() -> None:
    """Every process of the pid namespace but this one, its first."""
    try:
        os.kill(-1, signal.SIGKILL)
    except ProcessLookupError:
        return


def kill_children() -> None:
    """The children of this process, which orphans become, as far as the kernel tells them."""
    path = f"/proc/self/task/{os.getpid()}/children"
    if not os.path.exists(path):
        return
    with open(path) as file:
        for pid in file.read().split():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                continue


def import_usual_modules() -> None:
    """Import them, and seed `random`, so that every child starts from the same state.

    The command line has switched off `os.register_at_fork`, with which `random` would see to it
    that no two children do.
    """
    for name in USUAL_MODULES:
        __import__(name)
    os.register_at_fork = posix.register_at_fork
    random.seed(0)


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
