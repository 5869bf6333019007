"""The TACO fixture: problems of our own in TACO's columns, with all that loaders get wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coderl_exp.config import PROJECT_ROOT, TACODatasetConfig, compose_config
from coderl_exp.dataset import load_dataset
from coderl_exp.records import Problem

FIXTURE = PROJECT_ROOT / "tests" / "fixtures" / "taco.jsonl"
COLUMNS = (
    "question", "solutions", "starter_code", "input_output", "difficulty", "raw_tags", "name",
    "source", "tags", "skill_types", "url", "Expected Auxiliary Space", "time_limit", "date",
    "picture_num", "memory_limit", "Expected Time Complexity",
)  # fmt: skip


def config(path: Path = FIXTURE, *overrides: str) -> TACODatasetConfig:
    composed = compose_config(
        "dataset=taco", f"dataset.path='{path}'", "dataset.use_special_judge=true", *overrides
    ).dataset
    assert isinstance(composed, TACODatasetConfig)
    return composed


def loaded(*overrides: str, path: Path = FIXTURE) -> Sequence[Problem]:
    return load_dataset(config(path, *overrides)).problems


def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in FIXTURE.read_text(encoding="utf-8").splitlines()]


def row(
    inputs: Sequence[Any], outputs: Sequence[Any], solutions: Sequence[str] = (), **columns: Any
) -> dict[str, Any]:
    """A row of TACO; `fn_name` goes where TACO has it."""
    content: dict[str, Any] = {"inputs": list(inputs), "outputs": list(outputs)}
    if "fn_name" in columns:
        content["fn_name"] = columns.pop("fn_name")
    filled = dict.fromkeys(COLUMNS) | {
        "question": "Add them.",
        "solutions": json.dumps(list(solutions)),
        "starter_code": "",
        "input_output": json.dumps(content),
        "difficulty": "EASY",
        "source": "own",
    }
    return filled | columns


def write_rows(path: Path, found: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in found), encoding="utf-8")
    return path
