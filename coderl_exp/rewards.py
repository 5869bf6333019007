"""Verdicts as TRL rewards: each batch of completions is judged once, several functions read it.

A completion that could not be judged gets None from every function, so that TRL leaves it out of
its group's baseline.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coderl_exp.errors import SandboxError
from coderl_exp.extraction import code_of
from coderl_exp.hardcoding import hardcodes_tests
from coderl_exp.method_schemas import RewardConfig, RewardKind
from coderl_exp.records import Problem, Program, Verdict, VerdictStatus
from coderl_exp.sandbox import Judge
from coderl_exp.sandbox.programs import Tests, program_for

RewardFunction = Callable[..., list[float | None]]
Completion = Sequence[Mapping[str, str]]
"""The assistant's turn, as TRL hands it over."""
_MIN_FAILURES = 3
"""So many failures of the judge alone never stop a training."""


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """One completion, judged."""

    verdict: Verdict
    """Of the tests that give reward."""
    heldout: Verdict | None
    """Of the tests that do not; None where there are none."""
    is_hardcoded: bool

    @property
    def is_scorable(self) -> bool:
        return self.verdict.status is not VerdictStatus.sandbox_error


class Rewards:
    """The reward functions of one training, and what they log."""

    def __init__(
        self,
        judge: Judge,
        problems: Mapping[str, Problem],
        timeouts: Mapping[str, float],
        config: RewardConfig,
        *,
        num_heldout_tests: int,
        max_completion_length: int,
        max_sandbox_error_rate: float,
    ) -> None:
        self._judge = judge
        self._problems = problems
        self._timeouts = timeouts
        self._config = config
        self._num_heldout_tests = num_heldout_tests
        self._max_completion_length = max_completion_length
        self._max_error_rate = max_sandbox_error_rate
        self._num_judged = self._num_failed = 0
        self._rollouts: list[Rollout] = []

    def functions(self) -> list[RewardFunction]:
        """In the order in which TRL must call them: the first one judges."""
        return [self.correctness, self.length, self.heldout]

    def weights(self) -> list[float]:
        return [self._config.correctness_weight, self._config.length_weight, 0.0]

    def correctness(
        self,
        completions: Sequence[Completion],
        task_id: Sequence[str],
        log_metric: Callable[[str, float], None],
        log_extra: Callable[[str, list[Any]], None],
        **_: Any,
    ) -> list[float | None]:
        """What `method.reward.kind` makes of the verdicts.

        Raises:
            SandboxError: too many completions could not be judged.
        """
        self._rollouts = self._judged([c[0]["content"] for c in completions], task_id)
        for name, value in metrics_of(self._rollouts).items():
            log_metric(name, value)
        log_extra("task_id", list(task_id))
        log_extra("verdict", [rollout.verdict.status.value for rollout in self._rollouts])
        log_extra("error", [rollout.verdict.error for rollout in self._rollouts])
        self._check_failures()
        return [reward_of(rollout.verdict, self._config) for rollout in self._rollouts]

    def length(self, completion_ids: Sequence[Sequence[int]], **_: Any) -> list[float | None]:
        """Between 0 and -1: how far a completion is into the last part of the allowed length."""
        limit, start = self._max_completion_length, self._config.length_start
        overlong = [(len(ids) / limit - start) / (1 - start) for ids in completion_ids]
        return self._where_scorable([-min(1.0, max(0.0, share)) for share in overlong])

    def heldout(self, **_: Any) -> list[float | None]:
        """1 where the held-out tests pass too; logged, never part of the reward."""
        return self._where_scorable([_passes(rollout.heldout) for rollout in self._rollouts])

    def _where_scorable(self, values: Sequence[float | None]) -> list[float | None]:
        pairs = zip(values, self._rollouts, strict=True)
        return [value if rollout.is_scorable else None for value, rollout in pairs]

    def _judged(self, completions: Sequence[str], task_ids: Sequence[str]) -> list[Rollout]:
        problems = [self._problems[task_id] for task_id in task_ids]
        pairs = list(zip(completions, problems, strict=True))
        codes = [code_of(text, problem).code for text, problem in pairs]
        rewarded = [self._program(c, p, False) for c, p in zip(codes, problems, strict=True)]
        heldout = [self._program(c, p, True) for c, p in zip(codes, problems, strict=True)]
        verdicts = list(self._judge.run([*rewarded, *(h for h in heldout if h.tests)]))
        others = iter(verdicts[len(rewarded) :])
        return [
            Rollout(
                verdict=verdict,
                heldout=next(others) if second.tests else None,
                is_hardcoded=code is not None
                and hardcodes_tests(code, _shown(problem), problem.reference),
            )
            for verdict, second, code, problem in zip(
                verdicts[: len(rewarded)], heldout, codes, problems, strict=True
            )
        ]

    def _program(self, code: str | None, problem: Problem, is_heldout: bool) -> Program:
        rewarded, heldout = split_tests(problem, self._num_heldout_tests)
        tests = heldout if is_heldout else rewarded
        return program_for(problem, code, self._timeouts.get(problem.task_id), tests)

    def _check_failures(self) -> None:
        self._num_judged += len(self._rollouts)
        failed = [rollout for rollout in self._rollouts if not rollout.is_scorable]
        self._num_failed += len(failed)
        if failed and self._num_failed > max(
            _MIN_FAILURES, self._max_error_rate * self._num_judged
        ):
            raise SandboxError(
                f"{self._num_failed} of {self._num_judged} completions could not be judged (last: "
                f"{failed[-1].verdict.error}), more than sandbox.max_sandbox_error_rate="
                f"{self._max_error_rate}: free memory or processes on this machine and run the "
                "same command again."
            )


