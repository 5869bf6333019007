"""Problems in TACO's schema (https://arxiv.org/abs/2312.14852): whole programs and functions.

Rows are read one by one and trimmed at once, so that what is held in memory is what is kept. A row
that nothing can be made of is left out and counted; so is one that the selection does not want.

Not covered: programs in files, interactive problems, and linked lists or trees as arguments (their
reference solutions fail the audit).
"""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from coderl_exp.config import TACODatasetConfig
from coderl_exp.dataset.rows import dataset_rows
from coderl_exp.dataset.selection import SPLITS, choose_tests
from coderl_exp.dataset.splits import seeded_split
from coderl_exp.entry_points import parse_python
from coderl_exp.errors import DataError
from coderl_exp.io_tests import InputOutput, read_input_output
from coderl_exp.json_rows import Row
from coderl_exp.records import Origin, OutputRule, Problem, StdinTest

STARTER_IMPORTS = "from typing import Any, Deque, Dict, List, Optional, Set, Tuple, Union"
"""Starter code names these without importing them; the dataset's own grader imports them too."""
_FLOAT_TOLERANCE = 1e-6
_SPECIAL_JUDGE = re.compile(
    r"(if there (?:are|is) (?:several|multiple|many|more than one)[^.]*(?:print|output|return)[^.]*"
    r"\bany\b|(?:print|output|return|find) any (?:of them|one of them|such|valid|suitable|possible)"
    r"|any (?:valid|correct) (?:answer|solution|output)[^.]*accepted|"
    r"answers? (?:may|can) be (?:printed|given|output)[^.]*in any order)",
    re.IGNORECASE,
)
_ANY_CASE = re.compile(
    r"(?:in|either) (?:any|upper or lower|lower or upper|either) ?(?:register|case)\b|"
    r"each letter in any (?:case|register)|\bcase.insensitive\b|"
    r"(?:upper|lower) ?case or (?:upper|lower) ?case",
    re.IGNORECASE,
)
_MEGABYTES = {"b": 2**-20, "k": 2**-10, "m": 1.0, "g": 2.0**10}


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Of a row that gives no problem: why, in a word or two."""

    reason: str


def load_taco(config: TACODatasetConfig, left_out: Counter[str]) -> list[Problem]:
    """The problems of all splits in the order of the rows; reasons are counted in `left_out`.

    Raises:
        DataError: the data cannot be read.
    """
    problems: list[Problem] = []
    has_splits = has_validation = False
    for row in dataset_rows(config):
        has_splits |= row.split is not None
        has_validation |= row.split == "validation"
        found = read_taco_row(row, config)
        if isinstance(found, LeftOut):
            left_out[found.reason] += 1
        else:
            problems.append(found)
    if not has_splits:
        return seeded_split(
            problems, config.test_fraction, config.validation_fraction, config.split_seed
        )
    return problems if has_validation else _with_validation(problems, config)


def _with_validation(problems: list[Problem], config: TACODatasetConfig) -> list[Problem]:
    """Some of the train problems become the validation split that the data does not have."""
    train = [p for p in problems if p.split == "train"]
    drawn = seeded_split(train, config.validation_fraction, 0.0, config.split_seed)
    validation = {p.task_id for p in drawn if p.split == "test"}
    return [replace(p, split="validation") if p.task_id in validation else p for p in problems]


def read_taco_row(row: Row, config: TACODatasetConfig) -> Problem | LeftOut:
    """A problem, or why there is none."""
    origin = _origin(row)
    if reason := _unusable(row) or _unwanted(origin, config):
        return LeftOut(reason=reason)
    try:
        content = read_input_output(row, row.where)
        if not _is_wanted(content, config):
            return LeftOut(reason="another interface")
        return _problem(row, content, origin, config)
    except DataError:
        return LeftOut(reason="malformed tests")


def _unwanted(origin: Origin, config: TACODatasetConfig) -> str:
    if config.difficulties is not None and origin.difficulty not in config.difficulties:
        return "another difficulty"
    if config.sources is not None and origin.source not in config.sources:
        return "another source"
    if origin.is_special_judge and not config.use_special_judge:
        return "several right answers"
    return ""


def _unusable(row: Row) -> str:
    if row.split not in (None, *SPLITS):
        return "another split"
    question = row.columns.get("question")
    return "" if isinstance(question, str) and question.strip() else "no question"


def _is_wanted(content: InputOutput, config: TACODatasetConfig) -> bool:
    kind = "stdin" if content.function is None else "function"
    return config.interface.name in ("all", kind)


def _problem(row: Row, content: InputOutput, origin: Origin, config: TACODatasetConfig) -> Problem:
    task_id = _task_id(row, config)
    sizes = [len(json.dumps(pair, default=str)) for pair in content.pairs]
    kept = choose_tests(sizes, config, task_id)
    content = replace(content, pairs=tuple(content.pairs[i] for i in kept))
    is_stdin = content.function is None
    readings = () if is_stdin else content.readings()
    for reading in readings:
        for test in reading:
            parse_python(test, row.where)
    tests = content.runs() if is_stdin else readings[0]
    text = row.column("question", str)
    return Problem(
        task_id=task_id,
        split=row.split or "train",  # type: ignore[arg-type]  # of SPLITS, or drawn later
        text=text,
        entry_point=content.entry_point,
        starter_code=str(row.columns.get("starter_code") or "").replace("\r\n", "\n"),
        references=tuple(_references(row, config.max_references)),
        tests=tests,
        readings=readings[1:],
        setup_code="" if is_stdin else STARTER_IMPORTS,
        output_rule=_output_rule(content.runs(), text) if is_stdin else OutputRule(),
        num_visible_tests=0 if is_stdin else min(config.num_visible_tests, len(tests)),
        origin=origin,
    )


def _task_id(row: Row, config: TACODatasetConfig) -> str:
    """The row's own id, or its number, which counts within its split where there are splits."""
    own = row.columns.get("id")
    if own is not None:
        return f"{config.name}/{own}"
    return f"{config.name}/{f'{row.split}-' if row.split else ''}{row.number}"


