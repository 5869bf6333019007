"""Runs that are read back from W&B are compared like those on disk."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from coderl_exp import wandb_runs
from coderl_exp.compare.__main__ import main
from tests.runs import write_run


class StandIn:
    """The public API of W&B, over run folders."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self._folders = folders
        self.asked: list[tuple[str, dict[str, str]]] = []

    def runs(self, path: str, filters: dict[str, str]) -> list[Any]:
        self.asked.append((path, filters))
        return [
            SimpleNamespace(id=name, files=lambda folder=folder: files_of(folder))
            for name, folder in self._folders.items()
        ]


def files_of(folder: Path) -> list[Any]:
    def download(source: Path, root: str, replace: bool) -> None:
        Path(root).mkdir(parents=True, exist_ok=True)
        shutil.copy(source, Path(root) / source.name)

    return [
        SimpleNamespace(
            name=file.name,
            download=lambda root, replace, file=file: download(file, root, replace),
        )
        for file in sorted(folder.rglob("*.*"))
    ]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    folders = {}
    for name, gain in (("aa", 0.0), ("bb", 0.4)):
        write_run(
            tmp_path / name, [0.2, 0.3, 0.4, 0.1], [0.2 + gain, 0.3 + gain, 0.4, 0.1 + gain],
            method="dpo", seed=1, options=[f"method.learning_rate={1 + gain}e-6"],
            num_candidates=4, ks=(1,),
        )  # fmt: skip
        folders[name] = tmp_path / name
    (tmp_path / "unfinished").mkdir()
    found = StandIn({**folders, "cc": tmp_path / "unfinished"})
    monkeypatch.setattr(wandb_runs, "_connect", lambda: found)
    return found


def test_the_finished_runs_of_a_group_are_compared(
    server: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["--wandb", "me/project/2026_12", "--out", str(out)]) == 0
    assert server.asked == [("me/project", {"group": "2026_12"})]
    assert json.loads((out / "comparison.json").read_text())["num_runs"] == 2
    assert sorted(path.name for path in (out / "runs").iterdir()) == ["aa", "bb"]


def test_without_a_server_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def unreachable() -> None:
        raise ConnectionError("name resolution failed")

    monkeypatch.setattr(wandb_runs, "_connect", unreachable)
    assert main(["--wandb", "me/project", "--out", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert "name resolution failed" in err
    assert "WANDB_API_KEY" in err
    assert len(err.splitlines()) == 1


def test_a_group_without_finished_runs_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(wandb_runs, "_connect", lambda: StandIn({}))
    assert main(["--wandb", "me/project/none", "--out", str(tmp_path)]) == 2
    assert "no run of me/project in the group none" in capsys.readouterr().err


def test_neither_folders_nor_a_place_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "--wandb" in capsys.readouterr().err