def split_tests(problem: Problem, num_heldout: int) -> tuple[Tests, Tests]:
    """The tests that give reward, at least one, and the held-out ones, which are the last."""
    num_rewarded = max(1, len(problem.tests) - num_heldout)
    return problem.tests[:num_rewarded], problem.tests[num_rewarded:]


def reward_of(verdict: Verdict, config: RewardConfig) -> float | None:
    """A verdict's worth; None: the judge failed, which says nothing about the completion."""
    if verdict.status is VerdictStatus.sandbox_error:
        return None
    match config.kind:
        case RewardKind.binary:
            return float(verdict.passed)
        case RewardKind.fraction:
            passed = sum(status is VerdictStatus.passed for status in verdict.tests)
            return passed / len(verdict.tests)
        case RewardKind.graded:
            return config.grades.get(verdict.status.value, 0.0)


def metrics_of(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """Shares of a batch: of each verdict, of hard-coded tests; and how far rewards mislead.

    `heldout_gap` is the share that passes the rewarded tests minus the share that passes the
    held-out ones, over the completions that were judged on both.
    """
    statuses = Counter(rollout.verdict.status for rollout in rollouts)
    metrics = {
        f"verdict/{status.value}": statuses[status] / len(rollouts) for status in VerdictStatus
    }
    metrics["hardcoded"] = sum(rollout.is_hardcoded for rollout in rollouts) / len(rollouts)
    both = [r for r in rollouts if r.is_scorable and _passes(r.heldout) is not None]
    if both:
        gap = sum(r.verdict.passed - (_passes(r.heldout) or 0.0) for r in both)
        metrics["heldout_gap"] = gap / len(both)
    return metrics


def _passes(verdict: Verdict | None) -> float | None:
    if verdict is None or verdict.status is VerdictStatus.sandbox_error:
        return None
    return float(verdict.passed)


def _shown(problem: Problem) -> tuple[str, ...]:
    shown = problem.tests[: problem.num_visible_tests]
    return tuple(test for test in shown if isinstance(test, str))
