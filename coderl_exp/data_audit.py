"""The data proves itself: every reference solution is judged against its own tests before use.

A problem that none of its solutions passes is quarantined: it leaves the train split, and pass@k is
given with and without it. So is a flaky one, none of whose solutions passes three times out of
three. Where a dataset's tests can be read in several ways, the first that a solution passes is
right. Time limits follow from what the solutions take on this machine.

What is decided here does not depend on `sandbox.timeout_s`: another limit judges again without
sampling again.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict

from coderl_exp.config import SandboxConfig
from coderl_exp.errors import SandboxError
from coderl_exp.progress import progress_bar
from coderl_exp.records import Problem, Verdict, VerdictStatus, to_json
from coderl_exp.sandbox import Judge
from coderl_exp.sandbox.calibration import MAX_REFERENCE_S
from coderl_exp.sandbox.programs import Tests, program_for
from coderl_exp.store import Summary, resume_jsonl

AUDIT_VERSION = 1
"""Part of every key that depends on audited data: raise it when the audit decides otherwise."""
AUDITS = "audits.jsonl"
_NUM_RUNS = 3
_CHUNK = 512
"""Problems that are kept together: an interrupted audit does as many again."""
_PATIENCE = 5.0
"""A solution may take so many times the dataset's own time limit."""
_LEAST_PATIENCE_S = 10.0


@dataclass(frozen=True, kw_only=True)
class ProblemAudit:
    """What the reference solutions of one problem say: a row of `audits.jsonl`."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    task_id: str
    split: str
    status: Literal["solvable", "flaky", "quarantined"]
    reason: str
    """Why it is not solvable: what became of its first solution."""
    num_references: int
    passing: tuple[int, ...]
    """The solutions that passed each time, by their positions."""
    reading: int
    """0: the tests as they stand; n: `Problem.readings[n - 1]`."""
    cpu_s: float
    """Of the first passing solution: all asserts together, or its longest run of a program."""
    machine: str
    """Where that was measured."""


@dataclass(frozen=True, kw_only=True)
class _Runs:
    """One reference solution under one reading."""

    reference: int
    verdicts: tuple[Verdict, ...]

    @property
    def is_stable(self) -> bool:
        return all(verdict.passed for verdict in self.verdicts)

    @property
    def is_flaky(self) -> bool:
        return len({verdict.status for verdict in self.verdicts}) > 1


def run_audit(problems: Sequence[Problem], make_judge: Callable[[], Judge], work: Path) -> Summary:
    """Audit all problems, in chunks; what an interrupted audit has done is kept.

    Raises:
        SandboxError: a solution could not be judged.
    """
    done = resume_jsonl(work / AUDITS, ProblemAudit)
    judge = make_judge()
    with (
        (work / AUDITS).open("a", encoding="utf-8") as file,
        progress_bar("audit", len(problems), "problems", done=len(done)) as bar,
    ):
        for start in range(len(done), len(problems), _CHUNK):
            audits = audit_problems(problems[start : start + _CHUNK], judge)
            file.writelines(to_json(audit) + "\n" for audit in audits)
            file.flush()
            done += audits
            bar.advance(len(audits))
    return Summary(counts={"problems": len(done), **count_statuses(done)})


def count_statuses(audits: Sequence[ProblemAudit]) -> dict[str, int]:
    """Status → problems; all three are named."""
    statuses = [audit.status for audit in audits]
    return {name: statuses.count(name) for name in ("solvable", "flaky", "quarantined")}


def audit_problems(problems: Sequence[Problem], judge: Judge) -> list[ProblemAudit]:
    """One audit per problem, in order.

    Raises:
        SandboxError: a solution could not be judged.
    """
    runs: dict[str, list[_Runs]] = {}
    reading_of: dict[str, int] = {}
    remaining = list(problems)
    for reading in range(1 + max((len(p.readings) for p in problems), default=0)):
        tried = [p for p in remaining if reading <= len(p.readings)]
        for problem, found in zip(tried, _judged(tried, reading, judge), strict=True):
            if reading == 0 or any(run.verdicts[0].passed for run in found):
                runs[problem.task_id], reading_of[problem.task_id] = found, reading
        remaining = [p for p in tried if not any(r.verdicts[0].passed for r in runs[p.task_id])]
    return [_audit(p, runs[p.task_id], reading_of[p.task_id]) for p in problems]


def _judged(problems: Sequence[Problem], reading: int, judge: Judge) -> Iterator[list[_Runs]]:
    """Per problem, its solutions' runs; what timed out or could not even start is not repeated."""
    names = [(p, n) for p in problems for n in range(len(p.references))]
    verdicts = [[verdict] for verdict in _round(names, reading, judge)]
    repeated = [i for i, (first,) in enumerate(verdicts) if first.status not in _FINAL]
    again = [names[i] for i in repeated]
    with ThreadPoolExecutor(_NUM_RUNS - 1) as pool:
        # In one stream the judge would take equal programs for one.
        rounds = [pool.submit(_round, again, reading, judge) for _ in range(_NUM_RUNS - 1)]
        for each in rounds:
            for i, verdict in zip(repeated, each.result(), strict=True):
                verdicts[i].append(verdict)
    found = iter(zip(names, verdicts, strict=True))
    for problem in problems:
        rows = [next(found) for _ in problem.references]
        yield [_Runs(reference=n, verdicts=tuple(row)) for (_, n), row in rows]


