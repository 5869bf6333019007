"""The jobs of a sweep, and `sweep.json` in its folder: what `resume=` needs to know."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from coderl_exp.errors import ConfigError
from coderl_exp.store import write_json
from coderl_exp.sweep.status import is_complete

SWEEP_FILE = "sweep.json"


@dataclass(frozen=True, kw_only=True)
class SweepJob:
    """One run of a sweep."""

    number: int
    overrides: tuple[str, ...]
    run_dir: Path

    @property
    def is_complete(self) -> bool:
        return is_complete(self.run_dir, self.overrides)


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """All runs of one command."""

    folder: Path
    arguments: tuple[str, ...]
    """The command's own, so that `resume=` can repeat it: `method.learning_rate=1e-6,5e-6`."""
    jobs: tuple[SweepJob, ...] = ()
    submitted: Mapping[int, str]
    """Number of a job → its id in the queue that it was given to last."""

    @property
    def name(self) -> str:
        """The group of its runs, where they are tracked: its folder, with the day."""
        return "_".join(self.folder.parts[-2:])

    def label(self, job: SweepJob) -> str:
        """Those of its overrides in which the sweep's jobs differ."""
        common = set.intersection(*(set(other.overrides) for other in self.jobs))
        return " ".join(o for o in job.overrides if o not in common) or "the only job"

    def with_jobs(self, jobs: Iterable[SweepJob]) -> Sweep:
        """With further jobs, or the same again.

        Raises:
            ConfigError: a number stood for another job before.
        """
        by_number = {job.number: job for job in self.jobs}
        for job in jobs:
            known = by_number.setdefault(job.number, job)
            if known.overrides != job.overrides:
                raise ConfigError(
                    f"job {job.number} of {self.folder} was {' '.join(known.overrides)} and would "
                    f"now be {' '.join(job.overrides)}: resume a sweep with the options that it "
                    "was started with, or start a new one."
                )
        return replace(self, jobs=tuple(by_number[number] for number in sorted(by_number)))


def write_sweep(sweep: Sweep) -> None:
    """Write `sweep.json`."""
    fields = asdict(sweep)
    fields["jobs"] = [
        {**asdict(job), "run_dir": str(job.run_dir.relative_to(sweep.folder))} for job in sweep.jobs
    ]
    del fields["folder"]
    write_json(sweep.folder / SWEEP_FILE, fields)


def read_sweep(folder: Path) -> Sweep:
    """The sweep that was started in this folder.

    Raises:
        ConfigError: there is none.
    """
    path = folder / SWEEP_FILE
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        jobs = tuple(
            SweepJob(
                number=job["number"],
                overrides=tuple(job["overrides"]),
                run_dir=folder / job["run_dir"],
            )
            for job in fields["jobs"]
        )
        return Sweep(
            folder=folder,
            arguments=tuple(fields["arguments"]),
            jobs=jobs,
            submitted={int(number): queue_id for number, queue_id in fields["submitted"].items()},
        )
    except OSError:
        raise ConfigError(
            f"{folder} holds no sweep: give the folder of one, as "
            "resume=multirun/2026-01-31/12-00-00."
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} is damaged ({error}): start the sweep's own command again; what was computed "
            "is in the store."
        ) from None


def experiment_overrides(overrides: Sequence[str]) -> tuple[str, ...]:
    """Without those that only say where it runs."""
    return tuple(o for o in overrides if not o.startswith(("launcher=", "launcher.")))
