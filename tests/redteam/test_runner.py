"""The runner notices whatever a weaker judge lets through."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psutil
import pytest

from coderl_exp.records import Program, Verdict, VerdictStatus
from coderl_exp.redteam import RedteamReport, runner
from coderl_exp.redteam.attacks import all_attacks
from coderl_exp.redteam.canaries import Canaries, canary
from coderl_exp.redteam.cases import Attack
from coderl_exp.redteam.processes import adopting_orphans, descendants, left_since
from coderl_exp.sandbox import IsolationReport
from tests.conftest import sandbox_config

BY_NAME = {attack.name: attack for attack in all_attacks()}
EXIT = BY_NAME["os._exit(0) in the function"]
LATER = BY_NAME["right for the first test, gone in the second"]
STORE = BY_NAME["a store through a parameter"]
SECRET_READER = BY_NAME["a file of the user's"]
CONNECTION = BY_NAME["a TCP connection"]
KILLER = BY_NAME["the end of a process outside"]
WRITER = BY_NAME["an existing file, rewritten, cut short and appended to"]
HARMFUL = BY_NAME["fork until nothing is left"]

Answer = Callable[[Program], Verdict]
Judged = Callable[..., RedteamReport]


def verdict(
    program: Program,
    status: VerdictStatus = VerdictStatus.passed,
    first: VerdictStatus | None = None,
    output: str = "",
) -> Verdict:
    tests = ((first or status), *[status] * (len(program.tests) - 1))
    return Verdict(status=status, tests=tests, output=output)


def honest(program: Program) -> Verdict:
    """Right about what is asked here: the hostile programs and the wrong victim fail."""
    hostile = ("os._exit(0)", "return open(", "result + 1")
    is_hostile = any(part in (program.code or "") for part in hostile)
    return verdict(program, VerdictStatus.wrong_answer if is_hostile else VerdictStatus.passed)


class FakeJudge:
    """Gives the answers of a function."""

    def __init__(self, answer: Answer, active: tuple[str, ...]) -> None:
        self._answer = answer
        self._active = active

    def run(self, programs: Iterable[Program]) -> Iterator[Verdict]:
        for program in programs:
            yield self._answer(program)

    def describe(self) -> IsolationReport:
        return IsolationReport(active=self._active)

    def close(self) -> None: ...


@pytest.fixture
def judged_by(monkeypatch: pytest.MonkeyPatch) -> Judged:
    def judge(
        answer: Answer,
        *attacks: Attack,
        active: tuple[str, ...] = ("processes", "limits"),
        without: tuple[str, ...] = (),
    ) -> RedteamReport:
        monkeypatch.setattr(runner, "make_judge", lambda _config: FakeJudge(answer, active))
        config = sandbox_config(disabled_layers=list(without))
        return runner.run_redteam(config, attacks)

    return judge


def breaches(report: RedteamReport) -> list[str]:
    return [b for family in report.families for o in family.outcomes for b in o.breaches]


def test_an_honest_judge_holds(judged_by: Judged) -> None:
    report = judged_by(honest, EXIT, SECRET_READER)
    assert report.held, list(report.failures())
    assert report.summary == "2 attacks, 0 got through; 2 of 2 honest programs judged right"


def test_a_judge_that_passes_everything_is_found_out(judged_by: Judged) -> None:
    report = judged_by(verdict, EXIT, LATER)
    assert breaches(report) == ["passed", "passed"]
    assert not report.held


def test_a_single_test_that_passes_counts_unless_it_was_earned(judged_by: Judged) -> None:
    def first_passes(program: Program) -> Verdict:
        return verdict(program, VerdictStatus.runtime_error, first=VerdictStatus.passed)

    report = judged_by(first_passes, EXIT, LATER)
    assert breaches(report) == ["a test passed: ['passed', 'runtime_error']"]


def test_a_judge_that_fails_everything_fails_the_controls(judged_by: Judged) -> None:
    report = judged_by(lambda p: verdict(p, VerdictStatus.timeout), EXIT)
    assert breaches(report) == []
    assert not report.held
    assert "timeout" in next(report.failures())


def test_a_judge_error_is_a_breach(judged_by: Judged) -> None:
    report = judged_by(lambda p: verdict(p, VerdictStatus.sandbox_error), EXIT)
    assert breaches(report)[0].startswith("the judge failed")


def test_a_judge_that_raises_is_asked_on(judged_by: Judged) -> None:
    def fragile(program: Program) -> Verdict:
        if "_exit" in (program.code or ""):
            raise RuntimeError("broken")
        return honest(program)

    report = judged_by(fragile, EXIT, SECRET_READER)
    assert breaches(report) == ["the judge raised RuntimeError: broken"]
    assert sum(family.num_controls for family in report.families) == 2


def test_a_changed_victim_is_reported(judged_by: Judged) -> None:
    seen: list[str] = []

    def forgetful(program: Program) -> Verdict:
        code = program.code or ""
        seen.append(code)
        if "store(Counter)" in code:
            return verdict(program)
        is_poisoned = any("store(Counter)" in one for one in seen)
        is_right = ("result + 1" in code) == is_poisoned
        return verdict(program, VerdictStatus.passed if is_right else VerdictStatus.wrong_answer)

    report = judged_by(forgetful, STORE)
    assert len(breaches(report)) == 2
    assert breaches(report)[0] == "a victim alone: passed; met: wrong_answer"


def test_a_shown_secret_is_reported(judged_by: Judged) -> None:
    def talkative(program: Program) -> Verdict:
        if "_exit" in (program.code or ""):
            secret = os.environ["CODERL_REDTEAM_TOKEN"]
            return verdict(program, VerdictStatus.runtime_error, output=f"it is {secret}")
        return verdict(program)

    assert breaches(judged_by(talkative, EXIT)) == ["showed a secret"]


def test_a_late_verdict_is_reported(judged_by: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "stall_bound_s", lambda _config: 0.05)

    def slow(program: Program) -> Verdict:
        time.sleep(0.1)
        return honest(program)

    assert breaches(judged_by(slow, EXIT))[0].startswith("took 0.1 s")


def test_without_layers_an_escape_does_not_count_and_a_false_pass_does(judged_by: Judged) -> None:
    report = judged_by(verdict, EXIT, SECRET_READER, CONNECTION, without=("files",))
    assert [o.attack for f in report.families for o in f.outcomes if o.breaches] == [EXIT]


def test_what_would_harm_this_machine_is_not_tried(judged_by: Judged) -> None:
    report = judged_by(verdict, HARMFUL, active=("limits",))
    assert report.families == ()
    assert report.skipped == (HARMFUL,)


def test_canaries_notice_files_connections_and_harm() -> None:
    with Canaries() as canaries:
        attacks = (CONNECTION, KILLER, WRITER)
        values = {attack: canaries.values(attack) for attack in attacks}
        assert canaries.touched() == {}
        values = {attack: canaries.values(attack) for attack in attacks}
        Path("/tmp", values[CONNECTION]["CANARY"]).write_text("x")
        Path(values[WRITER]["TARGET"]).write_text("changed")
        bystander = int(values[KILLER]["BYSTANDER_PID"])
        os.kill(bystander, signal.SIGSTOP)
        os.waitid(os.P_PID, bystander, os.WSTOPPED | os.WNOWAIT)  # on a busy machine it takes time
        port = int(values[CONNECTION]["TCP_PORT"])
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.sendall(values[CONNECTION]["CANARY"].encode())
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(values[CONNECTION]["UNIX_PATH"])
        touched = canaries.touched()
    assert sorted(touched) == sorted(["", *map(canary, attacks)])
    assert len(touched[canary(CONNECTION)]) == 2
    assert not Path("/tmp", values[CONNECTION]["CANARY"]).exists()


def test_orphans_are_found_and_ended() -> None:
    with adopting_orphans():
        before = descendants()
        subprocess.run(["/bin/sh", "-c", "/bin/sleep 48 & :"], check=True)  # someone else's
        subprocess.run(["/bin/sh", "-c", "/bin/sleep 47 & :"], check=True, env={})
        left = left_since(before, 0.1)
        assert list(left.values()) == ["/bin/sleep 47"]
        assert left_since(before, 1.0) == {}
        others = [p for p in psutil.Process().children() if p.cmdline() == ["/bin/sleep", "48"]]
        assert len(others) == 1
        others[0].kill()
        others[0].wait()
