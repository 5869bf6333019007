"""What the pipeline adds to the training step of a plain TRL script, and judging to a GRPO step.

`python benchmarks/overhead.py` trains the default experiment's model on its problems, in three ways
that take turns: as the pipeline does; in a script as TRL's documentation has it, which is a user's;
and in that script with freed memory kept as the pipeline keeps it, which leaves what the pipeline
adds. All run under `accelerate launch` with the same options, seed and threads; this is checked,
and that they log the same losses. On a busy machine OMP_NUM_THREADS=1 makes times comparable.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import overhead_report
from benchmarks.overhead_report import MAX_JUDGE_SHARE, MAX_RATIO, Results
from benchmarks.overhead_runs import CONTENDERS, OverheadError, Trained, check_same_work, train
from benchmarks.overhead_setup import METHODS, make_setup
from coderl_exp.config import PROJECT_ROOT
from coderl_exp.errors import CoderlError

_LEGEND = """step: from a step's begin to the next one's · median: over all counted steps
best: mean over the steps, each in its fastest round · CPU: the same of the CPU seconds of the
process and the judge's · pipeline takes: its time over the row's, step by step · between: the part
of a step outside of it (loading data, logging) · process: from start to end · others: CPUs that
were busy with something else; on a busy machine wall times say little, and the limit is held
against CPU times · bare TRL: as a user has it; its GRPO reward is a look-up that costs nothing
bare, kept: with freed memory kept as in the pipeline: what is left is what that adds"""


def main(arguments: Sequence[str] | None = None) -> int:
    """0; 1: `--check` was given and a limit is not kept."""
    options = parse_arguments(arguments)
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(PROJECT_ROOT), *filter(None, known)])
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        if options.tiny:
            use_tiny_policy(options, Path(folder))
        results = [measured(name, options, Path(folder) / name) for name in options.methods]
    print("\n\n".join([*map(overhead_report.report, results), _LEGEND]))
    if options.json:
        options.json.write_text(json.dumps(overhead_report.as_json(results), indent=1) + "\n")
    missed = [] if options.tiny else [miss for each in results for miss in each.misses()]
    for miss in missed:
        print(f"over the limit: {miss}")
    return 1 if missed and options.check else 0


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Ends the process where they make no sense, as argparse does."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    add = parser.add_argument
    add("--methods", type=_methods, default=METHODS, metavar="dpo,grpo")
    add("--rounds", type=_positive, default=3, help="times that every contender trains")
    add("--steps", type=_positive, default=6, help="optimizer steps of a training")
    add("--warmup", type=_positive, default=1, help="of these, the first that do not count")
    add("--pairs", type=_positive, default=2, help="in a DPO step")
    add("--completions", type=_positive, default=4, help="in a GRPO step: one group")
    add("--tokens", type=_positive, default=48, help="of a completion, at most")
    add("--model", help="folder or hub id; the default is the default experiment's")
    add("--data", type=Path, metavar="FILE", help="problems in MBPP's schema")
    add("--isolation", choices=("strict", "best_effort"), default="strict", help="of the judge")
    add(
        "--tiny",
        action="store_true",
        help="on a policy made in seconds: a quick try without limits",
    )
    limits = f"{MAX_RATIO} times bare TRL, {MAX_JUDGE_SHARE:.0%}% for judging"
    add("--check", action="store_true", help=f"exit with 1 above a limit: {limits}")
    add("--json", type=Path, metavar="FILE", help="write all measurements")
    parser.set_defaults(trl_rollouts=True)  # a bare script has no others
    options = parser.parse_args(arguments)
    if options.steps < options.warmup + 2:
        parser.error("--steps must be at least --warmup + 2: the last step is not counted either")
    return options


def use_tiny_policy(options: argparse.Namespace, folder: Path) -> None:
    """The tests' own policy and problems, unless others are given."""
    from tests.solver import solver_row, train_solver

    if options.model is None:
        (folder / "model").mkdir()
        train_solver(folder / "model")
        options.model = str(folder / "model")
    if options.data is None:
        options.data = folder / "data.jsonl"
        rows = map(solver_row, [*range(1, 5), *range(101, 141)])
        options.data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def measured(method: str, options: argparse.Namespace, folder: Path) -> Results:
    """Contenders take turns, so that a busy spell of the machine hits all of them."""
    setup = make_setup(method, options, folder)
    runs: list[Trained] = []
    for number in range(options.rounds):
        for contender in CONTENDERS if number % 2 == 0 else reversed(CONTENDERS):
            run = train(contender, number + 1, setup, folder)
            runs.append(run)
            counted = run.notes.step_s[options.warmup :]
            mean = sum(counted) / len(counted)
            say(f"{method}, round {number + 1}: {contender}: {mean:.3f} s per step")
    return Results(setup=setup, runs=runs, warmup=options.warmup, differences=check_same_work(runs))


def say(text: str) -> None:
    """Progress, apart from the report."""
    print(text, file=sys.stderr, flush=True)


def _methods(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - set(METHODS):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
    return names


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CoderlError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OverheadError as error:
        sys.exit(f"error: {error}")
