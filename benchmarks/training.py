"""What a training step takes on this machine's CPUs, as a share of the roof, against plain TRL.

`python benchmarks/training.py` trains the default experiment's model for some steps: DPO as the
pipeline does and in a script as TRL's documentation has it; GRPO with this project's rollouts and
with TRL's own, both judged. The roof is what the products of a step allow at the speed of a large
matrix product, measured in the same run: two operations per weight and token for each of policy,
reference or rollout, and backward pass through frozen weights.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from rich.table import Table

from benchmarks.generation import matrix_product_gflops
from benchmarks.overhead import say, use_tiny_policy
from benchmarks.overhead_runs import BARE, PIPELINE, Trained, train
from benchmarks.overhead_setup import composed, make_setup
from coderl_exp.config import project_path
from coderl_exp.memory_estimate import num_parameters

_PASSES = 3
"""Each of two operations per weight and token."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way to train."""

    name: str
    method: str
    runs_as: str
    trl_rollouts: bool = False


CONTENDERS = (
    Contender(name="DPO", method="dpo", runs_as=PIPELINE),
    Contender(name="DPO, bare TRL", method="dpo", runs_as=BARE),
    Contender(name="GRPO", method="grpo", runs_as=PIPELINE),
    Contender(name="GRPO, TRL's rollouts", method="grpo", runs_as=PIPELINE, trl_rollouts=True),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the table."""
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="training-") as folder:
        if options.tiny:
            use_tiny_policy(options, Path(folder))
        runs = [
            (each, _trained(each, number, options, Path(folder)))
            for number in range(options.rounds)
            for each in CONTENDERS
        ]
        model = project_path(composed("dpo", options).model.name_or_path)
        num_weights = num_parameters(model)
    gflops = matrix_product_gflops()
    Console(width=100).print(_table(runs, gflops, num_weights, options.warmup))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    add = parser.add_argument
    add("--rounds", type=int, default=2, help="times that each trains")
    add("--steps", type=int, default=4, help="optimizer steps of a training")
    add("--warmup", type=int, default=1, help="of these, the first that do not count")
    add("--pairs", type=int, default=4, help="in a DPO step")
    add("--completions", type=int, default=16, help="in a GRPO step: one group")
    add("--tokens", type=int, default=128, help="of a completion, at most")
    add("--isolation", choices=("strict", "best_effort"), default="strict", help="of the judge")
    add("--tiny", action="store_true", help="on a policy made in seconds: a quick try")
    parser.set_defaults(model=None, data=None, trl_rollouts=False)
    return parser


def _trained(
    contender: Contender, number: int, options: argparse.Namespace, folder: Path
) -> Trained:
    chosen = argparse.Namespace(**{**vars(options), "trl_rollouts": contender.trl_rollouts})
    place = folder / f"{CONTENDERS.index(contender)}-{number}"
    run = train(contender.runs_as, number, make_setup(contender.method, chosen, place), place)
    say(
        f"round {number + 1}: {contender.name}: {fmean(_steps(run, options.warmup)):.2f} s per step"
    )
    return run


def _steps(run: Trained, warmup: int) -> list[float]:
    return run.notes.step_s[warmup:]


def _tokens_per_s(run: Trained, warmup: int) -> float:
    """Through the trainer, in the steps that count."""
    tokens = [row["num_tokens"] for row in run.notes.logged]
    steps = _steps(run, warmup)
    return (tokens[warmup + len(steps) - 1] - tokens[warmup - 1]) / sum(steps)


def _table(
    runs: Sequence[tuple[Contender, Trained]], gflops: float, num_weights: int, warmup: int
) -> Table:
    roof = gflops * 1e9 / (2 * _PASSES * num_weights)
    table = Table(
        title=f"a training step; roof {roof:.0f} tokens/s ({gflops:.0f} GFLOP/s)",
        title_justify="left",
    )
    for column in ("training", "s per step", "tokens/s", "of the roof"):
        table.add_column(column, justify="left" if column == "training" else "right")
    for contender in CONTENDERS:
        own = [run for each, run in runs if each == contender]
        best = min(own, key=lambda run: fmean(_steps(run, warmup)))
        speed = _tokens_per_s(best, warmup)
        seconds = fmean(_steps(best, warmup))
        table.add_row(contender.name, f"{seconds:.2f}", f"{speed:.0f}", f"{speed / roof:.0%}")
    return table


if __name__ == "__main__":
    sys.exit(main())
