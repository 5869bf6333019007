"""Finished runs on disk: found below the folders given, read from their summaries, named.

A run is a folder with `artifacts/reports/<experiment>_summary.json`. Nothing else is read, so that
runs can be compared on another machine than the one that has their store.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from coderl_exp.errors import DataError
from coderl_exp.metrics import ProblemResult
from coderl_exp.report_data import Cost, LedgerRow, RunSummary, total_cost
from coderl_exp.wandb_runs import REPORTS, SUMMARY_SUFFIX

_TRAINING_STAGES = ("train_gen", "rl_build", "train")
_NOT_SETTINGS = ("seed", "store_dir", "plan")
_NOT_SETTING_GROUPS = ("tracking.", "accelerate.")
"""Options that are not meant to change a result: runs that differ in them alone are replicates."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What is compared of one run."""

    name: str
    """What the user gave it differently from the others; unique."""
    path: str
    method: str
    dataset: str
    seed: int
    settings: Mapping[str, Any]
    """Every option by its dotted name."""
    before: Mapping[str, ProblemResult]
    """By problem; empty: not evaluated."""
    after: Mapping[str, ProblemResult]
    samples_after: str
    curves: Mapping[str, Sequence[tuple[float, float]]]
    """Logged value → (step, value)."""
    training_cost: Cost
    """Of what it takes to make the trained model: without evaluation, merging and analysis."""

    @property
    def place(self) -> str:
        """`2026-11-25/21-27-37`, or a sweep's `21-27-37/0`."""
        return _place(Path(self.path))

    @property
    def evaluated(self) -> Mapping[str, ProblemResult]:
        """The trained model's results, or the base model's where nothing was trained."""
        return self.after or self.before

    @property
    def configuration(self) -> str:
        """Equal for runs that differ in their seed only."""
        kept = {
            name: value
            for name, value in self.settings.items()
            if name not in _NOT_SETTINGS and not name.startswith(_NOT_SETTING_GROUPS)
        }
        return json.dumps([kept, bool(self.after)], sort_keys=True, default=str)


def read_runs(paths: Sequence[Path]) -> tuple[list[Run], list[str]]:
    """Every finished run in or below the folders, and a line for each that is not finished.

    Raises:
        DataError: a folder is missing, or there is no finished run; a summary is damaged.
    """
    folders: dict[Path, None] = {}
    unfinished: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            raise DataError(f"{path} is no folder: give run folders, or folders that hold some.")
        folders |= dict.fromkeys(found := sorted(_run_folders(path)))
        unfinished |= dict.fromkeys(sorted(_started(path) - set(found)))
    if not folders:
        listed = ", ".join(map(str, paths))
        raise DataError(
            f"no finished run in {listed}: a run is finished when it has "
            f"{REPORTS}/*{SUMMARY_SUFFIX}."
        )
    summaries = {folder: _read(folder) for folder in folders}
    names = _names(summaries)
    runs = [_run(names[folder], folder, summary) for folder, summary in summaries.items()]
    return runs, [f"{folder} is not finished and left out." for folder in unfinished]


def _run_folders(path: Path) -> Iterator[Path]:
    """The run folder itself, or those below; the store's and the tracker's folders hold none."""
    if any((path / REPORTS).glob(f"*{SUMMARY_SUFFIX}")):
        yield path.resolve()
        return
    for child in sorted(path.iterdir()):
        if child.is_dir() and not child.is_symlink() and not child.name.startswith("."):
            yield from _run_folders(child)


def _started(path: Path) -> set[Path]:
    return {found.parent.parent.resolve() for found in path.glob("**/.hydra/config.yaml")}


def _read(folder: Path) -> RunSummary:
    file = next((folder / REPORTS).glob(f"*{SUMMARY_SUFFIX}"))
    try:
        return _SUMMARY.validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        raise DataError(
            f"{file} is no summary of a run: {field}: {first['msg']}. It is damaged, or of another "
            "version: run its command again to have it written anew."
        ) from None


_SUMMARY = TypeAdapter(RunSummary)


def _run(name: str, folder: Path, summary: RunSummary) -> Run:
    return Run(
        name=name,
        path=str(folder),
        method=summary.method,
        dataset=summary.dataset,
        seed=summary.seed,
        settings=_flatten(_parse(summary.config_yaml, folder)),
        before={result.task_id: result for result in summary.results_before},
        after={result.task_id: result for result in summary.results_after},
        samples_after=summary.samples_after,
        curves=summary.drawn_curves,
        training_cost=total_cost([row for row in summary.ledger if _is_training(row)]),
    )


def _is_training(row: LedgerRow) -> bool:
    return row.stage.partition(".")[0] in _TRAINING_STAGES


def _parse(config: str, folder: Path) -> Any:
    try:
        return yaml.load(config, yaml.CSafeLoader) or {}
    except yaml.YAMLError:
        raise DataError(
            f"the configuration in {folder / REPORTS} is no YAML: run its command again."
        ) from None


def _flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, Mapping):
        return {prefix.removesuffix("."): tree}
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= _flatten(value, f"{prefix}{name}.")
    return flat


def _names(summaries: Mapping[Path, RunSummary]) -> dict[Path, str]:
    """The overrides that not all runs share; the folder where that does not tell them apart."""
    overrides = {folder: _overrides(summary) for folder, summary in summaries.items()}
    shared = set.intersection(*(set(each) for each in overrides.values()))
    experiments = {summary.experiment for summary in summaries.values()}
    names = {}
    for folder, own in overrides.items():
        words = [_shortened(word) for word in own if word not in shared]
        if len(experiments) > 1 and not any(word.startswith("method=") for word in words):
            words.insert(0, summaries[folder].experiment)
        names[folder] = " ".join(words)
    counts = Counter(names.values())
    return {
        folder: name if name and counts[name] == 1 else f"{name} {_place(folder)}".strip()
        for folder, name in names.items()
    }


def _overrides(summary: RunSummary) -> list[str]:
    words = shlex.split(summary.command)
    return [word for word in words if "=" in word and not word.startswith(("hydra", "-"))]


def _shortened(override: str) -> str:
    """`method.learning_rate=1e-6` as `learning_rate=1e-6`."""
    name, _, value = override.lstrip("+~").partition("=")
    return f"{name.rpartition('.')[2]}={value}"


def _place(folder: Path) -> str:
    return "/".join(folder.parts[-2:])
