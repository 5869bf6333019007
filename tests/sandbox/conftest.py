"""A judge for the whole folder and a short way to judge one candidate."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psutil
import pytest

from coderl_exp.config import Lane
from coderl_exp.records import Program, Verdict
from coderl_exp.sandbox import Judge, make_judge
from tests.conftest import sandbox_config

JudgeOne = Callable[..., Verdict]


def forked() -> list[psutil.Process]:
    """What zygotes, each the child of a waiting process, have started."""
    waiting = psutil.Process().children()
    zygotes = [zygote for process in waiting for zygote in process.children()]
    return [process for zygote in zygotes for process in zygote.children(recursive=True)]


@pytest.fixture(scope="session", params=["auto", "strict"])
def judge(request: pytest.FixtureRequest) -> Iterator[Judge]:
    judge = make_judge(sandbox_config(lane=Lane[request.param]))
    yield judge
    judge.close()


@pytest.fixture
def make() -> Iterator[Callable[..., Judge]]:
    judges: list[Judge] = []

    def made(**changes: object) -> Judge:
        judges.append(make_judge(sandbox_config(**changes)))
        return judges[-1]

    yield made
    for judge in judges:
        judge.close()


@pytest.fixture
def judge_one(judge: Judge) -> JudgeOne:
    def run(code: str | None, *tests: str, setup_code: str = "", entry_point: str = "f") -> Verdict:
        tests = tests or ("assert f(1) == 2",)
        program = Program(code=code, entry_point=entry_point, tests=tests, setup_code=setup_code)
        return next(judge.run([program]))

    return run
