"""How fast the judge is beside its peers and beside this machine's limits, and whether it is right.

`python benchmarks/judge.py --data ../shared/data` makes candidates from MBPP's references, asks
plain Python about each, and then times every contender in rounds. See `docs/judge.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import judge_growth, judge_report, peers
from benchmarks.contenders import (
    CONTENDERS,
    JUDGES,
    LIMITS,
    ONLY_FUNCTIONS,
    ContenderError,
    Job,
    measure,
)
from benchmarks.judge_candidates import Candidates, split, truth_about
from benchmarks.judge_options import EVALPLUS, parse_arguments
from benchmarks.judge_report import Run
from benchmarks.mutants import (
    LOOP_SHARE,
    Mutant,
    make_mutants,
    read_functions,
    read_stdin_programs,
    sample,
)
from coderl_exp.errors import CoderlError, DataError

GROWTH_SAMPLE = 1000
"""Candidates that are judged over and over to see growth, unless `--sample` says otherwise."""


def main(arguments: Sequence[str] | None = None) -> int:
    """0: no unexplained difference from plain Python; 1: there is one; 2: data is missing."""
    options = parse_arguments(__doc__.split("\n")[0], arguments)
    try:
        subjects = (read_stdin_programs if options.stdin else read_functions)(options.data)
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    size = options.sample or (GROWTH_SAMPLE if options.growth else None)
    mutants = sample(make_mutants(subjects, seed=options.seed), size, seed=options.seed)
    say(f"plain Python about {len(mutants):,} candidates")
    truths = truth_about(mutants, options.timeout_s, options.truth)
    candidates = split(mutants, truths, options.timeout_s)
    if options.growth:
        return report_growth(candidates, options)
    contenders = chosen_contenders(options)
    print(headline(candidates, len(subjects), options), flush=True)
    runs = timed_rounds(candidates, contenders, options)
    looped = [] if options.no_loops else timed_with_loops(candidates, contenders, options)
    rest = run_of_the_rest(candidates, looped, options)
    return report(candidates, runs, looped, rest, options)


def chosen_contenders(options: argparse.Namespace) -> list[str]:
    """In their order, without those that this machine lacks, which is said."""
    chosen = [name for name in CONTENDERS if options.only is None or name in options.only]
    if options.stdin:
        chosen = [name for name in chosen if name not in ONLY_FUNCTIONS]
    if options.evalplus:
        # Found by the contenders' processes through PYTHONPATH, and here to see that it is there.
        sys.path.append(str(options.evalplus.resolve()))
        os.environ["PYTHONPATH"] = str(options.evalplus.resolve())
    if "evalplus" in chosen and not peers.evalplus_is_there():
        say(f"evalplus is not installed and left out: {EVALPLUS}, then --evalplus FOLDER")
        chosen.remove("evalplus")
    return chosen


def timed_rounds(
    candidates: Candidates, contenders: Sequence[str], options: argparse.Namespace
) -> list[Run]:
    """Contenders take turns, so that a busy spell of the machine hits all of them."""
    turns = [
        (round_, workers, contender)
        for round_ in range(options.rounds)
        for workers in options.workers
        for contender in contenders
    ]
    runs: list[Run] = []
    for round_, workers, contender in turns:
        part = part_for(contender, candidates.quick, options)
        runs += timed(contender, part, workers, options, f"round {round_ + 1}")
    return runs


def timed_with_loops(
    candidates: Candidates, contenders: Sequence[str], options: argparse.Namespace
) -> list[Run]:
    """One round with the most workers."""
    runs: list[Run] = []
    for contender in contenders:
        if contender in LIMITS:
            continue
        part = part_for(contender, candidates.quick, options)
        part += candidates.loops[: max(1, round(LOOP_SHARE * len(part)))]
        Random(options.seed).shuffle(part)
        runs += timed(contender, part, max(options.workers), options, "with endless loops")
    return runs


def run_of_the_rest(
    candidates: Candidates, looped: Sequence[Run], options: argparse.Namespace
) -> list[Run]:
    """The judges' verdicts about what no other run had; its time says nothing."""
    runs: list[Run] = []
    for run in looped:
        seen = set(map(id, run.mutants))
        rest = [mutant for mutant in candidates.everything if id(mutant) not in seen]
        if run.contender in JUDGES and rest:
            runs += timed(run.contender, rest, run.workers, options, "near the time limit")
    return runs


