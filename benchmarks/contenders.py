"""Runs one contender once, in a process of its own, and measures it from outside.

`python -m benchmarks.contenders JOB` is that process: it reads a pickled job, judges, and writes
what it found beside it. Its parent watches the memory of the whole process tree meanwhile, so
that nothing is measured inside the process whose speed counts.
"""

from __future__ import annotations

import gc
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol, cast

import psutil
from omegaconf import OmegaConf

from benchmarks import judge_limits, peers
from benchmarks.mutants import copies
from coderl_exp.config import PROJECT_ROOT, SandboxConfig
from coderl_exp.records import Program
from coderl_exp.sandbox import IsolationReport, make_judge


class Peer(Protocol):
    """Statuses of programs, in order."""

    def __call__(
        self, programs: Sequence[Program], *, timeout_s: float, workers: int
    ) -> list[str]: ...


JUDGES = {"judge": "auto", "judge-strict": "strict"}
PEERS: dict[str, Peer] = {
    "subprocess": peers.plain_subprocess,
    "subprocess-S": peers.bare_subprocess,
    "code_eval": peers.code_eval,
    "process": peers.process_each,
    "evalplus": peers.evalplus,
}
LIMITS = ("no-isolation", "bare-fork")
CONTENDERS = (*JUDGES, *PEERS, *LIMITS)
ONLY_FUNCTIONS = frozenset({"evalplus"})

_CONF = PROJECT_ROOT / "conf" / "sandbox" / "local.yaml"
_POLL_S = 0.25


class ContenderError(Exception):
    """The process of a contender failed; holds the end of what it said."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to run."""

    contender: str
    programs: Sequence[Program]
    workers: int
    timeout_s: float
    total: int | None = None
    """Judge that many distinct copies, as a stream, and keep no verdicts; judges only."""


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What a process holds at a moment."""

    own_mb: float
    """Resident memory of the process itself."""
    descriptors: int
    processes: int
    """Its descendants."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One run of a contender."""

    seconds: float
    """From the first candidate handed over to the last verdict; whatever it needs is running."""
    start_s: float
    """A judge's start, until each worker has judged something."""
    cpu_s: float
    """Of the process and all its descendants that were waited for."""
    statuses: list[str]
    """Per candidate; empty for bare forks and streams."""
    counts: dict[str, int]
    before: Footprint
    after: Footprint
    errors: list[str] = field(default_factory=list)
    """Messages of verdicts, in a judge's own words; as many as `statuses`, or none."""
    isolation: str = ""
    """A judge's confinement layers, and those that this machine does not offer."""


@dataclass(frozen=True, kw_only=True)
class Peak:
    """The most that was seen of a process tree while it worked."""

    own_mb: float
    workers_mb: float
    """Sum of the resident memory of all descendants; pages that they share count for each."""
    processes: int
    descriptors: int


def measure(job: Job) -> tuple[Measured, Peak]:
    """Run a job in a fresh process.

    Raises:
        ContenderError: the process failed.
    """
    with tempfile.TemporaryDirectory(prefix="contender-") as folder:
        path = Path(folder) / "job"
        path.write_bytes(pickle.dumps(job))
        said = Path(folder) / "said"
        with said.open("wb") as output, _started(path, output) as process:
            try:
                peak = _watch(process)
            finally:
                process.kill()
        result = path.with_suffix(".out")
        if process.returncode or not result.exists():
            tail = said.read_text(errors="replace")[-2000:]
            raise ContenderError(f"{job.contender} ended with {process.returncode}: {tail}")
        measured: Measured = pickle.loads(result.read_bytes())
        return measured, peak


def run(job: Job) -> Measured:
    """Run a job right here."""
    if job.contender == "evalplus":
        peers.evalplus_is_there()  # imported before its workers are forked
    before, cpu_before = footprint(), _cpu_s()
    began = time.perf_counter()
    judged = _run(job)
    seconds = judged.seconds or time.perf_counter() - began
    return Measured(
        seconds=seconds,
        start_s=judged.start_s,
        cpu_s=_cpu_s() - cpu_before,
        statuses=judged.statuses,
        counts=judged.counts or dict(Counter(judged.statuses)),
        before=before,
        after=footprint(),
        errors=judged.errors,
        isolation=judged.isolation,
    )