_FINAL = frozenset(
    {VerdictStatus.timeout, VerdictStatus.syntax_error, VerdictStatus.missing_entry_point}
)


def _round(names: Sequence[tuple[Problem, int]], reading: int, judge: Judge) -> list[Verdict]:
    programs = (
        program_for(p, p.references[n], _patience_s(p), tests_of(p, reading)) for p, n in names
    )
    verdicts = list(judge.run(programs))
    for (problem, _), verdict in zip(names, verdicts, strict=True):
        if verdict.status is VerdictStatus.sandbox_error:
            raise SandboxError(
                f"a reference solution of {problem.task_id} could not be judged "
                f"({verdict.error}): free memory or processes on this machine and run the same "
                "command again."
            )
    return verdicts


def tests_of(problem: Problem, reading: int) -> Tests:
    """The tests under a reading, as `ProblemAudit.reading` counts them."""
    return problem.readings[reading - 1] if reading else problem.tests


def _patience_s(problem: Problem) -> float:
    own = _PATIENCE * (problem.origin.time_limit_s or 0.0)
    return min(MAX_REFERENCE_S, max(own, _LEAST_PATIENCE_S))


def _audit(problem: Problem, runs: Sequence[_Runs], reading: int) -> ProblemAudit:
    stable = [run for run in runs if run.is_stable]
    is_flaky = not stable and any(run.is_flaky for run in runs)
    usages = [v.usage for v in stable[0].verdicts if v.usage] if stable else []
    is_stdin = problem.entry_point is None
    cpu_s = max((u.longest_run_s if is_stdin else u.cpu_s for u in usages), default=0.0)
    return ProblemAudit(
        task_id=problem.task_id,
        split=problem.split,
        status="solvable" if stable else "flaky" if is_flaky else "quarantined",
        reason="" if stable else _reason(runs),
        num_references=len(problem.references),
        passing=tuple(run.reference for run in stable),
        reading=reading,
        cpu_s=round(cpu_s, 4),
        machine=machine(),
    )


def _reason(runs: Sequence[_Runs]) -> str:
    if not runs:
        return "no reference solution"
    shown = [verdict for verdict in runs[0].verdicts if not verdict.passed] or runs[0].verdicts
    statuses = "/".join(dict.fromkeys(str(v.status) for v in runs[0].verdicts))
    return f"{statuses}: {shown[0].error}"[:300]


def apply_audit(
    problems: Sequence[Problem], audits: Mapping[str, ProblemAudit], config: SandboxConfig
) -> list[Problem]:
    """With the right tests, passing solutions and time limits; unsolvable ones stay in test only.

    A test problem that is not solvable keeps no solution.
    """
    return [
        replace(
            problem,
            tests=tests_of(problem, audit.reading),
            readings=(),
            references=tuple(problem.references[n] for n in audit.passing),
            timeout_s=_timeout_s(problem, audit, config),
        )
        for problem in problems
        if (audit := audits[problem.task_id]).status == "solvable"
        or problem.split in ("test", "validation")
    ]


def _timeout_s(problem: Problem, audit: ProblemAudit, config: SandboxConfig) -> float | None:
    """None where a solution has yet to be timed on this machine."""
    if audit.status == "solvable" and audit.machine != machine():
        return None
    scaled = config.reference_timeout_factor * audit.cpu_s
    return round(max(problem.origin.time_limit_s or 0.0, scaled), 2)


@cache
def machine() -> str:
    """What times depend on: the processor and the interpreter."""
    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    except OSError:  # not Linux
        pass
    return f"{name}, Python {platform.python_version()}"
