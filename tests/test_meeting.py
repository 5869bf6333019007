"""How machines meet: only the living count, and what happens to one is told to the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from coderl_exp import meeting
from coderl_exp.errors import TrainingError
from coderl_exp.machines import Machines
from coderl_exp.meeting import Meeting

JOB = Path("job.json")


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "BEAT_S", 0.01)


def machine(folder: Path, rank: int, count: int = 2, timeout_s: float = 5.0) -> Meeting:
    machines = Machines(count=count, rank=rank, main_ip="127.0.0.1", main_port=1)
    return Meeting(machines, folder, timeout_s)


def until_failure(check: Callable[[], None]) -> str:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            check()
        except TrainingError as error:
            return str(error)
        time.sleep(0.01)
    return "nothing"


def test_all_machines_get_the_job_of_the_first_and_leave_nothing(tmp_path: Path) -> None:
    jobs: list[Path | None] = []

    def take_part(rank: int) -> None:
        with machine(tmp_path / "meeting", rank, count=3) as other:
            jobs.append(other.wait_for_job(lambda: False))

    threads = [threading.Thread(target=take_part, args=(rank,)) for rank in (1, 2)]
    for thread in threads:
        thread.start()
    with machine(tmp_path / "meeting", 0, count=3) as first:
        first.begin(JOB)
        for thread in threads:
            thread.join()
    assert jobs == [JOB, JOB]
    assert not (tmp_path / "meeting").exists()


def test_one_machine_meets_nobody_and_writes_nothing(tmp_path: Path) -> None:
    with machine(tmp_path / "meeting", 0, count=1) as alone:
        alone.begin(JOB)
        alone.check()
    assert not (tmp_path / "meeting").exists()


def test_a_training_that_is_in_the_store_needs_no_meeting(tmp_path: Path) -> None:
    with machine(tmp_path, 1) as other:
        assert other.wait_for_job(lambda: True) is None


def test_what_an_earlier_attempt_left_is_not_a_machine(tmp_path: Path) -> None:
    with pytest.raises(TrainingError), machine(tmp_path, 1):
        raise TrainingError("earlier")
    assert (tmp_path / "1.json").exists()
    with (
        pytest.raises(TrainingError, match="machine 1 gave no sign of life"),
        machine(tmp_path, 0, timeout_s=0.2) as first,
    ):
        first.begin(JOB)


def test_a_machine_waits_no_longer_than_the_others_live(tmp_path: Path) -> None:
    with (
        pytest.raises(TrainingError, match="machine 0 gave no sign of life"),
        machine(tmp_path, 1, timeout_s=0.2) as other,
    ):
        other.wait_for_job(lambda: False)


@pytest.mark.parametrize(
    ("error", "told"),
    [(TrainingError("no adapter"), "no adapter"), (KeyboardInterrupt(), "KeyboardInterrupt")],
)
@pytest.mark.parametrize("failing", [0, 1])
def test_how_a_machine_ended_is_told_to_the_others(
    failing: int, error: BaseException, told: str, tmp_path: Path
) -> None:
    with machine(tmp_path, 1 - failing) as other:
        with pytest.raises(type(error)), machine(tmp_path, failing):
            raise error
        assert until_failure(other.check) == f"machine {failing} failed: {told}"


def test_a_machine_that_comes_back_is_not_the_one_that_trains(tmp_path: Path) -> None:
    with machine(tmp_path, 0) as first:
        with machine(tmp_path, 1):
            first.begin(JOB)
        with machine(tmp_path, 1):
            assert until_failure(first.check) == "machine 1 was started again during training."