def _references(row: Row, limit: int | None) -> Iterator[str]:
    """Distinct solutions in the order of the data; none where the column is no list."""
    source = row.columns.get("solutions") or []
    try:
        solutions = json.loads(source) if isinstance(source, str) else source
    except (ValueError, RecursionError):
        return
    if not isinstance(solutions, list):
        return
    texts = [s.replace("\r\n", "\n") for s in solutions if isinstance(s, str) and s.strip()]
    yield from list(dict.fromkeys(texts))[:limit]


def _origin(row: Row) -> Origin:
    def text(name: str) -> str:
        return str(row.columns.get(name) or "")

    return Origin(
        difficulty=text("difficulty") or "UNKNOWN_DIFFICULTY",
        source=text("source"),
        url=text("url"),
        tags=tuple(_listed(row.columns.get("tags"))),
        time_limit_s=_seconds(text("time_limit")),
        memory_limit_mb=_megabytes(text("memory_limit")),
        is_special_judge=_SPECIAL_JUDGE.search(text("question")) is not None,
    )


def _listed(value: object) -> list[str]:
    """A list, or the text of one."""
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            return []
    return [str(item) for item in value] if isinstance(value, list) else []


def _seconds(text: str) -> float | None:
    """`1.0 seconds`, `2 sec`, `500 ms`."""
    match = re.fullmatch(r"\s*(\d{1,9}(?:\.\d+)?)\s*(ms|milli\w*|s|sec\w*)\.?\s*", text.lower())
    if match is None:
        return None
    return float(match[1]) * (1e-3 if match[2].startswith("m") else 1.0)


def _megabytes(text: str) -> float | None:
    """`256.0 megabytes`, `64 MB`, `1 GB`."""
    match = re.fullmatch(r"\s*(\d{1,15}(?:\.\d+)?)\s*([bkmg])\w*\.?\s*", text.lower())
    return None if match is None else float(match[1]) * _MEGABYTES[match[2]]


def _output_rule(tests: Sequence[StdinTest], text: str) -> OutputRule:
    """Numbers are compared as such where one is expected that is not whole; case where it counts.

    The statement says where it does not.
    """
    has_floats = any(re.search(r"(?<!\S)-?\d+\.\d+(?!\S)", test.stdout) for test in tests)
    return OutputRule(
        float_tolerance=_FLOAT_TOLERANCE if has_floats else None,
        ignore_case=_ANY_CASE.search(text) is not None,
    )
