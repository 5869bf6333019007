"""Candidates in, verdicts out: annotation, appended in chunks and continued after a kill."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from coderl_exp.config import SandboxConfig
from coderl_exp.errors import SandboxError
from coderl_exp.extraction import code_of
from coderl_exp.judging_ahead import EarlyVerdicts, Name
from coderl_exp.metrics import verdict_counts
from coderl_exp.progress import progress_bar
from coderl_exp.records import (
    Candidate,
    JudgedCandidate,
    Problem,
    Program,
    Usage,
    Verdict,
    VerdictStatus,
    read_jsonl,
    to_json,
    write_jsonl,
)
from coderl_exp.sandbox import IsolationReport, Judge
from coderl_exp.sandbox.calibration import reference_timeouts
from coderl_exp.sandbox.programs import program_for
from coderl_exp.store import Summary, resume_jsonl

ANNOTATED = "candidates_annotated.jsonl"
USAGE = "usage.jsonl"
_CHUNK = 32
_ERROR = VerdictStatus.sandbox_error


def annotate(
    label: str,
    candidates_file: Path,
    problems: Mapping[str, Problem],
    make_judge: Callable[[], Judge],
    config: SandboxConfig,
    early: EarlyVerdicts,
    work: Path,
) -> Summary:
    """Judge every candidate against its problem's tests, in order; `early` ones are judged already.

    The time limits follow from the references' (`reference_timeouts`).

    Raises:
        SandboxError: more infrastructure failures than `max_sandbox_error_rate`.
    """
    candidates = list(read_jsonl(candidates_file, Candidate))
    judged, usages = _completed_verdicts(work)
    remaining = candidates[len(judged) :]
    extractions = [code_of(c.completion, problems[c.task_id]) for c in remaining]
    judge = make_judge()
    judged_problems = {c.task_id: problems[c.task_id] for c in remaining}
    timeouts = early.timeouts
    if timeouts is None:
        timeouts = reference_timeouts(judge, judged_problems.values(), config)
    programs = {
        (candidate.task_id, candidate.index): program_for(
            problems[candidate.task_id], extraction.code, timeouts.get(candidate.task_id)
        )
        for candidate, extraction in zip(remaining, extractions, strict=True)
    }
    with (
        (work / USAGE).open("a", encoding="utf-8") as usage_file,
        (work / ANNOTATED).open("a", encoding="utf-8") as file,
        progress_bar(label, len(candidates), "verdicts", done=len(judged)) as bar,
    ):
        verdicts = _verdicts(judge, programs, early.verdicts)
        rows = zip(remaining, extractions, verdicts, strict=True)
        while chunk := list(islice(rows, _CHUNK)):
            for candidate, extraction, verdict in chunk:
                usages.append(_usage_of(candidate, verdict.usage))
                judged.append(
                    JudgedCandidate(
                        candidate=candidate,
                        code=extraction.code,
                        extraction_rule=extraction.rule,
                        verdict=verdict,
                    )
                )
            # Usage first: a verdict without its usage would be lost work, the reverse is cut off.
            usage_file.writelines(to_json(row) + "\n" for row in usages[-len(chunk) :])
            usage_file.flush()
            file.writelines(to_json(row) + "\n" for row in judged[-len(chunk) :])
            file.flush()
            bar.advance(len(chunk))
    _check_sandbox_errors(judged, config.max_sandbox_error_rate)
    num_early = len(programs.keys() & early.verdicts.keys())
    return _annotation_summary(judged, usages, judge.describe(), len(timeouts), num_early)


def _verdicts(
    judge: Judge, programs: Mapping[Name, Program], early: Mapping[Name, Verdict]
) -> Iterator[Verdict]:
    """In the order of the programs; the judge runs those without an early verdict."""
    late = judge.run(program for name, program in programs.items() if name not in early)
    for name in programs:
        yield early[name] if name in early else next(late)


def _usage_of(candidate: Candidate, usage: Usage | None) -> Usage:
    """The measured cost under the candidate's name; zero where nothing ran."""
    measured = usage or Usage(cpu_s=0.0, wall_s=0.0, memory_mb=0.0)
    return replace(measured, task_id=candidate.task_id, index=candidate.index)


def _completed_verdicts(work: Path) -> tuple[list[JudgedCandidate], list[Usage]]:
    """What an interrupted run judged, up to the first failure of the judge: that is tried again."""
    judged = resume_jsonl(work / ANNOTATED, JudgedCandidate)
    usages = resume_jsonl(work / USAGE, Usage)
    errors = (i for i, row in enumerate(judged) if row.verdict.status is _ERROR)
    num_kept = min(next(errors, len(judged)), len(usages))
    for path, rows in ((ANNOTATED, judged), (USAGE, usages)):
        if len(rows) > num_kept:
            write_jsonl(work / path, rows[:num_kept])
    return judged[:num_kept], usages[:num_kept]


def _check_sandbox_errors(judged: Sequence[JudgedCandidate], max_rate: float) -> None:
    failed = [row for row in judged if row.verdict.status is _ERROR]
    if len(failed) > max_rate * len(judged):
        raise SandboxError(
            f"{len(failed)} of {len(judged)} candidates could not be judged (last: "
            f"{failed[-1].verdict.error}), more than sandbox.max_sandbox_error_rate={max_rate}: "
            "free memory or processes on this machine and run the same command again."
        )


def _annotation_summary(
    judged: Sequence[JudgedCandidate],
    usages: Sequence[Usage],
    isolation: IsolationReport,
    num_longer_timeouts: int,
    num_early: int,
) -> Summary:
    return Summary(
        counts={
            "candidates": len(judged),
            **verdict_counts(judged),
            "problems_with_longer_timeout": num_longer_timeouts,
            "judged_while_generating": num_early,
        },
        sandbox_cpu_s=round(sum(usage.cpu_s for usage in usages), 3),
        isolation={**dict.fromkeys(isolation.active, "on"), **isolation.missing},
    )


def read_judged(folder: Path) -> list[JudgedCandidate]:
    """The rows of an annotation with their measured usage."""
    judged = read_jsonl(folder / ANNOTATED, JudgedCandidate)
    usages = read_jsonl(folder / USAGE, Usage)
    return [
        replace(row, verdict=replace(row.verdict, usage=usage))
        for row, usage in zip(judged, usages, strict=True)
    ]
