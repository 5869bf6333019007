"""The same rows come from every form of file, one at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet as parquet_file

from coderl_exp import json_rows
from coderl_exp.config import compose_config
from coderl_exp.dataset import load_dataset
from coderl_exp.dataset.rows import rows_at
from coderl_exp.errors import DataError
from tests.conftest import mbpp_row

ROWS = [mbpp_row(i) for i in (1, 2, 101)]


def jsonl(path: Path) -> Path:
    file = path / "data.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return file


def array(path: Path) -> Path:
    file = path / "data.json"
    file.write_text(json.dumps(ROWS, indent=1))
    return file


def parquet(path: Path) -> Path:
    import datasets

    file = path / "data.parquet"
    datasets.Dataset.from_list(ROWS).to_parquet(str(file))
    return file


def arrow(path: Path) -> Path:
    saved = saved_folder(path)
    return next(saved.glob("*.arrow"))


def saved_folder(path: Path) -> Path:
    import datasets

    datasets.Dataset.from_list(ROWS).save_to_disk(str(path / "saved"))
    return path / "saved"


def saved_splits(path: Path) -> Path:
    import datasets

    splits = {
        "train": datasets.Dataset.from_list(ROWS[2:]),
        "test": datasets.Dataset.from_list(ROWS[:2]),
    }
    datasets.DatasetDict(splits).save_to_disk(str(path / "saved"))
    return path / "saved"


def folder(path: Path) -> Path:
    for name, rows in (
        ("test-0.jsonl", ROWS[:1]),
        ("test-1.jsonl", ROWS[1:2]),
        ("train.jsonl", ROWS[2:]),
    ):
        (path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (path / "README.md").write_text("not data")
    return path


@pytest.mark.parametrize(
    "write", [jsonl, array, parquet, arrow, saved_folder, saved_splits, folder]
)
def test_every_form_gives_the_same_problems(write: Callable[[Path], Path], tmp_path: Path) -> None:
    config = compose_config(
        "dataset=mini",
        f"dataset.path='{write(tmp_path)}'",
        "dataset.train_ids=[101,200]",
        "dataset.test_ids=[1,100]",
    )
    problems = load_dataset(config.dataset).problems
    assert [p.task_id for p in problems] == ["mini/101", "mini/1", "mini/2"]
    assert all(len(p.tests) == 3 for p in problems)


@pytest.mark.parametrize("write", [saved_splits, folder])
def test_several_files_or_splits_say_whose_rows_they_have(
    write: Callable[[Path], Path], tmp_path: Path
) -> None:
    rows = list(rows_at(write(tmp_path)))
    found = sorted((row.split or "", row.number) for row in rows)
    assert found == [("test", 0), ("test", 1), ("train", 0)]


def only_test_files(path: Path) -> Path:
    jsonl(path).rename(path / "test-0.jsonl")
    return path


def only_a_test_split(path: Path) -> Path:
    import datasets

    datasets.DatasetDict({"test": datasets.Dataset.from_list(ROWS)}).save_to_disk(path / "saved")
    return path / "saved"


@pytest.mark.parametrize("write", [only_test_files, only_a_test_split])
def test_what_is_called_test_is_never_split_anew(
    write: Callable[[Path], Path], tmp_path: Path
) -> None:
    assert [row.split for row in rows_at(write(tmp_path))] == ["test"] * 3


@pytest.mark.parametrize("write", [jsonl, array, parquet, arrow, saved_folder])
def test_one_file_says_nothing_of_splits(write: Callable[[Path], Path], tmp_path: Path) -> None:
    assert [row.split for row in rows_at(write(tmp_path))] == [None] * 3


def test_a_large_array_is_read_element_by_element(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = array(tmp_path)
    small = [row.columns for row in rows_at(file)]
    monkeypatch.setattr(json_rows, "_LARGE_BYTES", 10)
    large = list(rows_at(file))
    assert [row.columns for row in large] == small
    assert large[1].where.endswith("data.json: row 1")
    file.write_text(file.read_text()[:-200])
    with pytest.raises(DataError, match="truncated or damaged"):
        list(rows_at(file))


def test_a_large_array_keeps_integers_and_floats_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_rows, "_LARGE_BYTES", 1)
    file = tmp_path / "data.json"
    values: list[Any] = [1, 1.0, 2**70, 1e300, True, None]
    file.write_text(json.dumps([{"values": values}]))
    [row] = rows_at(file)
    assert repr(row.columns["values"]) == repr(values)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data.parquet", b"PAR1 nothing", "is damaged"),
        ("data.arrow", b"nothing", "is damaged"),
        ("data.csv", b"a,b", "no file of a known form"),
        ("data.jsonl", b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_file_that_is_no_data_is_named(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        list(rows_at(tmp_path / name))
    assert name in str(caught.value)


@pytest.mark.parametrize("value", [b"text", date(2020, 1, 1)])
def test_a_value_that_json_does_not_have_is_named(tmp_path: Path, value: object) -> None:
    file = tmp_path / "data.parquet"
    parquet_file.write_table(pa.Table.from_pylist([{"text": value}]), file)
    [row] = rows_at(file)
    with pytest.raises(DataError, match=f"row 0 has a {type(value).__name__} as 'text'"):
        row.column("text", str)


def test_a_folder_without_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no data: .*train, validation, valid, test"):
        list(rows_at(tmp_path))
