"""The records that pass between stages, and how they are written: one JSON object per line.

Every record is a frozen dataclass. Reading validates each row against its record, so that a row
of another shape is an error that names the file and the line, never a silent default.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from coderl_exp.errors import StoreError

Record = TypeVar("Record")


class VerdictStatus(StrEnum):
    """How a candidate ended. `sandbox_error` is an infrastructure failure, not a verdict."""

    passed = "passed"
    wrong_answer = "wrong_answer"
    runtime_error = "runtime_error"
    timeout = "timeout"
    memory_limit = "memory_limit"
    output_limit = "output_limit"
    syntax_error = "syntax_error"
    missing_entry_point = "missing_entry_point"
    no_code = "no_code"
    blocked = "blocked"
    sandbox_error = "sandbox_error"


@dataclass(frozen=True, kw_only=True)
class Message:
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str

    def as_dict(self) -> dict[str, str]:
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True, kw_only=True)
class StdinTest:
    """One run of a whole program: what it reads on standard input and what it must print."""

    stdin: str
    stdout: str


@dataclass(frozen=True, kw_only=True)
class OutputRule:
    """How printed output may differ from the expected one, beyond white space."""

    float_tolerance: float | None = None
    """Numbers may differ by this, absolutely or relative to the larger; None: compare as text."""
    ignore_case: bool = False


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a dataset says of a problem beyond what poses and judges it."""

    difficulty: str = ""
    source: str = ""
    url: str = ""
    tags: tuple[str, ...] = ()
    time_limit_s: float | None = None
    memory_limit_mb: float | None = None
    is_special_judge: bool = False
    """Several answers are right, of which the tests know one."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A task. Its `tests` decide the verdict; the first `num_visible_tests` are shown."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    task_id: str
    """`<dataset>/<id>`, for example `mbpp/17`."""
    split: Literal["train", "test", "validation", "prompt"]
    """`prompt` is for the examples of few-shot prompts."""
    text: str
    entry_point: str | None
    """The function or class that the tests call; None for a program judged by its output."""
    signature: str = ""
    """`def name(args):` of the reference, shown in the prompt."""
    starter_code: str = ""
    """What a solution begins with, as the dataset gives it."""
    references: tuple[str, ...]
    """Solutions; after an audit, those that pass."""
    tests: tuple[str, ...] | tuple[StdinTest, ...]
    """Test statements of an entry point, or runs of a whole program."""
    readings: tuple[tuple[str, ...], ...] = ()
    """Other things that the dataset's tests may mean; an audit finds the right one."""
    setup_code: str = ""
    """Runs after the candidate's code; its import statements also run before it."""
    output_rule: OutputRule = OutputRule()
    num_visible_tests: int = 3
    timeout_s: float | None = None
    """CPU seconds, as in `Program`, where an audit or the dataset has set them."""
    prompt: tuple[Message, ...] = ()
    """What every stage and every trainer shows to the model (`prompts.py`)."""
    origin: Origin = Origin()

    @property
    def reference(self) -> str:
        """The first solution; empty where there is none."""
        return self.references[0] if self.references else ""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One completion of one problem: a row of `candidates.jsonl`."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    task_id: str
    index: int
    """0 … num_candidates − 1 within the problem."""
    seed: int
    completion: str
    """Raw model text, without special tokens and cut after the first stop string."""
    num_prompt_tokens: int
    num_completion_tokens: int
    finish_reason: Literal["eos", "stop", "length"]


@dataclass(frozen=True, kw_only=True)
class ModelRef:
    """Where a model is and what it is; picklable and JSON-able."""

    path: str
    """A folder or a hub id."""
    revision: str | None
    dtype: str
    identity: str
    """Digest of the weights, or hub id and revision."""
    adapter: str | None = None
    """A LoRA adapter that is served on top of it, unmerged."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """What the judge runs: a candidate's code (None: nothing was extracted) and the tests."""

    code: str | None
    entry_point: str | None
    """The function that the tests call; None for a program that is judged by what it prints."""
    tests: tuple[str, ...] | tuple[StdinTest, ...]
    """Test statements of an entry point, or runs of a whole program."""
    setup_code: str = ""
    output_rule: OutputRule = OutputRule()
    timeout_s: float | None = None
    """CPU seconds, for all asserts together or for each run; None: `sandbox.timeout_s`."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What judging one candidate cost. Measured, so never part of what two runs must agree on."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    task_id: str = ""
    index: int = 0
    cpu_s: float
    wall_s: float
    memory_mb: float
    longest_run_s: float = 0.0
    """CPU seconds, of a program that runs once per test."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The judge's answer for one candidate; deterministic, apart from `usage`."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    status: VerdictStatus
    tests: tuple[VerdictStatus | None, ...]
    """Per test, in order; None where judging stopped before it."""
    error: str = ""
    """The exception's type and last line, or which assert did not hold."""
    output: str = ""
    """What the program printed, truncated; addresses are masked."""
    usage: Usage | None = None

    @property
    def passed(self) -> bool:
        return self.status is VerdictStatus.passed


@dataclass(frozen=True, kw_only=True)
class JudgedCandidate:
    """A candidate, its code and its verdict: one row of `candidates_annotated.jsonl`."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    candidate: Candidate
    code: str | None
    extraction_rule: str
    """Which rule of `extraction.py` found the code; `none` where there is no code."""
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class CodeMetrics:
    """Size and shape of a program; fewer is better in every field."""

    lines: int
    tokens: int
    cyclomatic_complexity: int
    nesting: int


@dataclass(frozen=True, kw_only=True)
class RankedCandidate:
    """One row of `nbest.jsonl`: a distinct passing program and its rank within its problem."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    task_id: str
    index: int
    rank: int
    """0 is the best."""
    code: str
    metrics: CodeMetrics
    novelty: float
    """1 − the greatest token similarity to a better-ranked passer of the problem, in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class PreferencePair:
    """One row of `pairs.jsonl`: a prompt and two completions, the chosen one passing its tests."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    task_id: str
    kind: Literal["pass_over_fail", "pass_over_pass"]
    prompt: tuple[Message, ...]
    chosen: str
    rejected: str
    chosen_index: int
    rejected_index: int
    chosen_status: VerdictStatus
    rejected_status: VerdictStatus


@cache
def _adapter(record_type: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(record_type)  # type: ignore[arg-type]


def to_json(record: Any) -> str:
    """One line of JSON with the record's keys in declaration order; without the measured usage.

    `Usage` records are written to a file of their own (see `Usage`).
    """
    plain = _adapter(record.__class__).dump_python(record, mode="json")
    if isinstance(record, JudgedCandidate):
        plain["verdict"].pop("usage")
    return json.dumps(plain, ensure_ascii=False)


def write_jsonl(path: Path, records: Iterable[object]) -> None:
    """Write all records; the caller makes the file's appearance atomic."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(to_json(record) + "\n" for record in records)


def read_jsonl(path: Path, record_type: type[Record]) -> Iterator[Record]:
    """Yield validated records.

    Raises:
        StoreError: a row does not fit the record; names the file, the line and the field.
    """
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            yield _parse(line, record_type, path, number)


def _parse(line: str, record_type: Any, path: Path, number: int) -> Any:
    try:
        return _adapter(record_type).validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the row"
        raise StoreError(
            f"{path}:{number} is not a {record_type.__name__}: {field}: {first['msg']}. "
            "The file was edited or cut short; delete it to have it made again."
        ) from None
