"""Every fault ends with the right result or a clear error: never a wrong number, hang or orphan."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from coderl_exp.config import PROJECT_ROOT
from tests.experiment import (
    ENVIRONMENT,
    Experiment,
    Swept,
    adapter_weights,
    artefacts,
    make_experiment,
)
from tests.faults.campaign import campaign
from tests.interrupting import assert_no_orphans

pytestmark = pytest.mark.slow

NUM_KILLS = int(os.environ.get("CODERL_NUM_KILLS", "200"))
needs_mount = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mount") is None, reason="needs root to mount"
)


@dataclass(frozen=True, kw_only=True)
class Finished:
    """An experiment that has run to its end, in a sweep."""

    root: Path
    model: Path
    run_dir: Path


@pytest.fixture(scope="session")
def finished(swept: Swept) -> Finished:
    experiment = swept.experiment
    return Finished(root=experiment.root, model=experiment.model, run_dir=swept.folder / "2")


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """Something mounted at `folder`; skips where that is not allowed."""
    if subprocess.run(["mount", *options, folder], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def copy_of(finished: Finished, root: Path) -> Experiment:
    """The same experiment with a store of its own."""
    shutil.copytree(finished.root / "store", root / "store")
    return make_experiment(root, finished.model)


def damaged(file: Path, how: str, seed: int) -> None:
    """Flip one bit, or cut the file."""
    data = bytearray(file.read_bytes())
    place = random.Random(seed).randrange(len(data))
    if how == "flip":
        data[place] ^= 1 << place % 8
    else:
        del data[place:]
    file.write_bytes(data)


@pytest.mark.parametrize("how", ["flip", pytest.param("cut", marks=pytest.mark.exhaustive)])
def test_a_damaged_artefact_is_named_and_made_again_when_it_is_removed(
    how: str, finished: Finished, tmp_path: Path
) -> None:
    experiment = copy_of(finished, tmp_path)
    (file,) = (tmp_path / "store").glob("rl_build/*/pairs.jsonl")
    damaged(file, how, seed=7)
    refused = experiment.run("tracking=none")
    assert refused.returncode == 1
    assert str(file) in refused.stderr.splitlines()[-1]
    assert "Traceback" not in refused.stderr
    command = [sys.executable, "-m", "coderl_exp.store", "--store", tmp_path / "store"]
    subprocess.run([*command, "verify", "--delete"], check=True, cwd=PROJECT_ROOT)
    done = experiment.run("tracking=none")
    assert done.returncode == 0, done.stderr
    assert artefacts(tmp_path / "run") == artefacts(finished.run_dir)


@pytest.mark.exhaustive
def test_no_file_of_the_store_can_be_damaged_unnoticed(finished: Finished, tmp_path: Path) -> None:
    """All files of all artefacts, one damaged at a time."""
    files = sorted(
        file for file in (finished.root / "store").glob("*/*/**/*")
        if file.is_file() and file.stat().st_size and "runs" not in file.parts
    )  # fmt: skip
    assert len(files) > 30
    command = [sys.executable, "-m", "coderl_exp.store", "--store", tmp_path / "store", "verify"]
    for number, file in enumerate(files):
        shutil.copytree(finished.root / "store", tmp_path / "store")
        where = tmp_path / "store" / file.relative_to(finished.root / "store")
        damaged(where, ("flip", "cut")[number % 2], seed=number)
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=PROJECT_ROOT
        )
        assert done.returncode == 1, f"{file} can be damaged unnoticed"
        assert str(where.relative_to(tmp_path)) in done.stdout, done.stdout
        shutil.rmtree(tmp_path / "store")


@pytest.mark.exhaustive
@needs_mount
def test_a_read_only_store_is_reused_and_refused_where_something_is_missing(
    finished: Finished, tmp_path: Path
) -> None:
    (tmp_path / "store").mkdir()
    experiment = make_experiment(tmp_path, finished.model)
    with mounted(tmp_path / "store", "--bind", "-o", "ro", str(finished.root / "store")):
        subprocess.run(["mount", "-o", "remount,ro,bind", tmp_path / "store"], check=True)
        reused = experiment.run("tracking=none")
        assert reused.returncode == 0, reused.stderr
        assert artefacts(tmp_path / "run") == artefacts(finished.run_dir)
        refused = experiment.run("tracking=none", "seed=7", run="other")
    assert refused.returncode == 1
    assert "store_dir" in refused.stderr.splitlines()[-1]
    assert "Traceback" not in refused.stderr


@pytest.mark.exhaustive
@needs_mount
def test_a_disk_that_is_full_at_any_point_is_one_line_and_the_run_continues(
    finished: Finished, tmp_path: Path
) -> None:
    random_ = random.Random(0)
    for number in range(8):
        root = tmp_path / str(number)
        (root / "store").mkdir(parents=True)
        experiment = make_experiment(root, finished.model)
        size = f"size={random_.randrange(20, 1500)}k"
        with mounted(root / "store", "-t", "tmpfs", "-o", size, "tmpfs"):
            full = experiment.run("tracking=none")
            if full.returncode:
                assert "the disk is full" in full.stderr.splitlines()[-1], full.stderr
                assert "Traceback" not in full.stderr
            subprocess.run(["mount", "-o", "remount,size=200m", root / "store"], check=True)
            done = experiment.run("tracking=none")
            assert done.returncode == 0, done.stderr
            assert artefacts(root / "run") == artefacts(finished.run_dir)
        assert_no_orphans(root)


@pytest.mark.exhaustive
def test_two_sweeps_at_once_share_one_store(finished: Finished, tmp_path: Path) -> None:
    experiment = make_experiment(tmp_path, finished.model)
    sweeps = [
        subprocess.Popen(
            [sys.executable, "-m", "coderl_exp", "-m",
             *experiment.arguments(
                 "tracking=none", "method.learning_rate=1e-3,2e-3",
                 f"hydra.sweep.dir={tmp_path / name}")],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=PROJECT_ROOT,
            env=ENVIRONMENT,
        )
        for name in ("first", "second")
    ]  # fmt: skip
    for process in sweeps:
        _, stderr = process.communicate(timeout=600)
        assert process.returncode == 0, stderr
    manifests = list((tmp_path / "store").glob("*/*/manifest.json"))
    assert len(manifests) == 1 + 4 + 4 + 1 + 2 + 2 + 2
    for number in ("0", "1"):
        first, second = (tmp_path / name / number for name in ("first", "second"))
        assert artefacts(first) == artefacts(second)
        assert adapter_weights(first) == adapter_weights(second)
    assert artefacts(tmp_path / "first" / "1") == artefacts(finished.run_dir)
    assert_no_orphans(tmp_path)


@pytest.mark.exhaustive
def test_a_campaign_of_random_kills_never_ends_with_a_wrong_byte(
    tmp_path: Path, solver_folder: Path
) -> None:
    tally = campaign(tmp_path, solver_folder, NUM_KILLS, seed=0)
    assert tally.num_kills >= NUM_KILLS
    assert tally.num_completed >= 1
