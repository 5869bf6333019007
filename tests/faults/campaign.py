"""Random kills of a whole experiment, again and again, until it ends; then it is compared.

`python -m tests.faults.campaign [KILLS] [SEED] [SECONDS]` prints what was killed where; after so
many seconds it kills no more.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from coderl_exp.config import PROJECT_ROOT
from coderl_exp.sweep.status import RunState, read_status
from tests.experiment import (
    ENVIRONMENT,
    Experiment,
    adapter_weights,
    artefacts,
    make_experiment,
)
from tests.interrupting import assert_no_orphans, live_processes

DELAYS_S = (10.0, 10.0, 10.0, 10.0, 40.0)
"""The longest delay before a kill, one of these: most come early, some in the last stages."""
HANG_S = 300.0
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


@dataclass(kw_only=True)
class Tally:
    """What a campaign did."""

    kills: Counter[str] = field(default_factory=Counter)
    """`signal to whom in which stage` → how often."""
    num_completed: int = 0
    """Experiments that ended by themselves, each with the right bytes."""
    num_clear_errors: int = 0
    """Runs that ended with one line because a process of theirs was killed."""

    @property
    def num_kills(self) -> int:
        return self.kills.total()


def reference(root: Path, model: Path) -> tuple[dict[str, bytes], bytes]:
    """Artefacts and adapter of an undisturbed run."""
    root.mkdir()
    experiment = make_experiment(root, model)
    done = experiment.run("tracking=none")
    assert done.returncode == 0, done.stderr
    return artefacts(root / "run"), adapter_weights(root / "run")


def campaign(
    root: Path, model: Path, num_kills: int, seed: int, max_s: float = float("inf")
) -> Tally:
    """Kill at random until there were `num_kills` or `max_s` are over; then let the last one end.

    Raises:
        AssertionError: a wrong byte, an error that is not one line, a hang, or an orphan.
    """
    expected = reference(root / "reference", model)
    random_ = random.Random(seed)
    tally = Tally()
    end = time.monotonic() + max_s

    def is_over() -> bool:
        return tally.num_kills >= num_kills or time.monotonic() > end

    while not is_over():
        folder = root / f"experiment{tally.num_completed}"
        folder.mkdir()
        experiment = make_experiment(folder, model)
        for process in _attempts(experiment):
            if not is_over() and _disturb(experiment, process, random_, tally):
                continue
            _, stderr = process.communicate(timeout=HANG_S)
            assert process.returncode == 0, stderr
            assert_no_orphans(folder)
            break
        assert (artefacts(folder / "run"), adapter_weights(folder / "run")) == expected
        tally.num_completed += 1
        print(f"{tally.num_kills} kills, {tally.num_completed} experiments", flush=True)
    return tally


def _attempts(experiment: Experiment) -> Iterator[subprocess.Popen[str]]:
    """The same command, again and again."""
    while True:
        yield subprocess.Popen(
            experiment.command("tracking=none"),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            cwd=PROJECT_ROOT,
            env=ENVIRONMENT,
        )


def _disturb(
    experiment: Experiment, process: subprocess.Popen[str], random_: random.Random, tally: Tally
) -> bool:
    """Kill after a random delay; False if the run had ended before, or went on nevertheless."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(random_.uniform(0.0, random_.choice(DELAYS_S)))
        return False
    status = read_status(experiment.root / "run")
    number = random_.choice(SIGNALS)
    victim, who = _victim(experiment, process, random_)
    with suppress(psutil.NoSuchProcess):
        victim.send_signal(number)
    stage = status.stage if status and status.stage else "start"
    tally.kills[f"{number.name} to {who} in {stage}"] += 1
    _, stderr = process.communicate(timeout=HANG_S)
    assert_no_orphans(experiment.root)
    if process.returncode == 0:
        return False
    status = read_status(experiment.root / "run")
    is_complete = status is not None and status.state is RunState.complete
    if not is_complete and (victim.pid != process.pid or number is not signal.SIGKILL):
        _assert_clear(stderr)
        tally.num_clear_errors += 1
    return True


def _victim(
    experiment: Experiment, process: subprocess.Popen[str], random_: random.Random
) -> tuple[psutil.Process, str]:
    """The run itself, or in a third of all cases a process below it."""
    others = [p for p in live_processes(experiment.root) if p.pid != process.pid]
    if others and random_.random() < 1 / 3:
        return random_.choice(others), "a process of it"
    return psutil.Process(process.pid), "the run"


def _assert_clear(stderr: str) -> None:
    """It ends with a line for the user, not with a traceback; Python's own start has none yet."""
    lines = stderr.strip().splitlines()
    assert "Traceback" not in stderr or "KeyboardInterrupt" in lines[-1], stderr
    assert not lines or not lines[-1].startswith("  "), stderr


def main() -> None:
    """Run a campaign from the command line."""
    from tests.solver import train_solver

    num_kills = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    max_s = float(sys.argv[3]) if len(sys.argv) > 3 else float("inf")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        train_solver(model)
        tally = campaign(Path(folder), model, num_kills, seed, max_s)
    for what, count in sorted(tally.kills.items()):
        print(f"{count:4}  {what}")
    print(
        f"{tally.num_kills} kills, {tally.num_completed} experiments ended with the right bytes, "
        f"{tally.num_clear_errors} runs with a clear error; {time.monotonic() - started:.0f} s"
    )


if __name__ == "__main__":
    main()
