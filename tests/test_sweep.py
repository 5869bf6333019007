"""Sweeps: nothing is computed twice, a failure stays alone, what is complete is not run again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from rich.console import Console

from coderl_exp.errors import ConfigError, SweepError
from coderl_exp.sweep.follow import _Follower
from coderl_exp.sweep.jobs import Sweep, SweepJob, read_sweep, write_sweep
from coderl_exp.sweep.queues import Place
from coderl_exp.sweep.resume import resumed_arguments
from coderl_exp.sweep.screen import (
    JobView,
    Phase,
    line_of,
    table_of,
    view_finished,
    view_running,
)
from coderl_exp.sweep.status import RunState, StatusFile, is_complete, read_status, reported
from tests.experiment import Swept, make_experiment, run_cli
from tests.interrupting import assert_no_orphans, start, wait_for
from tests.wandb_file import read_records

LEARNING_RATES = "method.learning_rate=1e-3,2e-3"


def sweep_job(tmp_path: Path, number: int = 0, *overrides: str) -> SweepJob:
    run_dir = tmp_path / str(number)
    run_dir.mkdir(exist_ok=True)
    return SweepJob(number=number, overrides=overrides, run_dir=run_dir)


def say(job: SweepJob, state: RunState, **fields: Any) -> None:
    """As a run of this job would."""
    status = StatusFile(job.run_dir, job.overrides)
    if state is RunState.complete:
        status.complete("pass@1", fields["objective"])
    elif state is not RunState.running:
        status.fail(state, fields["error"])


def explain(error: BaseException) -> str:
    return str(error)


def test_a_job_is_complete_with_these_overrides_only(tmp_path: Path) -> None:
    job = sweep_job(tmp_path, 0, "seed=1")
    assert not job.is_complete
    say(job, RunState.running)
    assert not job.is_complete
    say(job, RunState.complete, objective=0.5)
    assert job.is_complete
    assert not is_complete(job.run_dir, ["seed=2"])


def test_a_run_says_how_it_ended(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), reported(tmp_path, [], explain):
        raise ZeroDivisionError("by zero")
    status = read_status(tmp_path)
    assert status is not None
    assert (status.state, status.error) == (RunState.failed, "by zero")
    assert "ZeroDivisionError" in (tmp_path / "traceback.txt").read_text()
    with pytest.raises(KeyboardInterrupt), reported(tmp_path, [], explain):
        raise KeyboardInterrupt
    status = read_status(tmp_path)
    assert status is not None
    assert (status.state, status.attempt) == (RunState.interrupted, 2)


def test_two_runs_never_work_in_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coderl_exp.sweep.status._LOCK_TIMEOUT_S", 0.1)
    with (
        FileLock(tmp_path / ".lock"),
        pytest.raises(SweepError, match="in use by another run"),
        reported(tmp_path, [], explain),
    ):
        pytest.fail("a second run began")


def test_the_sweeps_file_survives_a_round_trip(tmp_path: Path) -> None:
    jobs = (sweep_job(tmp_path, 0, "seed=1"), sweep_job(tmp_path, 1, "seed=2"))
    sweep = Sweep(folder=tmp_path, arguments=("seed=1,2",), jobs=jobs, submitted={1: "17_1"})
    write_sweep(sweep)
    assert read_sweep(tmp_path) == sweep
    assert sweep.label(jobs[1]) == "seed=2"


def test_a_number_never_stands_for_another_job(tmp_path: Path) -> None:
    sweep = Sweep(folder=tmp_path, arguments=(), submitted={})
    sweep = sweep.with_jobs([sweep_job(tmp_path, 0, "seed=1")])
    assert sweep.with_jobs([sweep_job(tmp_path, 0, "seed=1")]) == sweep
    with pytest.raises(ConfigError, match=r"was seed=1 and would now be seed=2"):
        sweep.with_jobs([sweep_job(tmp_path, 0, "seed=2")])


def test_a_resumed_sweep_repeats_its_command_in_its_folder(tmp_path: Path) -> None:
    write_sweep(Sweep(folder=tmp_path, arguments=("seed=1,2", "launcher=slurm"), submitted={}))
    resumed = resumed_arguments(tmp_path, [f"resume={tmp_path}", "launcher=local"])
    assert resumed == ["seed=1,2", "launcher=local", f"hydra.sweep.dir='{tmp_path}'", "--multirun"]
    with pytest.raises(ConfigError, match=r"seed=3 with resume="):
        resumed_arguments(tmp_path, [f"resume={tmp_path}", "seed=3"])
    with pytest.raises(ConfigError, match="holds no sweep"):
        resumed_arguments(tmp_path / "nowhere", [])


def test_one_line_says_where_a_job_stands(tmp_path: Path) -> None:
    job = sweep_job(tmp_path, 3, "seed=1")
    sweep = Sweep(folder=tmp_path, arguments=(), submitted={}).with_jobs([job])
    with reported(job.run_dir, job.overrides, explain) as status:
        status.progress("train", 0.4)
        assert "job 3 (the only job): running, in train, 40 %" in line_of(sweep, view_running(job))
    say(job, RunState.complete, objective=0.25)
    assert "complete, pass@1 25.0 %" in line_of(sweep, view_finished(job))
    say(job, RunState.failed, error="no pairs")
    assert line_of(sweep, view_finished(job)).endswith("failed, no pairs")


def test_the_table_shows_brackets_as_they_are(tmp_path: Path) -> None:
    jobs = [sweep_job(tmp_path, n, f"stages=[{s}]") for n, s in enumerate(("train", "merge"))]
    sweep = Sweep(folder=tmp_path, arguments=(), submitted={}).with_jobs(jobs)
    views = [JobView(job=job, phase=Phase.failed, detail="stages has ['x']") for job in jobs]
    console = Console(file=StringIO(), width=100)
    console.print(table_of(sweep, views))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "stages=[merge]" in shown
    assert "stages has ['x']" in shown


class Places:
    """A queue that says what it is told to."""

    def __init__(self, *places: Place) -> None:
        self._places = list(places)

    def places(self) -> dict[int, Place]:
        return {0: self._places.pop(0)}


def test_a_job_that_vanishes_without_a_word_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = sweep_job(tmp_path, 0, "seed=1")
    queue: Any = Places(Place.waiting, Place.running, Place.gone, Place.gone)
    follower = _Follower(queue)
    assert follower.look([job])[0].phase is Phase.queued
    say(job, RunState.running)
    assert follower.look([job])[0].phase is Phase.running
    assert follower.look([job])[0].phase is Phase.running, "its last words may be on their way"
    monkeypatch.setattr("coderl_exp.sweep.follow._GRACE_S", 0.0)
    view = follower.look([job])[0]
    assert view.phase is Phase.failed
    assert view.detail.startswith("killed")


def test_detaching_is_for_slurm(tmp_path: Path) -> None:
    done = run_cli("-m", "seed=1,2", "launcher.detach=true", f"hydra.sweep.dir={tmp_path / 's'}")
    assert done.returncode == 2
    assert "tmux" in done.stderr


def test_slurm_that_is_not_there_is_named(tmp_path: Path) -> None:
    environment_without_slurm = {"PATH": "/nowhere"}
    done = subprocess.run(
        [sys.executable, "-m", "coderl_exp", "launcher=slurm", f"hydra.sweep.dir={tmp_path}"],
        capture_output=True,
        text=True,
        env={**os.environ, **environment_without_slurm},
        check=False,
    )
    assert done.returncode == 2
    assert "sbatch" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def computed(store: Path) -> Counter[str]:
    """Stage → finished artefacts; each was made by one computation."""
    manifests = [json.loads(file.read_text()) for file in store.glob("*/*/manifest.json")]
    assert all(manifest["num_attempts"] == 1 for manifest in manifests)
    return Counter(manifest["key"]["stage"] for manifest in manifests)


def states(folder: Path, num_jobs: int) -> list[RunState | None]:
    found = [read_status(folder / str(number)) for number in range(num_jobs)]
    return [status.state if status else None for status in found]


@pytest.mark.slow
def test_a_sweep_computes_nothing_twice_and_a_failing_job_stays_alone(swept: Swept) -> None:
    stderr = swept.done.stderr
    assert swept.done.returncode == 1, stderr
    assert "Traceback" not in stderr
    assert "1 of 3 jobs failed" in stderr.splitlines()[-1]
    assert re.search(r"1 +method\.learning_rate=-1\.0 +failed", stderr)
    ended = [RunState.complete, RunState.failed, RunState.complete]
    assert states(swept.folder, 3) == ended
    assert computed(swept.experiment.root / "store") == {
        "audit": 1,
        "generate": 4, "annotate": 4, "rl_build": 1, "train": 2, "merge": 2, "analyze": 2
    }  # fmt: skip


@pytest.mark.slow
def test_a_sweep_ends_with_the_comparison_of_its_runs(swept: Swept) -> None:
    comparison = json.loads((swept.folder / "comparison" / "comparison.json").read_text())
    assert comparison["num_runs"] == 2
    said = " ".join(swept.done.stderr.split())
    assert " ".join(comparison["answer"].split()) in said


@pytest.mark.slow
def test_a_resumed_sweep_runs_only_what_failed(swept: Swept) -> None:
    files = [swept.folder / number / "status.json" for number in ("0", "2")]
    before = [file.stat().st_mtime_ns for file in files]
    again = run_cli(f"resume={swept.folder}", timeout=400)
    assert again.returncode == 1
    assert "2 of 3 jobs are complete" in again.stderr
    assert [file.stat().st_mtime_ns for file in files] == before, "a complete job was run again"
    assert len(list((swept.folder / "0" / "wandb").glob("offline-run-*"))) == 1


@dataclass(frozen=True, kw_only=True)
class Tracked:
    """What an offline file of W&B holds."""

    run: Any
    config: dict[str, Any]
    history: list[dict[str, Any]]
    summary: dict[str, Any]
    artefacts: dict[str, dict[str, Any]]
    """Type and step → metadata."""


def tracked(run_dir: Path) -> Tracked:
    """The first attempt's file."""
    file = min((run_dir / "wandb").glob("offline-run-*/*.wandb"))
    run, config, history, summary, artefacts = None, {}, [], {}, {}
    for record in read_records(file):
        if record.HasField("run"):
            run = record.run
            config |= {i.key: json.loads(i.value_json) for i in run.config.update if i.key}
        if record.HasField("history"):
            items = record.history.item
            history.append({(i.key or i.nested_key[0]): json.loads(i.value_json) for i in items})
        for item in record.summary.update:
            summary[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
        if record.HasField("request") or not record.HasField("artifact"):
            continue
        metadata = json.loads(record.artifact.metadata or "{}")
        which = metadata.get("step") or metadata.get("split") or ""
        artefacts[f"{record.artifact.type} {which}".strip()] = metadata
    return Tracked(run=run, config=config, history=history, summary=summary, artefacts=artefacts)


@pytest.mark.slow
def test_wandb_has_one_run_per_job_in_the_sweeps_group(swept: Swept) -> None:
    jobs = {number: tracked(swept.folder / str(number)) for number in (0, 2)}
    assert len({job.run.run_id for job in jobs.values()}) == 2
    for job, rate in zip(jobs.values(), (1e-3, 2e-3), strict=True):
        assert job.run.run_group == "day_time"
        assert job.run.job_type == "dpo"
        named = re.search(r"method\.learning_rate=([^,]+)", job.run.display_name)
        assert named
        assert float(named[1]) == rate
        assert job.config["method"]["learning_rate"] == rate
        losses = [row["train/loss"] for row in job.history if "train/loss" in row]
        assert len(losses) == 4
        for when in ("baseline", "after", "delta"):
            summary = job.summary
            assert summary[f"{when}/pass@1/low"] <= summary[f"{when}/pass@1"]
        assert any("completions" in row for row in job.history)
        assert any("report" in row for row in job.history)
    summaries = swept.folder.glob("[02]/wandb/offline-run-*/files/*_summary.json")
    assert len(list(summaries)) == 2, "what compare --wandb downloads"


@pytest.mark.slow
def test_wandb_artefacts_lead_from_the_evaluation_back_to_the_dataset(swept: Swept) -> None:
    artefacts = tracked(swept.folder / "2").artefacts
    by_key = {metadata["key"]: kind for kind, metadata in artefacts.items() if "key" in metadata}
    path = ["evaluation"]
    inputs = artefacts["evaluation"]["inputs"]
    while inputs:
        known = [by_key[key] for key in inputs.values() if key in by_key]
        preferred = [kind for kind in known if not kind.startswith("dataset")] or known
        if not preferred:
            break
        path.append(preferred[0])
        inputs = artefacts[preferred[0]].get("inputs", {})
    assert path == [
        "evaluation", "annotate test_after.verdicts", "generate test_after.candidates",
        "merge merge", "train train", "rl_build rl_build", "annotate train_gen.verdicts",
        "generate train_gen.candidates", "dataset train",
    ]  # fmt: skip


@pytest.mark.slow
def test_wandb_has_the_sweeps_own_table(swept: Swept) -> None:
    sweep = tracked(swept.folder)
    assert (sweep.run.job_type, sweep.run.run_group) == ("sweep", "day_time")
    assert sweep.summary["best/objective"] > 0
    file = min(swept.folder.glob("wandb/offline-run-*/files/media/table/sweep_*.table.json"))
    rows = json.loads(file.read_text())["data"]
    assert [row[2] for row in rows] == ["complete", "failed", "complete"]
    assert rows[0][5] <= rows[0][4] <= rows[0][6]


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_killed_sweep_of_processes_leaves_none_and_is_resumed(
    tmp_path: Path, solver_folder: Path
) -> None:
    experiment = make_experiment(tmp_path, solver_folder)
    folder = tmp_path / "sweep"
    options = (LEARNING_RATES, "launcher=submitit_local", f"hydra.sweep.dir={folder}")
    process = start(experiment, *options)
    wait_for(lambda: any((tmp_path / "store").glob("train/*.partial/checkpoints/*")), process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert_no_orphans(tmp_path)
    done = run_cli(f"resume={folder}", timeout=400)
    assert done.returncode == 0, done.stderr
    assert states(folder, 2) == [RunState.complete] * 2
    assert done.stderr.count(": complete, pass@1") == 2
