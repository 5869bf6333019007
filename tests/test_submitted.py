"""What stands between a queue and a run: it passes on how the run ended, and ends it in time."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from coderl_exp.errors import SweepError
from coderl_exp.launcher_schemas import SubmititLauncherConfig
from coderl_exp.sweep.queues import LocalQueue, Place
from coderl_exp.sweep.submitted import Starter, SubmittedJob, this_process
from tests.conftest import Processes

SAY_TERM = (
    "trap 'echo told to stop > said; exit 143' TERM; touch ready; while :; do sleep 0.05; done"
)


def job(cwd: Path, script: str) -> SubmittedJob:
    return SubmittedJob(["bash", "-c", script], cwd, group="day_time")


def wait_until_ready(folder: Path) -> None:
    deadline = time.monotonic() + 20
    while not (folder / "ready").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_run_that_fails_fails_its_job(tmp_path: Path) -> None:
    job(tmp_path, "exit 0")()
    with pytest.raises(SweepError, match="code 3"):
        job(tmp_path, "exit 3")()


def test_a_run_knows_its_group(tmp_path: Path) -> None:
    job(tmp_path, 'echo "$CODERL_SWEEP_GROUP" > group')()
    assert (tmp_path / "group").read_text() == "day_time\n"


def run_until_signal(folder: Path) -> None:
    """As submitit does: on the signal, checkpoint and exit."""
    submitted = job(folder, SAY_TERM)

    def checkpoint_and_exit(*_: object) -> None:
        submitted.checkpoint()
        sys.exit(7)

    signal.signal(signal.SIGUSR2, checkpoint_and_exit)
    submitted()


def test_a_job_that_is_to_be_requeued_lets_its_run_end(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=run_until_signal, args=(tmp_path,)
    )
    process.start()
    wait_until_ready(tmp_path)
    assert process.pid is not None
    run = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGUSR2)
    process.join(30)
    assert process.exitcode == 7
    assert (tmp_path / "said").read_text() == "told to stop\n"
    assert not any(child.is_running() for child in run)


def test_the_signal_for_the_job_does_not_end_its_run(tmp_path: Path) -> None:
    """Slurm sends it to all processes."""
    job(tmp_path, "kill -USR2 $$; touch survived")()
    assert (tmp_path / "survived").exists()


def test_a_job_ends_with_the_command_that_started_it(tmp_path: Path) -> None:
    submitted = job(tmp_path, SAY_TERM)
    submitted.starter = Starter(pid=os.getpid(), started_at=0.0)
    with pytest.raises(SweepError, match="command has ended"):
        submitted()
    assert this_process().is_alive()


def local_queue(folder: Path, **options: int | None) -> LocalQueue:
    fields: Mapping[str, object] = {
        "name": "submitit_local", "detach": False, "poll_interval_s": 0.1, "max_parallel_jobs": 2,
        "timeout_min": 1, "signal_delay_s": 10, "max_num_timeout": 1, "gpus_per_node": None,
        "setup": [], **options,
    }  # fmt: skip
    return LocalQueue(SubmititLauncherConfig(**fields), folder)  # type: ignore[arg-type]


def test_local_jobs_run_side_by_side_each_with_gpus_of_its_own(tmp_path: Path) -> None:
    queue = local_queue(tmp_path, gpus_per_node=2)
    say = 'echo "$CUDA_VISIBLE_DEVICES" > gpus{0}; sleep 1'
    queue.submit({number: job(tmp_path, say.format(number)) for number in range(3)})
    assert list(queue.places().values()).count(Place.waiting) == 1
    deadline = time.monotonic() + 60
    while set(queue.places().values()) != {Place.gone}:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    seen = [(tmp_path / f"gpus{number}").read_text().strip() for number in range(3)]
    assert sorted(seen[:2]) == ["0,1", "2,3"]
    assert seen[2] in ("0,1", "2,3")


def test_closing_the_local_queue_ends_its_jobs_without_a_word(
    tmp_path: Path, new_processes: Processes, capfd: pytest.CaptureFixture[str]
) -> None:
    queue = local_queue(tmp_path)
    queue.submit({0: job(tmp_path, SAY_TERM)})
    wait_until_ready(tmp_path)
    assert new_processes()
    queue.close()
    psutil.wait_procs(new_processes(), timeout=20)
    assert new_processes() == []
    assert capfd.readouterr().err == ""
