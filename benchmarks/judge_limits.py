"""What this machine allows: the candidates with no isolation at all, and a fork that does nothing.

No judge with a process per candidate is faster than the second; none at all than the first.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from benchmarks.truth import (
    ERROR,
    PASSED,
    SYNTAX,
    TIMEOUT,
    WRONG,
    asserts_of,
    imports_of,
    prints_expected,
    runs_of,
)
from coderl_exp.records import Program, StdinTest
from coderl_exp.sandbox.inside.start import USUAL_MODULES

_FORKS = """
import gc, os, sys, time, {modules}
number, ready = int(sys.argv[1]), sys.stdin.read(1)
gc.freeze()
began = time.perf_counter()
for _ in range(number):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
print(time.perf_counter() - began)
"""


class TimeLimitError(BaseException):
    """The alarm rang; not an `Exception`, so that a bare-bones candidate does not catch it."""


def run_unisolated(
    programs: Sequence[Program], *, timeout_s: float, workers: int
) -> tuple[list[str], float]:
    """Statuses, and the seconds of the slowest of `workers` processes; one alarm per candidate."""
    context = multiprocessing.get_context("fork")
    slices = [(programs[start::workers], timeout_s) for start in range(workers)]
    with context.Pool(workers) as pool:
        parts = pool.starmap(_run_slice, slices, chunksize=1)
    statuses = [""] * len(programs)
    for start, (part, _) in enumerate(parts):
        statuses[start::workers] = part
    return statuses, max(seconds for _, seconds in parts)


def bare_forks(number: int, *, workers: int) -> float:
    """Seconds for that many forks that exit at once, spread over `workers` warm processes."""
    script = _FORKS.format(modules=", ".join(USUAL_MODULES))
    command = [sys.executable, "-I", "-S", "-c", script, str(number // workers)]
    warm = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(workers)
    ]
    time.sleep(0.3)  # until all have imported their modules
    seconds = [float(process.communicate("g")[0]) for process in warm]
    return max(seconds)


def run_asserts(program: Program, timeout_s: float) -> str:
    """Execute a candidate and its asserts right here."""
    namespace: dict[str, object] = {"__name__": "solution"}
    try:
        with alarm(timeout_s):
            try:
                code = compile(program.code or "", "<candidate>", "exec")
            except (SyntaxError, ValueError):
                return SYNTAX
            if program.setup_code:
                exec(imports_of(program.setup_code), namespace)
            exec(code, namespace)
            exec(program.setup_code, namespace)
            return _first_failure(asserts_of(program), namespace)
    except TimeLimitError:
        return TIMEOUT
    except BaseException:
        return ERROR


def _first_failure(tests: Sequence[str], namespace: dict[str, object]) -> str:
    for test in tests:
        try:
            exec(compile(test, "<test>", "exec"), namespace)
        except AssertionError as error:
            trace = error.__traceback__
            at_test = trace is not None and trace.tb_next and trace.tb_next.tb_next is None
            return WRONG if at_test else ERROR
    return PASSED


def run_program(program: Program, timeout_s: float) -> str:
    """Execute a whole program right here, once for each of its runs, on real descriptors."""
    try:
        code = compile(program.code or "", "<candidate>", "exec")
    except (SyntaxError, ValueError):
        return SYNTAX
    for run in runs_of(program):
        status, printed = _run_once(code, run, timeout_s)
        if status == PASSED and not prints_expected(printed, run, program):
            status = WRONG
        if status != PASSED:
            return status
    return PASSED


def _run_once(code: object, run: StdinTest, timeout_s: float) -> tuple[str, bytes]:
    """How it ended, and what it printed."""
    status = PASSED
    with standard_streams(run.stdin) as printed:
        try:
            with alarm(timeout_s):
                exec(code, {"__name__": "__main__"})  # type: ignore[arg-type]
            sys.stdout.flush()
        except TimeLimitError:
            status = TIMEOUT
        except SystemExit as error:
            status = PASSED if error.code in (None, 0) else ERROR
        except BaseException:
            status = ERROR
    return status, printed.getvalue()


@contextmanager
def standard_streams(given: str) -> Iterator[io.BytesIO]:
    """Descriptors 0 and 1 over memory; what came out is known after leaving."""
    output = io.BytesIO()
    source, sink = os.memfd_create("stdin"), os.memfd_create("stdout")
    os.write(source, given.encode())
    os.lseek(source, 0, os.SEEK_SET)
    saved = (os.dup(0), os.dup(1), sys.stdin, sys.stdout)
    os.dup2(source, 0)
    os.dup2(sink, 1)
    sys.stdin = os.fdopen(0, "r", closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    try:
        yield output
    finally:
        with suppress(Exception):
            sys.stdout.flush()
        sys.stdin, sys.stdout = saved[2:]
        os.dup2(saved[0], 0)
        os.dup2(saved[1], 1)
        output.write(os.pread(sink, os.fstat(sink).st_size, 0))
        for descriptor in (source, sink, *saved[:2]):
            os.close(descriptor)


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise `TimeLimitError` within when that much time has passed. Main thread only."""
    signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _ring(_number: int, _frame: FrameType | None) -> None:
    raise TimeLimitError


def _run_slice(programs: Sequence[Program], timeout_s: float) -> tuple[list[str], float]:
    sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    began = time.perf_counter()
    statuses = [
        (run_program if program.entry_point is None else run_asserts)(program, timeout_s)
        for program in programs
    ]
    return statuses, time.perf_counter() - began