def sandbox_config(job: Job) -> SandboxConfig:
    """`conf/sandbox/local.yaml` with this job's workers, time limit and lane."""
    values = OmegaConf.to_container(OmegaConf.load(_CONF))
    assert isinstance(values, dict)
    del values["defaults"]
    changes = {
        "isolation": "best_effort",
        "timeout_s": job.timeout_s,
        "num_workers": job.workers,
        "lane": JUDGES[job.contender],
    }
    config = OmegaConf.merge(OmegaConf.structured(SandboxConfig), values, changes)
    return cast("SandboxConfig", OmegaConf.to_object(config))


def footprint() -> Footprint:
    """Of this process, now."""
    gc.collect()
    me = psutil.Process()
    return Footprint(
        own_mb=me.memory_info().rss / 2**20,
        descriptors=me.num_fds(),
        processes=len(me.children(recursive=True)),
    )


@dataclass(kw_only=True)
class _Judged:
    """What a contender itself says; `seconds` where it keeps its own time."""

    statuses: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    start_s: float = 0.0
    seconds: float | None = None
    isolation: str = ""


def _run(job: Job) -> _Judged:
    if job.contender in JUDGES:
        return _judge(job)
    if peer := PEERS.get(job.contender):
        return _Judged(statuses=peer(job.programs, timeout_s=job.timeout_s, workers=job.workers))
    if job.contender == "bare-fork":
        forks = judge_limits.bare_forks(len(job.programs), workers=job.workers)
        return _Judged(seconds=forks)
    statuses, seconds = judge_limits.run_unisolated(
        job.programs, timeout_s=job.timeout_s, workers=job.workers
    )
    return _Judged(statuses=statuses, seconds=seconds)


def _judge(job: Job) -> _Judged:
    began = time.perf_counter()
    judge = make_judge(sandbox_config(job))
    for _ in judge.run(_trivial_programs(64 * job.workers)):
        pass
    judged = _Judged(start_s=time.perf_counter() - began, isolation=_layers(judge.describe()))
    began = time.perf_counter()
    if job.total is not None:
        verdicts = judge.run(copies(job.programs, job.total))
        judged.counts = dict(Counter(verdict.status.value for verdict in verdicts))
    else:
        for verdict in judge.run(job.programs):
            judged.statuses.append(verdict.status.value)
            judged.errors.append(verdict.error)
    judged.seconds = time.perf_counter() - began
    judge.close()
    return judged


def _trivial_programs(number: int) -> Iterable[Program]:
    """Enough of them keep all workers busy, so that all have started."""
    for n in range(number):
        code = f"def f():\n    return {n}"
        yield Program(code=code, entry_point="f", tests=(f"assert f() == {n}",))


def _layers(report: IsolationReport) -> str:
    missing = f"; missing: {', '.join(report.missing)}" if report.missing else ""
    return ", ".join(report.active) + missing


def _cpu_s() -> float:
    uses = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)


def _started(job: Path, output: IO[bytes]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(_import_path())}
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.contenders", str(job)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
    )


def _import_path() -> Iterable[str]:
    """This project first, then what was added to find EvalPlus."""
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return [str(PROJECT_ROOT), *(path for path in known if path)]


def _watch(process: subprocess.Popen[bytes]) -> Peak:
    """Look at the tree until its root has ended."""
    own = workers = 0.0
    processes = descriptors = 0
    tree = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            own = max(own, tree.memory_info().rss / 2**20)
            descriptors = max(descriptors, tree.num_fds())
            children = tree.children(recursive=True)
        except psutil.Error:
            break
        processes = max(processes, len(children))
        workers = max(workers, sum(map(_resident_mb, children)))
        time.sleep(_POLL_S)
    process.wait()
    return Peak(own_mb=own, workers_mb=workers, processes=processes, descriptors=descriptors)


def _resident_mb(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / 2**20
    except psutil.Error:  # it has ended meanwhile
        return 0.0


def main(path: Path) -> None:
    """Run the pickled job and write what was measured beside it."""
    job: Job = pickle.loads(path.read_bytes())
    path.with_suffix(".out").write_bytes(pickle.dumps(run(job)))


if __name__ == "__main__":
    # Pickle knows the records by the name of the imported module, not as `__main__`.
    from benchmarks.contenders import main as imported_main

    imported_main(Path(sys.argv[1]))
