"""Candidates are judged while others are still being generated."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue

from coderl_exp.config import SandboxConfig
from coderl_exp.errors import SandboxError
from coderl_exp.extraction import code_of
from coderl_exp.records import Candidate, Problem, Program, Verdict, VerdictStatus
from coderl_exp.sandbox import Judge
from coderl_exp.sandbox.calibration import reference_timeouts
from coderl_exp.sandbox.programs import program_for

Name = tuple[str, int]
"""A candidate's task id and index."""
_CLEARLY_OVER = 1.2
"""A program that used so many times its CPU limit was not only slowed down by the generation."""


@dataclass(kw_only=True)
class EarlyVerdicts:
    """What is known before the annotation starts."""

    timeouts: Mapping[str, float] | None = None
    """As of `reference_timeouts`; None where nothing was judged."""
    verdicts: dict[Name, Verdict] = field(default_factory=dict)


class JudgingAhead:
    """Judges, in a thread, the candidates that a generation hands over as it goes on."""

    def __init__(self, problems: Sequence[Problem], config: SandboxConfig) -> None:
        self._problems = {problem.task_id: problem for problem in problems}
        self._config = config
        self._queue: SimpleQueue[Candidate | None] = SimpleQueue()
        self._early = EarlyVerdicts()
        self._error: SandboxError | None = None
        self._is_stopped = False

    @contextmanager
    def following(
        self, make_judge: Callable[[], Judge]
    ) -> Iterator[Callable[[Sequence[Candidate]], None]]:
        """Give candidates to what this yields; on leaving, all of them are judged.

        Raises:
            SandboxError: there can be no judge on this machine.
        """
        thread = threading.Thread(target=self._run, args=(make_judge(),), daemon=True)
        thread.start()
        try:
            yield self._add
        except BaseException:
            self._is_stopped = True
            self._queue.put(None)
            raise  # without waiting: the thread ends when the judge is closed
        self._queue.put(None)
        thread.join()

    def result(self) -> EarlyVerdicts:
        """The verdicts that are final; empty where no generation was followed.

        Raises:
            SandboxError: the judge failed.
        """
        if self._error is not None:
            raise self._error
        return self._early

    def _add(self, candidates: Sequence[Candidate]) -> None:
        for candidate in candidates:
            self._queue.put(candidate)

    def _run(self, judge: Judge) -> None:
        waiting: deque[tuple[Name, float]] = deque()
        try:
            timeouts = reference_timeouts(judge, self._problems.values(), self._config)
            for verdict in judge.run(self._programs(timeouts, waiting)):
                name, limit_s = waiting.popleft()
                if _is_final(verdict, limit_s):
                    self._early.verdicts[name] = verdict
            self._early.timeouts = timeouts
        except SandboxError as error:
            self._error = error

    def _programs(
        self, timeouts: Mapping[str, float], waiting: deque[tuple[Name, float]]
    ) -> Iterator[Program]:
        for candidate in iter(self._queue.get, None):
            if self._is_stopped:
                return
            problem = self._problems[candidate.task_id]
            code = code_of(candidate.completion, problem).code
            limit_s = timeouts.get(problem.task_id)
            name = candidate.task_id, candidate.index
            waiting.append((name, limit_s or self._config.timeout_s))
            yield program_for(problem, code, limit_s)


def _is_final(verdict: Verdict, limit_s: float) -> bool:
    """Not a failure of the judge, nor a timeout that the generation beside it may have caused."""
    if verdict.status is VerdictStatus.timeout:
        return verdict.usage is not None and verdict.usage.cpu_s > _CLEARLY_OVER * limit_s
    return verdict.status is not VerdictStatus.sandbox_error
