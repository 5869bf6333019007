"""Rows of a dataset, in every form in which people have it, one at a time.

A file (.jsonl, .json, .parquet, .arrow), a folder of such files whose names begin with the name of
their split, a folder made by `save_to_disk`, or a dataset on the hub.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from coderl_exp.config import DatasetConfig, project_path
from coderl_exp.errors import DataError
from coderl_exp.json_rows import Row, read_rows

_SPLIT_NAMES = {"train": "train", "validation": "validation", "valid": "validation", "test": "test"}
"""How a file's name begins → its split."""
_JSON = (".json", ".jsonl")
_FORMS = (*_JSON, ".parquet", ".arrow")
_BATCH_ROWS = 16
"""Rows of TACO can have a hundred megabytes of tests each."""


def dataset_rows(config: DatasetConfig) -> Iterator[Row]:
    """All rows; a row has a split where the files or splits of the data are not all of train.

    Raises:
        DataError: the data is missing, damaged, or in no known form.
    """
    if config.path is None:
        return hub_rows(str(config.hub_id), config.hub_config)
    return rows_at(project_path(config.path))


def rows_at(path: Path, option: str = "dataset.path") -> Iterator[Row]:
    """The rows of a file or folder that `option` names; see `dataset_rows`."""
    if path.is_file():
        return _file_rows(path)
    if not path.is_dir():
        raise DataError(f"{option} {path} does not exist: give a file or folder of data.")
    if any((path / name).exists() for name in ("state.json", "dataset_dict.json")):
        return _saved_rows(path)
    return _folder_rows(path)


def _file_rows(path: Path) -> Iterator[Row]:
    if path.suffix == ".parquet":
        return _numbered(path, _parquet(path))
    if path.suffix == ".arrow":
        return _numbered(path, _arrow(path))
    if path.suffix not in _JSON:
        raise DataError(f"dataset.path {path} is no file of a known form: give {_listed()}.")
    return read_rows(path, _raise)


def _folder_rows(path: Path) -> Iterator[Row]:
    """The files of a folder; each split's rows are numbered on from file to file."""
    files = [
        (file, split)
        for file in sorted(path.iterdir())
        if file.suffix in _FORMS
        and (
            split := next(
                (s for name, s in _SPLIT_NAMES.items() if file.name.startswith(name)), None
            )
        )
    ]
    if not files:
        raise DataError(
            f"dataset.path {path} has no data: give a file, a folder made by save_to_disk, or one "
            f"with files ({_listed()}) whose names begin with {', '.join(_SPLIT_NAMES)}."
        )
    says_split = {split for _, split in files} != {"train"}
    numbers = dict.fromkeys(_SPLIT_NAMES.values(), 0)
    for file, split in files:
        for row in _file_rows(file):
            yield replace(row, number=numbers[split], split=split if says_split else None)
            numbers[split] += 1


def _saved_rows(path: Path) -> Iterator[Row]:
    import datasets

    try:
        loaded = datasets.load_from_disk(str(path))
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from None
    splits = loaded if isinstance(loaded, datasets.DatasetDict) else {"train": loaded}
    return _split_rows(str(path), splits)


def hub_rows(hub_id: str, hub_config: str | None, option: str = "dataset.path") -> Iterator[Row]:
    """The rows of a dataset on the hub, or of its copy in the cache; `option` can name a copy."""
    import datasets

    try:
        splits = datasets.load_dataset(hub_id, hub_config)
    except Exception as error:
        # `datasets` has no common base class for a hub that cannot be reached.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"dataset {hub_id} cannot be loaded from the hub ({reason}): give a local copy with "
            f"{option}=FILE."
        ) from error
    return _split_rows(hub_id, splits)


def _split_rows(where: str, splits: Mapping[str, Iterable[Any]]) -> Iterator[Row]:
    """Rows of named splits, which `datasets` maps from disk and never holds in memory whole."""
    says_split = set(splits) != {"train"}
    for name, rows in splits.items():
        split = _SPLIT_NAMES.get(name, name) if says_split else None
        for row in _numbered(Path(where) / name, rows):
            yield replace(row, split=split)


def _numbered(path: Path, rows: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    for number, columns in enumerate(rows):
        yield Row(where=f"{path}: row {number}", number=number, columns=columns)


def _parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        for batch in parquet.ParquetFile(path).iter_batches(_BATCH_ROWS):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from None


def _arrow(path: Path) -> Iterator[Mapping[str, Any]]:
    import datasets

    try:
        yield from datasets.Dataset.from_file(str(path))
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors too
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> DataError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return DataError(f"{path} cannot be read ({reason}): it is damaged; fetch it again.")


def _listed() -> str:
    return ", ".join(_FORMS)


def _raise(error: DataError) -> None:
    raise error
