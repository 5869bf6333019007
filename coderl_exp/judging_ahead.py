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
from coderl_exp.extraction import extract_code
from coderl_exp.records import Candidate, Problem, Program, Verdict, VerdictStatus
from coderl_exp.sandbox import Judge
from coderl_exp.sandbox.calibration import reference_timeouts
from coderl_exp.sandbox.programs import program_for

Name = tuple[str, int]
"""A candidate's task id and index."""
_JUDGED_AGAIN = (VerdictStatus.timeout, VerdictStatus.sandbox_error)
"""Generation may have been what slowed the machine down."""


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
            raise
        finally:
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
        waiting: deque[Name] = deque()
        try:
            timeouts = reference_timeouts(judge, self._problems.values(), self._config)
            for verdict in judge.run(self._programs(timeouts, waiting)):
                name = waiting.popleft()
                if verdict.status not in _JUDGED_AGAIN:
                    self._early.verdicts[name] = verdict
            self._early.timeouts = timeouts
        except SandboxError as error:
            self._error = error

    def _programs(self, timeouts: Mapping[str, float], waiting: deque[Name]) -> Iterator[Program]:
        for candidate in iter(self._queue.get, None):
            if self._is_stopped:
                return
            problem = self._problems[candidate.task_id]
            code = extract_code(candidate.completion, problem.entry_point).code
            waiting.append((candidate.task_id, candidate.index))
            yield program_for(problem, code, timeouts.get(problem.task_id))
