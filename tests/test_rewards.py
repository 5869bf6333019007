"""Rewards: what a verdict is worth, what is logged, and that a failing judge is never a verdict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from coderl_exp.config import GRPOMethodConfig, RewardKind
from coderl_exp.errors import ConfigError, SandboxError
from coderl_exp.method_schemas import RewardConfig
from coderl_exp.records import Problem, Program, Verdict, VerdictStatus
from coderl_exp.rewards import Rewards, Rollout, metrics_of, reward_of, split_tests
from coderl_exp.sandbox import IsolationReport, make_judge
from tests.conftest import make_problem, sandbox_config
from tests.test_conf import composed

PROBLEM = make_problem()
RIGHT = "```python\ndef double(x):\n    return 2 * x\n```"
HALF = "```python\ndef double(x):\n    return 4 if x == 2 else 0\n```"
WRONG = "```python\ndef double(x):\n    return x\n```"


def config(**changes: Any) -> RewardConfig:
    values: dict[str, Any] = {
        "kind": RewardKind.binary,
        "grades": {"passed": 1.0, "wrong_answer": 0.2},
        "correctness_weight": 1.0,
        "length_weight": 0.5,
        "length_start": 0.5,
    }
    return RewardConfig(**{**values, **changes})


class Scripted:
    """A judge that gives verdicts in order."""

    def __init__(self, *statuses: str) -> None:
        self._statuses = iter(statuses)
        self.programs: list[Program] = []

    def run(self, programs: Iterable[Program]) -> Iterator[Verdict]:
        for program in programs:
            self.programs.append(program)
            status = VerdictStatus(next(self._statuses))
            yield Verdict(status=status, tests=(status,) * len(program.tests))

    def describe(self) -> IsolationReport:
        return IsolationReport(active=())

    def close(self) -> None: ...


class Log:
    """What TRL would log."""

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}
        self.columns: dict[str, list[Any]] = {}

    def call(self, rewards: Rewards, *completions: str) -> list[list[float | None]]:
        """The values of all functions, called as TRL calls them."""
        arguments = {
            "prompts": [[]] * len(completions),
            "completions": [[{"role": "assistant", "content": text}] for text in completions],
            "completion_ids": [[0] * (10 + i) for i in range(len(completions))],
            "task_id": [PROBLEM.task_id] * len(completions),
            "log_metric": self.metrics.__setitem__,
            "log_extra": self.columns.__setitem__,
            "trainer_state": None,
        }
        return [function(**arguments) for function in rewards.functions()]


def rewards(judge: Any, problem: Problem = PROBLEM, **changes: Any) -> Rewards:
    options = {"num_heldout_tests": 1, "max_sandbox_error_rate": 0.5, **changes}
    reward_config = options.pop("config", config())
    return Rewards(
        judge,
        {problem.task_id: problem},
        {},
        reward_config,
        max_completion_length=20,
        **options,
    )


def verdict(status: str, *tests: str) -> Verdict:
    return Verdict(status=VerdictStatus(status), tests=tuple(map(VerdictStatus, tests)))


def test_real_completions_get_what_their_tests_say() -> None:
    judge = make_judge(sandbox_config(fraction=True))
    log = Log()
    try:
        kinds = {
            kind: log.call(rewards(judge, config=config(kind=kind)), RIGHT, HALF, WRONG, "no")[0]
            for kind in RewardKind
        }
    finally:
        judge.close()
    assert kinds == {
        RewardKind.binary: [1.0, 1.0, 0.0, 0.0],
        RewardKind.fraction: [1.0, 1.0, 0.5, 0.0],
        RewardKind.graded: [1.0, 1.0, 0.2, 0.0],
    }
    assert log.columns["verdict"] == ["passed", "passed", "wrong_answer", "no_code"]
    assert log.metrics["heldout_gap"] == pytest.approx(0.25)  # HALF passes only what is rewarded


def test_a_failure_of_the_judge_is_none_for_every_function() -> None:
    judge = Scripted("passed", "sandbox_error", "passed", "passed")
    log = Log()
    correctness, length, heldout = log.call(rewards(judge), RIGHT, RIGHT)
    assert correctness == [1.0, None]
    assert (length[0], length[1]) == (0.0, None)
    assert heldout == [1.0, None]
    assert log.metrics["verdict/sandbox_error"] == 0.5


def test_the_rewards_of_the_others_do_not_change_when_some_cannot_be_judged() -> None:
    statuses = ["passed", "wrong_answer"] * 10
    hit = ["sandbox_error" if i % 5 == 0 else status for i, status in enumerate(statuses)]
    completions = [RIGHT] * 20
    undisturbed = Log().call(rewards(Scripted(*statuses), num_heldout_tests=0), *completions)[0]
    disturbed = Log().call(rewards(Scripted(*hit), num_heldout_tests=0), *completions)[0]
    assert disturbed.count(None) == 4
    pairs = zip(undisturbed, disturbed, strict=True)
    assert all(got == want for want, got in pairs if got is not None)


def test_too_many_failures_of_the_judge_stop_the_training() -> None:
    judge = Scripted(*["sandbox_error"] * 20)
    with pytest.raises(SandboxError, match="4 of 4 completions could not be judged"):
        Log().call(rewards(judge, num_heldout_tests=0), RIGHT, RIGHT, RIGHT, RIGHT)


def test_held_out_tests_are_never_part_of_the_rewarded_program() -> None:
    judge = Scripted(*["passed"] * 2)
    made = rewards(judge)
    Log().call(made, RIGHT)
    rewarded, heldout = judge.programs
    assert rewarded.tests == PROBLEM.tests[:2]
    assert heldout.tests == PROBLEM.tests[2:]
    assert made.weights()[2] == 0.0


def test_one_test_always_gives_reward() -> None:
    assert split_tests(PROBLEM, 1) == (PROBLEM.tests[:2], PROBLEM.tests[2:])
    assert split_tests(PROBLEM, 9) == (PROBLEM.tests[:1], PROBLEM.tests[1:])
    assert split_tests(PROBLEM, 0) == (PROBLEM.tests, ())


def test_length_is_penalised_in_the_last_part_only() -> None:
    judge = Scripted(*["passed"] * 24)
    values = Log().call(rewards(judge, num_heldout_tests=0), *[RIGHT] * 12)[1]
    assert values[0] == 0.0  # 10 of 20 tokens
    assert values[5] == pytest.approx(-0.5)  # 15
    assert values[10] == values[11] == -1.0  # 20, 21


def test_a_status_that_is_not_listed_is_worth_nothing() -> None:
    graded = config(kind=RewardKind.graded)
    assert reward_of(verdict("timeout", "timeout"), graded) == 0.0
    assert reward_of(verdict("wrong_answer", "wrong_answer"), graded) == 0.2


def test_shares_of_verdicts_add_up() -> None:
    rollouts = [
        Rollout(verdict=verdict(status, status), heldout=None, is_hardcoded=status == "passed")
        for status in ("passed", "timeout", "timeout", "no_code")
    ]
    metrics = metrics_of(rollouts)
    shares = {name: value for name, value in metrics.items() if name.startswith("verdict/")}
    assert sum(shares.values()) == 1.0
    assert (metrics["verdict/timeout"], metrics["hardcoded"]) == (0.5, 0.25)
    assert "heldout_gap" not in metrics


def test_groups_must_fill_the_batch() -> None:
    method = composed("method=grpo").method
    assert isinstance(method, GRPOMethodConfig)
    method.check_groups(num_processes=1)
    uneven = composed("method=grpo", "method.num_generations=5").method
    assert isinstance(uneven, GRPOMethodConfig)
    with pytest.raises(ConfigError, match=r"is 16, but must be a multiple of .*=5"):
        uneven.check_groups(num_processes=1)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("method.loss_type=dapoo", "choose from grpo, bnpo"),
        ("method.pass_rate_range=[0.9,0.1]", "give \\[lowest, highest\\]"),
        ("method.num_generations=1", "method.num_generations is 1"),
        ("+method.reward.grades.pased=1", "\\['pased'\\]: choose from passed"),
        ("method.temperature=0", "method.temperature is 0"),
    ],
)
def test_impossible_options_are_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        composed("method=grpo", override)
