"""The workers: threads with a zygote each, which take tasks from two queues.

No more than `num_workers` candidates run at once. There are more threads than that: while some wait
for their candidates, the others make the next processes ready, and end and account for the last.
A task for the batch lane waits for a worker that takes up to `MAX_BATCH` of them; one that the
lane sends back, like every other, is judged alone. A verdict at the edge of its time limit is
looked at again while no other worker runs anything.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field, replace
from math import ceil

from coderl_exp.errors import SandboxError
from coderl_exp.records import Verdict, VerdictStatus
from coderl_exp.sandbox.batches import judge_batch
from coderl_exp.sandbox.children import JudgeStoppedError
from coderl_exp.sandbox.lanes import Begun, Turn, Work, judge_alone
from coderl_exp.sandbox.outcome import masked
from coderl_exp.sandbox.trusted import judge_with_tests
from coderl_exp.sandbox.zygotes import Zygote

MAX_BATCH = 256
_THREADS_PER_WORKER = 1.5
"""A candidate of the strict lane runs for about two thirds of the time that it takes."""
_MAX_FAILURES = 5
"""How many zygotes may die on a task before it counts as not judged."""
_MAX_FAILURES_IN_BATCH = 2
_MAX_STARTS = 5
_START_PAUSE_S = 0.2
"""Doubles with each further try to start a zygote."""


class NoZygoteError(SandboxError):
    """No zygote can be started."""


@dataclass(eq=False, kw_only=True)
class Task:
    """A program, where its verdict goes, and how it is to be judged."""

    work: Work
    future: Future[Verdict] = field(default_factory=Future)
    in_batch: bool
    must_be_quiet: bool = False
    """Nothing else may run beside it."""
    num_failures: int = 0


class Pool:
    """Judges tasks on a fixed number of workers, which start with the first task."""

    def __init__(self, num_workers: int, start_zygote: Callable[[], Zygote]) -> None:
        self._num_workers = num_workers
        self._state = _State()
        self._start_zygote = start_zygote
        self._threads: list[threading.Thread] = []
        self._lifecycle = threading.Lock()
        self._finalizer = weakref.finalize(self, self._state.close)

    def submit(self, task: Task) -> None:
        """Queue a task; its future gets the verdict, or is cancelled when the pool is closed."""
        with self._lifecycle:
            if not self._threads:
                self._start()
            with self._state.changed:
                self._state.add(task)

    def _start(self) -> None:
        self._state.is_closed = False
        turn = _Turn(self._state, self._num_workers)
        for number in range(ceil(_THREADS_PER_WORKER * self._num_workers)):
            worker = _Worker(self._state, self._start_zygote, self._num_workers, turn)
            thread = threading.Thread(target=worker.run, name=f"judge-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """End the workers and their zygotes."""
        with self._lifecycle:
            self._state.close()
            for thread in self._threads:
                thread.join()
            self._threads.clear()


class _State:
    """The queues, shared by the workers under one lock."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.is_closed = False
        self._batch: deque[Task] = deque()
        self._alone: deque[Task] = deque()
        self._quiet: deque[Task] = deque()
        self._num_busy = 0
        self._is_quiet = False

    def add(self, *tasks: Task, first: bool = False) -> None:
        """Queue tasks; the lock is held."""
        for task in reversed(tasks) if first else tasks:
            if self.is_closed:
                task.future.cancel()
                continue
            queue = self._batch if task.in_batch else self._alone
            queue = self._quiet if task.must_be_quiet else queue
            (queue.appendleft if first else queue.append)(task)
        self.changed.notify_all()

    def close(self) -> None:
        """Let the workers end; nobody will judge what is queued."""
        with self.changed:
            self.is_closed = True
            for queue in (self._batch, self._alone, self._quiet):
                while queue:
                    queue.popleft().future.cancel()
            self.changed.notify_all()

    def take(self, num_workers: int) -> list[Task]:
        """Wait for work: one task, or several for the batch lane; empty when closed."""
        with self.changed:
            while not (tasks := self._next(num_workers)) and not self.is_closed:
                self.changed.wait()
            if tasks:
                self._num_busy += 1
                self._is_quiet = tasks[0].must_be_quiet
            return tasks

    def _next(self, num_workers: int) -> list[Task]:
        if self._is_quiet or self.is_closed:
            return []
        if self._quiet:
            return [self._quiet.popleft()] if self._num_busy == 0 else []
        if self._alone:
            return [self._alone.popleft()]
        if self._num_busy >= num_workers:  # a batch leaves little to do meanwhile
            return []
        size = min(MAX_BATCH, -(-len(self._batch) // num_workers))
        return [self._batch.popleft() for _ in range(size)]

    def done(self) -> None:
        with self.changed:
            self._num_busy -= 1
            self._is_quiet = False
            self.changed.notify_all()


class _Turn(contextlib.AbstractContextManager[None]):
    """So many at once; none any more once the pool is closed."""

    def __init__(self, state: _State, number: int) -> None:
        self._state = state
        self._free = threading.Semaphore(number)

    def __enter__(self) -> None:
        """Raises: JudgeStoppedError."""
        self._free.acquire()
        if self._state.is_closed:
            self._free.release()
            raise JudgeStoppedError

    def __exit__(self, *_: object) -> None:
        self._free.release()


class _Worker:
    """One thread's loop; it keeps a zygote and replaces it when it has died."""

    def __init__(
        self, state: _State, start_zygote: Callable[[], Zygote], num_workers: int, turn: Turn
    ) -> None:
        self._state = state
        self._turn = turn
        self._start_zygote = start_zygote
        self._num_workers = num_workers
        self._can_start = True
        self._zygote: Zygote | None = None
        self._tests: Zygote | None = None
        """For test processes, which are never children of a zygote that forks candidates."""

    def run(self) -> None:
        while tasks := self._state.take(self._num_workers):
            try:
                self._judge([task for task in tasks if not task.future.cancelled()])
            finally:
                self._state.done()
        self._drop_zygotes()

    def _judge(self, tasks: list[Task]) -> None:
        if not tasks:
            return
        try:
            self._zygote = self._zygote or self._started()
            if tasks[0].in_batch:
                self._judge_batch(self._zygote, tasks)
            else:
                self._judge_alone(self._zygote, tasks[0])
        except JudgeStoppedError:
            self._cancel_stopped(tasks)
            self._queue([task for task in tasks if not task.future.done()])
        except SandboxError as error:
            self._drop_zygotes()
            self._try_again(tasks, error)
        except BaseException as error:  # the caller shall see it, not only this thread
            self._drop_zygotes()
            for task in tasks:
                _set(task, error)

    def _started(self) -> Zygote:
        """A new zygote, after several tries; after one, if the last did not succeed either."""
        pauses = [_START_PAUSE_S * 2**n for n in range(_MAX_STARTS - 1)]
        for pause in [*pauses, None] if self._can_start else [None]:
            try:
                zygote = self._start_zygote()
            except SandboxError as error:
                if pause is None:
                    self._can_start = False
                    raise NoZygoteError(str(error)) from None
                time.sleep(pause)
            else:
                self._can_start = True
                return zygote
        raise AssertionError("the last try returns or raises")

    def _judge_alone(self, zygote: Zygote, task: Task) -> None:
        if task.work.needs_test_process:
            self._tests = self._tests or self._started()
            result = judge_with_tests(zygote, self._tests, task.work, self._turn)
        else:
            result = judge_alone(zygote, task.work, self._turn)
        if result.at_edge and not task.must_be_quiet:
            task.must_be_quiet = True
            self._queue([task])
        else:
            _set(task, result.verdict)

    def _judge_batch(self, zygote: Zygote, tasks: list[Task]) -> None:
        works = [task.work for task in tasks]
        result = judge_batch(zygote, works, self._turn, lambda n, v: _set(tasks[n], v))
        for position in result.strict:
            tasks[position].in_batch = False
            begun = result.begun.get(position, Begun())
            tasks[position].work = replace(tasks[position].work, begun=begun)
        self._queue([t for n, t in enumerate(tasks) if n not in result.verdicts])

    def _cancel_stopped(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            if task.work.is_stopped():
                task.future.cancel()

    def _try_again(self, tasks: Sequence[Task], error: SandboxError) -> None:
        """A failure that is the judge's: the tasks are judged again, in the end each alone."""
        self._cancel_stopped(tasks)
        for task in [task for task in tasks if not task.future.done()]:
            task.num_failures += 1
            task.in_batch = task.in_batch and task.num_failures < _MAX_FAILURES_IN_BATCH
            if task.num_failures >= _MAX_FAILURES or isinstance(error, NoZygoteError):
                tests = (None,) * len(task.work.program.tests)
                status = VerdictStatus.sandbox_error
                _set(task, Verdict(status=status, tests=tests, error=masked(str(error))))
        self._queue([task for task in tasks if not task.future.done()])

    def _queue(self, tasks: Sequence[Task]) -> None:
        with self._state.changed:
            self._state.add(*tasks, first=True)

    def _drop_zygotes(self) -> None:
        for zygote in (self._zygote, self._tests):
            if zygote is not None:
                zygote.close()
        self._zygote = self._tests = None


def _set(task: Task, result: Verdict | BaseException) -> None:
    with contextlib.suppress(InvalidStateError):  # its run was closed meanwhile
        if isinstance(result, Verdict):
            task.future.set_result(result)
        else:
            task.future.set_exception(result)
