"""Artefacts appear whole, once, and are refused when they are not what they claim to be."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from coderl_exp.errors import StoreError
from coderl_exp.records import Usage, read_jsonl, to_json
from coderl_exp.store import StageKey, Store, Summary, resume_jsonl


def key(**config: Any) -> StageKey:
    return StageKey(stage="generate", version=1, config=config, inputs={"data": "d"})


def write_value(work: Path, value: str = "done") -> Summary:
    (work / "value.txt").write_text(value)
    return Summary(counts={"values": 1})


def test_an_artefact_is_computed_once_and_then_reused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = store.get_or_compute(key(), write_value)
    second = store.get_or_compute(key(), lambda _: pytest.fail("computed twice"))
    assert (first.was_reused, second.was_reused) == (False, True)
    assert (second.path / "value.txt").read_text() == "done"
    assert second.manifest.summary.counts == {"values": 1}
    assert second.manifest.versions["python"]


def test_what_can_change_the_result_changes_the_key() -> None:
    digests = {
        key().digest,
        key(seed=1).digest,
        StageKey(stage="generate", version=2, config={}, inputs={"data": "d"}).digest,
        StageKey(stage="annotate", version=1, config={}, inputs={"data": "d"}).digest,
        StageKey(stage="generate", version=1, config={}, inputs={"data": "e"}).digest,
    }
    assert len(digests) == 5
    assert key(a=1, b=2).digest == key(b=2, a=1).digest


def test_an_interrupted_computation_leaves_nothing_that_looks_finished(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def interrupted(work: Path) -> Summary:
        (work / "half.txt").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.get_or_compute(key(), interrupted)
    assert not store.contains(key())

    def continued(work: Path) -> Summary:
        assert (work / "half.txt").read_text() == "half"
        return write_value(work)

    assert store.get_or_compute(key(), continued).manifest.num_attempts == 2


def test_a_truncated_artefact_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    artefact = store.get_or_compute(key(), write_value)
    (artefact.path / "value.txt").write_text("do")
    with pytest.raises(StoreError, match="has 2 bytes, not 4"):
        store.open(key())


def test_a_missing_file_and_a_damaged_manifest_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    artefact = store.get_or_compute(key(), write_value)
    (artefact.path / "value.txt").unlink()
    with pytest.raises(StoreError, match=r"value\.txt is missing"):
        store.open(key())
    (artefact.path / "manifest.json").write_text("{")
    with pytest.raises(StoreError, match="damaged"):
        store.open(key())


def test_an_artefact_of_another_configuration_is_refused_naming_the_difference(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path)
    artefact = store.get_or_compute(key(temperature=0.9), write_value)
    artefact.path.rename(store.path(key(temperature=0.7)))
    with pytest.raises(StoreError, match=r"config\.temperature: 0\.9 there, 0\.7 here"):
        store.open(key(temperature=0.7))


def test_what_was_never_made_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not in the store"):
        Store(tmp_path).open(key())


def compute_slowly(root: Path, log: Path) -> None:
    def compute(work: Path) -> Summary:
        with log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(0.5)
        return write_value(work)

    Store(root).get_or_compute(key(), compute)


def test_one_process_computes_while_others_wait(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    log = tmp_path / "log"
    processes = [context.Process(target=compute_slowly, args=(tmp_path, log)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(log.read_text().splitlines()) == 1


def compute_forever(root: Path) -> None:
    def compute(work: Path) -> Summary:
        (work / "started").touch()
        time.sleep(60)
        return Summary(counts={})

    Store(root).get_or_compute(key(), compute)


def test_a_killed_writer_frees_its_lock(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=compute_forever, args=(tmp_path,))
    process.start()
    started = Store(tmp_path).path(key()).with_suffix(".partial") / "started"
    for _ in range(100):
        if started.exists():
            break
        time.sleep(0.1)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(10)
    assert not Store(tmp_path).contains(key())
    assert not Store(tmp_path).get_or_compute(key(), write_value).was_reused


def test_a_torn_last_line_is_cut_off_on_resume(tmp_path: Path) -> None:
    rows = [Usage(task_id="a", index=i, cpu_s=0.0, wall_s=0.0, memory_mb=0.0) for i in range(2)]
    path = tmp_path / "usage.jsonl"
    path.write_text("".join(to_json(row) + "\n" for row in rows) + '{"task_id": "a", "ind')
    assert resume_jsonl(path, Usage) == rows
    assert list(read_jsonl(path, Usage)) == rows


def test_a_row_of_another_shape_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    path.write_text('{"cpu_s": 0, "wall_s": 0, "memory_mb": 0}\n{"cpu_s": "much"}\n')
    with pytest.raises(StoreError, match=r"usage\.jsonl:2 is not a Usage: cpu_s"):
        list(read_jsonl(path, Usage))


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_store_is_refused_with_the_remedy(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="store_dir"):
        Store(tmp_path / "store").get_or_compute(key(), write_value)


def test_every_byte_is_checked_when_an_artefact_is_reused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    artefact = store.get_or_compute(key(), write_value)
    (artefact.path / "value.txt").write_text("dong")
    with pytest.raises(StoreError, match=r"value\.txt is damaged: its checksum is another"):
        store.open(key())


def test_a_manifest_whose_numbers_were_changed_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    manifest = store.get_or_compute(key(), write_value).path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"values": 1', '"values": 2'))
    with pytest.raises(StoreError, match="damaged"):
        store.open(key())


def test_a_kill_between_the_manifest_and_the_rename_leaves_a_whole_artefact(tmp_path: Path) -> None:
    store = Store(tmp_path)
    finished = store.get_or_compute(key(), write_value).path
    finished.rename(finished.with_suffix(".partial"))
    assert not store.contains(key())
    store.get_or_compute(key(), write_value)
    assert store.open(key()).manifest.files.keys() == {"value.txt"}


def test_the_nearest_artefact_says_what_differs(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.nearest(key(seed=1)) is None
    store.get_or_compute(key(seed=1, top_p=0.9), write_value)
    store.get_or_compute(key(seed=3, top_p=0.5), write_value)
    assert store.nearest(key(seed=2, top_p=0.9)) == "config.seed: 1 there, 2 here"
