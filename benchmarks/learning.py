"""Whether DPO and GRPO make a policy better at problems that it was never trained on.

`python benchmarks/learning.py` trains a policy of about a million parameters from scratch. Then it
runs the command line on it, from the baseline to the report: DPO, GRPO, and each with its signal
taken away. What is stored in `--out` is not computed again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.learning_report import CONTROL_OF, DPO_NAME, GRPO_NAME, Run, save_figure, table
from coderl_exp.config import PROJECT_ROOT
from tests.experiment import Experiment
from tests.learning import (
    DPO,
    GRPO,
    GRPO_CONSTANT_REWARD,
    learn,
    make_learner,
    with_wrong_verdicts,
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--out", type=Path, default=PROJECT_ROOT / "outputs" / "learning", metavar="FOLDER",
        help="receives learning.png, learning.svg, the policy, the runs and their store",
    )  # fmt: skip
    parser.add_argument(
        "--seeds", type=_numbers, default=(42,), metavar="42,43", help="of samples and trainings"
    )
    options = parser.parse_args(arguments)
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    _say("training the policy")
    experiment = make_learner(out)
    runs = [run for seed in options.seeds for run in _runs(experiment, seed)]
    print(table(runs))
    save_figure(runs, out / "learning")
    print(f"\n{out / 'learning.png'}")


def _runs(experiment: Experiment, seed: int) -> list[Run]:
    wrong = with_wrong_verdicts(experiment)
    kinds = (
        (DPO_NAME, experiment, DPO),
        (CONTROL_OF[DPO_NAME], wrong, DPO),
        (GRPO_NAME, experiment, GRPO),
        (CONTROL_OF[GRPO_NAME], experiment, GRPO_CONSTANT_REWARD),
    )
    runs = []
    for name, on, method in kinds:
        _say(f"{name}, seed {seed}")
        folder = f"{name.lower().replace(', ', '_').replace(' ', '_')}_{seed}"
        learnt = learn(on, folder, *method, f"seed={seed}")
        runs.append(Run(name=name, seed=seed, learnt=learnt))
    return runs


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _say(text: str) -> None:
    """Progress, apart from the report."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
