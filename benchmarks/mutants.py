"""Candidates made from reference solutions: right, wrong, raising, broken and endless ones.

The same seed and data give the same candidates. No two of them are the same program, because a
judge may answer the second of two equal programs from memory.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.mutators import BROKEN, ENDLESS_LOOP, ERROR, VALUE, Edit
from coderl_exp.config import DatasetConfig, compose_config
from coderl_exp.dataset import load_dataset
from coderl_exp.errors import DataError
from coderl_exp.records import Problem, Program, StdinTest

REFERENCE = "reference"
LOOP = "endless_loop"
LOOP_SHARE = 0.01
KINDS = (REFERENCE, *VALUE, *ERROR, *BROKEN, LOOP)

FILES = {"mbpp": "mbpp.jsonl", "sanitized": "sanitized-mbpp.json"}
STDIN_FILE = "stdin_problems.jsonl"

Plan = Sequence[Mapping[str, Edit]]
"""From which edits each mutant of a subject is chosen."""

_FOUR: Plan = (VALUE, VALUE, ERROR, BROKEN)
_EVERY_KIND: Plan = [
    {kind: edit} for group in (VALUE, ERROR, BROKEN) for kind, edit in group.items()
]
_ATTEMPTS = 30


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A candidate, and what was done to the reference to make it."""

    task_id: str
    kind: str
    """One of `KINDS`."""
    program: Program
    deliberate_timeout: bool = False


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A problem whose reference solution is the program's code."""

    task_id: str
    program: Program


def promised_statuses(kind: str, *, of_function: bool) -> frozenset[str]:
    """How a candidate of that kind ends if its reference passes; all five where it depends."""
    if kind in ERROR or kind in ("missing_function", "renamed_function"):
        return frozenset({"runtime_error"})
    match kind:
        case "reference":
            return frozenset({"passed"})
        case "prints":
            return frozenset({"passed" if of_function else "wrong_answer"})
        case "dropped_colon" | "dropped_parenthesis" | "broken_indentation":
            return frozenset({"syntax_error"})
        case "endless_loop":
            return frozenset({"timeout"})
    return frozenset({"passed", "wrong_answer", "runtime_error", "syntax_error", "timeout"})


def read_functions(data: Path) -> list[Subject]:
    """MBPP's two files.

    Raises:
        DataError: a file is missing; names it.
    """
    problems: list[Problem] = []
    for name, file in FILES.items():
        problems += load_dataset(_dataset(name, _existing(data / file))).problems
    return [Subject(task_id=problem.task_id, program=_program(problem)) for problem in problems]


def read_stdin_programs(data: Path) -> list[Subject]:
    """Whole programs with what they read and must print.

    Raises:
        DataError: the file is missing.
    """
    lines = _existing(data / STDIN_FILE).read_text(encoding="utf-8").splitlines()
    return [subject for line in lines for subject in _stdin_subjects(json.loads(line))]


def make_mutants(
    subjects: Sequence[Subject], *, seed: int, every_kind: bool = False
) -> list[Mutant]:
    """Each subject's reference and its mutants, and 1 % endless loops, without repetitions.

    A function gets four mutants; a whole program, and with `every_kind` a function too, one of
    every kind that applies.
    """
    distinct: dict[Program, Mutant] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # of the references' own strings
        for subject in subjects:
            plan = _EVERY_KIND if every_kind or subject.program.entry_point is None else _FOUR
            rng = Random(f"{seed}/{subject.task_id}")
            for mutant in _mutants_of(subject, plan, rng, distinct):
                distinct.setdefault(mutant.program, mutant)
        for mutant in _endless_loops(subjects, seed, len(distinct)):
            distinct.setdefault(mutant.program, mutant)
    return list(distinct.values())


def sample(mutants: Sequence[Mutant], size: int | None, *, seed: int) -> list[Mutant]:
    """A random part with the same share of endless loops, in the original order."""
    if size is None or size >= len(mutants):
        return list(mutants)
    loops = [i for i, mutant in enumerate(mutants) if mutant.deliberate_timeout]
    others = [i for i, mutant in enumerate(mutants) if not mutant.deliberate_timeout]
    num_loops = min(len(loops), math.ceil(size * LOOP_SHARE))
    rng = Random(f"{seed}/sample")
    chosen = rng.sample(others, size - num_loops) + rng.sample(loops, num_loops)
    return [mutants[i] for i in sorted(chosen)]


def copies(programs: Sequence[Program], total: int) -> Iterator[Program]:
    """That many distinct programs, lazily: the given ones, over and over, with a comment each."""
    for number in range(total):
        program = programs[number % len(programs)]
        yield replace(program, code=f"{program.code}\n# copy {number // len(programs)}\n")


def _mutants_of(
    subject: Subject, plan: Plan, rng: Random, seen: Mapping[Program, object]
) -> Iterator[Mutant]:
    """The reference, and mutants that differ from it, from each other and from what was seen."""
    yield Mutant(task_id=subject.task_id, kind=REFERENCE, program=subject.program)
    for edits in plan:
        kinds = list(edits)
        for _ in range(_ATTEMPTS):
            kind = rng.choice(kinds)
            program = _edited(subject, edits[kind], rng)
            if program and program not in seen and program.code != subject.program.code:
                yield Mutant(task_id=subject.task_id, kind=kind, program=program)
                break


def _edited(subject: Subject, edit: Edit, rng: Random) -> Program | None:
    code = edit(subject.program.code or "", subject.program.entry_point, rng)
    return None if code is None else replace(subject.program, code=code)


def _endless_loops(subjects: Sequence[Subject], seed: int, num_others: int) -> Iterator[Mutant]:
    rng = Random(f"{seed}/{LOOP}")
    number = min(len(subjects), math.ceil(num_others * LOOP_SHARE))
    for subject in rng.sample(list(subjects), number):
        program = _edited(subject, ENDLESS_LOOP, rng)
        if program:
            yield Mutant(
                task_id=subject.task_id, kind=LOOP, program=program, deliberate_timeout=True
            )


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise DataError(
            f"{path} is missing: give --data a folder with MBPP's {' and '.join(FILES.values())} "
            f"(and {STDIN_FILE} for --stdin). The data is not part of this project."
        )
    return path.resolve()


def _dataset(name: str, path: Path) -> DatasetConfig:
    return compose_config(
        "dataset=mbpp",
        f"dataset.name={name}",
        f"dataset.path='{path}'",
        "dataset.train_ids=[0,600]",
        "dataset.test_ids=[601,1000000]",
        "dataset.validation_ids=null",
        "dataset.prompt_ids=null",
    ).dataset


def _program(problem: Problem) -> Program:
    return Program(
        code=problem.reference,
        entry_point=problem.entry_point,
        tests=problem.tests,
        setup_code=problem.setup_code,
    )


def _stdin_subjects(row: Mapping[str, str]) -> Iterator[Subject]:
    runs, solutions = _decoded(row["input_output"]), _decoded(row["solutions"])
    tests = tuple(
        StdinTest(stdin=given, stdout=expected)
        for given, expected in zip(runs["inputs"], runs["outputs"], strict=True)
    )
    for number, code in enumerate(solutions):
        program = Program(code=code, entry_point=None, tests=tests)
        yield Subject(task_id=f"stdin/{row['id']}.{number}", program=program)


def _decoded(column: object) -> Any:
    """A column that holds JSON, or what was decoded from it already."""
    return json.loads(column) if isinstance(column, str) else column