def part_for(
    contender: str, mutants: Sequence[Mutant], options: argparse.Namespace
) -> list[Mutant]:
    """All for judges and limits, a fixed random part for the slow peers."""
    everything = contender in JUDGES or contender in LIMITS or not options.peer_sample
    return sample(mutants, None if everything else options.peer_sample, seed=options.seed)


def timed(
    contender: str, mutants: Sequence[Mutant], workers: int, options: argparse.Namespace, when: str
) -> list[Run]:
    """One run; none where a peer failed, which is said and no reason to stop."""
    job = Job(
        contender=contender,
        programs=[mutant.program for mutant in mutants],
        workers=workers,
        timeout_s=options.timeout_s,
    )
    try:
        measured, peak = measure(job)
    except ContenderError as error:
        if contender in JUDGES:
            raise
        say(f"{when}: {error}")
        return []
    run = Run(contender=contender, workers=workers, mutants=mutants, measured=measured, peak=peak)
    say(f"{when}: {contender}, {workers} workers: {run.rate:,.1f}/s")
    return [run]


def headline(candidates: Candidates, num_problems: int, options: argparse.Namespace) -> str:
    kind = "stdin programs" if options.stdin else "functions"
    kinds = len({mutant.kind for mutant in candidates.everything})
    return "\n".join(
        [
            f"{len(candidates.everything):,} candidates ({kind}) of {num_problems:,} problems, "
            f"{kinds} kinds, seed {options.seed}, time limit {options.timeout_s:g} s",
            f"  {len(candidates.quick):,} timed; {len(candidates.loops)} deliberate endless loops "
            f"and {len(candidates.slow)} near the limit apart",
            f"{os.cpu_count()} CPUs, {_cpu_name()}, Python {platform.python_version()}, load "
            f"{os.getloadavg()[0]:.1f}",
        ]
    )


def report(
    candidates: Candidates,
    runs: Sequence[Run],
    looped: Sequence[Run],
    rest: Sequence[Run],
    options: argparse.Namespace,
) -> int:
    workers = max(options.workers)
    everything = [*runs, *looped, *rest]
    found = judge_report.differences(everything, candidates.truths, options.timeout_s, workers)
    wrong = judge_report.wrong_verdicts(found)
    print(judge_report.about_judges(everything))
    print("\n" + judge_report.table(runs, wrong, _THROUGHPUT))
    if looped:
        print("\n" + judge_report.table(looped, wrong, _WITH_LOOPS))
        print("\n" + judge_report.time_limit_share(looped, options.timeout_s))
    print("\n" + judge_report.agreement(found, _judged(everything)))
    if options.json:
        plain = judge_report.as_json(everything, found)
        options.json.write_text(json.dumps(plain, indent=1) + "\n")
    unexplained = [d for d in found if d.contender in JUDGES and not d.is_explained]
    return 1 if any(d.is_about_passing for d in unexplained) else 0


_THROUGHPUT = """Throughput, medians of the rounds, without the endless loops
(cand/s: without the start · judge is: its speed over the contender's, same workers · CPU ms per
candidate, all processes · wrong: passed or failed against plain Python, any round · RSS: own +
descendants' sum, and their number · peers run a fixed random part of the candidates)"""
_WITH_LOOPS = """Throughput with 1 % endless loops, once
(each costs every contender one worker for the whole time limit, whatever it does, and so hides
the rest: a hundred candidates take at least limit / workers; the machine's limits have no row)"""


def report_growth(candidates: Candidates, options: argparse.Namespace) -> int:
    """Only of the default judge, unless `--only` names others."""
    options.only = options.only or ("judge",)
    rows = [
        judge_growth.row(name, candidates.quick, size, max(options.workers), options.timeout_s)
        for name in chosen_contenders(options)
        if name in JUDGES
        for size in options.sizes
    ]
    print(judge_growth.table(rows))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return 0


def say(text: str) -> None:
    """Progress, apart from the report."""
    print(text, file=sys.stderr, flush=True)


def _judged(runs: Iterable[Run]) -> Counter[str]:
    """Distinct candidates that each contender gave a status to."""
    seen: dict[str, set[int]] = {}
    for run in runs:
        if run.measured.statuses:
            seen.setdefault(run.contender, set()).update(map(id, run.mutants))
    return Counter({contender: len(mutants) for contender, mutants in seen.items()})


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (CoderlError, ContenderError) as error:
        sys.exit(f"error: {error}")
