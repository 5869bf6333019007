"""The local judge: confined processes on this machine, a few at a time."""

from __future__ import annotations

import contextlib
import os
import site
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING

from coderl_exp.errors import SandboxError
from coderl_exp.records import Program, StdinTest, Verdict, VerdictStatus
from coderl_exp.sandbox import IsolationReport
from coderl_exp.sandbox.batches import is_small
from coderl_exp.sandbox.children import Limits
from coderl_exp.sandbox.inside import confinement
from coderl_exp.sandbox.lanes import Work
from coderl_exp.sandbox.pool import MAX_BATCH, Pool, Task
from coderl_exp.sandbox.setup_code import setup_imports
from coderl_exp.sandbox.syscalls import syscall_filters
from coderl_exp.sandbox.trusted import plan_test
from coderl_exp.sandbox.zygotes import Zygote, ZygoteConfig

if TYPE_CHECKING:
    from coderl_exp.config import SandboxConfig

_MAX_REMEMBERED = 1024
"""Recent programs whose verdicts also serve identical ones."""


class LocalJudge:
    """Implements `Judge` on this machine; usable from several threads at once."""

    def __init__(self, config: SandboxConfig) -> None:
        """Raises: SandboxError: `isolation=strict` and this machine lacks a layer that it needs."""
        self._config = config
        self._num_workers = config.num_workers or os.cpu_count() or 1
        self._zygotes = _zygote_config(config.disabled_layers)
        self._spare = [Zygote(self._zygotes)]
        """For the worker that is first to need one."""
        self._finalizer = weakref.finalize(self, _close_all, self._spare)
        self._report = self._detect(self._spare[0].missing)
        self._pool = Pool(self._num_workers, self._start_zygote)

    def describe(self) -> IsolationReport:
        return self._report

    def close(self) -> None:
        self._pool.close()
        _close_all(self._spare)

    def run(self, programs: Iterable[Program]) -> Iterator[Verdict]:
        stopped = threading.Event()
        recent: OrderedDict[Program, Future[Verdict]] = OrderedDict()
        waiting: deque[Future[Verdict]] = deque()
        max_waiting = MAX_BATCH * (self._num_workers + 2)
        try:
            for program in programs:
                if program not in recent:
                    recent[program] = self._submit(program, stopped)
                waiting.append(recent[program])
                if len(recent) > _MAX_REMEMBERED:
                    recent.popitem(last=False)
                while waiting and (waiting[0].done() or len(waiting) >= max_waiting):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except CancelledError:
            raise SandboxError("The judge was closed while it had candidates to judge.") from None
        finally:
            stopped.set()
            for future in waiting:
                future.cancel()

    def _submit(self, program: Program, stopped: threading.Event) -> Future[Verdict]:
        if program.code is None:
            nothing: Future[Verdict] = Future()
            tests = (None,) * len(program.tests)
            nothing.set_result(Verdict(status=VerdictStatus.no_code, tests=tests))
            return nothing
        work = self._work(program, stopped)
        in_batch = self._config.lane.name == "auto" and is_small(work)
        task = Task(work=work, in_batch=in_batch and not work.needs_test_process)
        self._pool.submit(task)
        return task.future

    def _work(self, program: Program, stopped: threading.Event) -> Work:
        cpu_s = program.timeout_s or self._config.timeout_s
        limits = Limits(
            cpu_s=cpu_s,
            wall_s=cpu_s * self._config.wall_timeout_factor + 1,
            memory_mb=self._config.memory_mb,
            max_output_bytes=max(self._config.max_output_bytes, _expected_bytes(program)),
        )
        entry_point, setup_code = program.entry_point, program.setup_code
        splits = (
            tuple(plan_test(str(t), entry_point, setup_code) for t in program.tests)
            if entry_point is not None
            else ()
        )
        return Work(
            program=program,
            splits=splits,
            imports=setup_imports(setup_code),
            limits=limits,
            fraction=self._config.fraction,
            is_stopped=stopped.is_set,
        )

    def _start_zygote(self) -> Zygote:
        with contextlib.suppress(IndexError):
            return self._spare.pop()
        zygote = Zygote(self._zygotes)
        if zygote.missing.keys() - self._report.missing.keys():
            zygote.close()
            raise SandboxError(f"A process could not be confined: {zygote.missing}.")
        return zygote

    def _detect(self, missing: dict[str, str]) -> IsolationReport:
        """Report what a first zygote, which tried to apply every layer, found missing."""
        for layer, reason in missing.items():
            if self._config.isolation.name == "strict" and layer in confinement.REQUIRED_LAYERS:
                _close_all(self._spare)
                raise SandboxError(
                    f"sandbox.isolation is strict, but this machine does not offer the layer "
                    f"{layer!r}: {reason}. It needs {confinement.KERNEL_FEATURES[layer]}; with "
                    "sandbox.isolation=best_effort the judge goes on without it."
                )
        active = tuple(layer for layer in confinement.KERNEL_FEATURES if layer not in missing)
        return IsolationReport(active=active, missing=missing)


def _close_all(zygotes: list[Zygote]) -> None:
    while zygotes:
        zygotes.pop().close()


def _expected_bytes(program: Program) -> int:
    """Twice the longest expected output: room to be wrong in."""
    return max((2 * len(t.stdout) for t in program.tests if isinstance(t, StdinTest)), default=0)


def _zygote_config(disabled_layers: Iterable[str]) -> ZygoteConfig:
    missing = dict.fromkeys(disabled_layers, "switched off")
    try:
        filters = syscall_filters()
    except OSError as error:
        filters = b"", b""
        missing.setdefault("syscalls", str(error))
    return ZygoteConfig(
        missing=missing,
        readable=tuple(confinement.readable_paths()),
        site_packages=tuple(site.getsitepackages()),
        syscall_filters=filters,
    )


__all__ = ["LocalJudge"]
