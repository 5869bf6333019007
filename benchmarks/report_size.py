"""What the report of a run and the comparison of many cost: seconds and peak memory.

`python benchmarks/report_size.py` simulates finished runs (not measured), then builds, each in a
process of its own: one run's report from its judged candidates, analysis included, and the
comparison of all runs. No model and no judge take part.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from coderl_exp.analysis import analyze
from coderl_exp.compare import compare_runs
from coderl_exp.compare.pages import write
from coderl_exp.memory import peak_memory_mb
from coderl_exp.records import JudgedCandidate, read_jsonl, write_jsonl
from coderl_exp.report import write_report
from tests.runs import make_candidates, make_problems, make_report, write_run

BEFORE, AFTER = "before.jsonl", "after.jsonl"
_REPORT, _COMPARE = "report", "compare"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one process, from its start to its end."""

    seconds: float
    peak_mb: float


def measure(num_runs: int, num_problems: int, num_candidates: int, folder: Path) -> dict[str, Cost]:
    """Simulate the runs in the folder, then build report and comparison."""
    simulate(num_runs, num_problems, num_candidates, folder)
    return {part: _in_own_process(part, folder) for part in (_REPORT, _COMPARE)}


def simulate(num_runs: int, num_problems: int, num_candidates: int, folder: Path) -> None:
    """A sweep over learning rate and seed, and the candidates of one run."""
    rates = np.random.default_rng(0).beta(0.6, 0.9, num_problems)
    for number in range(num_runs):
        gain = 0.02 * (number % 8)
        write_run(
            folder / "sweep" / str(number), rates.tolist(), np.clip(rates + gain, 0, 1).tolist(),
            method="dpo" if number % 16 < 8 else "grpo", seed=number,
            options=[f"method.learning_rate={1 + number % 8}e-6"],
            num_candidates=num_candidates, ks=(1, 5, 10)[: 3 if num_candidates >= 10 else 1],
        )  # fmt: skip
    write_jsonl(folder / BEFORE, make_candidates(rates.tolist(), num_candidates, 1))
    write_jsonl(folder / AFTER, make_candidates((0.95 * rates + 0.05).tolist(), num_candidates, 2))


def build_report(folder: Path) -> None:
    """As at the end of a run: candidates are read, analysed, and written up."""
    before, after = (list(read_jsonl(folder / name, JudgedCandidate)) for name in (BEFORE, AFTER))
    num_problems = len({row.candidate.task_id for row in before})
    report = replace(
        make_report([], []),
        before=before,
        after=after,
        problems=make_problems(num_problems),
        analyses={"before": analyze(before), "after": analyze(after)},
        ks=(1, 5, 10)[: 3 if len(before) >= 10 * num_problems else 1],
    )
    write_report(report, folder / "report")


def _in_own_process(part: str, folder: Path) -> Cost:
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, __file__, "--part", part, "--folder", str(folder)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    peak = json.loads(done.stdout.splitlines()[-1])["peak_mb"]
    return Cost(seconds=time.monotonic() - start, peak_mb=peak)


def _run_part(part: str, folder: Path) -> None:
    if part == _REPORT:
        build_report(folder)
    else:
        write(compare_runs([folder / "sweep"]), folder / "comparison")
    print(json.dumps({"peak_mb": peak_memory_mb()}))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=int, default=64)
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--candidates", type=int, default=10)
    parser.add_argument("--part", choices=[_REPORT, _COMPARE], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="keep what is written here")
    options = parser.parse_args(arguments)
    if options.part:
        _run_part(options.part, options.folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        costs = measure(options.runs, options.problems, options.candidates, folder)
        size = sum(file.stat().st_size for file in (folder / "comparison").iterdir())
    for part, cost in costs.items():
        print(f"{part:8} {cost.seconds:5.1f} s  {cost.peak_mb:5.0f} MB")
    total = sum(cost.seconds for cost in costs.values())
    peak = max(cost.peak_mb for cost in costs.values())
    print(f"together {total:5.1f} s  {peak:5.0f} MB at most; pages of {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
