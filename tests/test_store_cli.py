"""`python -m coderl_exp.store`: what is there, who uses it, what is damaged, what nobody needs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from coderl_exp.store import StageKey, Store, Summary
from coderl_exp.store.__main__ import main, readable_size


def key(stage: str = "generate", inputs: dict[str, str] | None = None, **config: int) -> StageKey:
    return StageKey(stage=stage, version=1, config=config, inputs=inputs or {})


def write_value(work: Path) -> Summary:
    (work / "value.txt").write_text("done")
    return Summary(counts={"values": 1})


def run(store: Store, *arguments: str) -> int:
    return main(["--store", str(store.root), *arguments])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two artefacts, of which a run uses the first, and a third in the making."""
    store = Store(tmp_path / "store")
    store.get_or_compute(key(seed=1), write_value)
    store.get_or_compute(key("annotate", inputs={"candidates": key(seed=1).digest}), write_value)
    (tmp_path / "run").mkdir()
    store.note_use(tmp_path / "run", [key(seed=1)])
    store.path(key(seed=2)).with_suffix(".partial").mkdir()
    return store


def test_the_list_has_every_artefact_with_its_uses(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(store, "ls") == 0
    lines = capsys.readouterr().out.splitlines()
    of = {line.split()[1]: line.split() for line in lines[1:-1]}
    assert of[key(seed=1).digest[:12]][-1] == "1"
    assert of[key(seed=2).digest[:12]][2] == "partial"
    assert lines[-1].startswith("3 artefacts")


def test_one_artefact_is_shown_with_its_inputs_and_users(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(store, "show", key(seed=1).digest[:8]) == 0
    shown = capsys.readouterr().out
    assert "seed: 1" in shown
    assert "input of annotate/" in shown
    assert f"used by {tmp_path / 'run'}" in shown
    assert "value.txt 4 B" in shown


def test_an_artefact_that_is_not_there_is_named(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(store, "show", "zzz") == 2
    assert "no artefact zzz" in capsys.readouterr().err


def test_a_folder_that_is_no_store_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["ls"], ["gc"], ["verify"]):
        assert run(Store(tmp_path / "nowhere"), *command) == 2
        assert "there is no store" in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()


def test_verify_names_a_flipped_bit_and_removes_it_on_demand(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(store, "verify") == 0
    file = store.path(key(seed=1)) / "value.txt"
    data = bytearray(file.read_bytes())
    data[2] ^= 1
    file.write_bytes(data)
    assert run(store, "verify") == 1
    assert f"{file} is damaged" in capsys.readouterr().out
    assert store.contains(key(seed=1))
    assert run(store, "verify", "--delete") == 0
    assert not store.contains(key(seed=1))
    assert run(store, "verify") == 0


def test_gc_first_says_what_it_would_remove_and_removes_nothing(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(store.root.rglob("*"))
    assert run(store, "gc") == 0
    out = capsys.readouterr().out
    assert "annotate/" in out
    assert key(seed=2).digest in out
    assert key(seed=1).digest not in out
    assert "would remove 2 artefacts" in out
    assert [path for path in sorted(store.root.rglob("*")) if path.suffix != ".lock"] == [
        path for path in before if path.suffix != ".lock"
    ]


def test_gc_keeps_what_a_run_refers_to_until_its_folder_is_gone(
    store: Store, tmp_path: Path
) -> None:
    assert run(store, "gc", "--delete") == 0
    assert store.contains(key(seed=1))
    assert not store.path(key(seed=2)).with_suffix(".partial").exists()
    shutil.rmtree(tmp_path / "run")
    assert run(store, "gc", "--delete") == 0
    assert not store.contains(key(seed=1))
    assert list((store.root / "runs").iterdir()) == []


def test_gc_leaves_what_is_being_computed(store: Store) -> None:
    partial = store.path(key(seed=2)).with_suffix(".partial")
    with FileLock(partial.with_suffix(".lock")):
        assert run(store, "gc", "--delete") == 0
        assert partial.is_dir()
    assert run(store, "gc", "--delete") == 0
    assert not partial.exists()


def test_uses_move_along_with_store_and_runs(store: Store, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (tmp_path / "run").rename(moved / "run")
    moved_store = Store(store.root.rename(moved / "store"))
    assert run(moved_store, "gc", "--delete") == 0
    assert moved_store.contains(key(seed=1))


def test_a_damaged_note_of_a_run_stops_gc(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    (note,) = (store.root / "runs").iterdir()
    note.write_text("{")
    assert run(store, "gc", "--delete") == 1
    assert str(note) in capsys.readouterr().err
    assert store.contains(key(seed=1))


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2.5e9, "2.5 GB")]
)
def test_sizes_are_readable(size: float, text: str) -> None:
    assert readable_size(size) == text
