"""`python -m coderl_exp.wandb_panels ENTITY/PROJECT[/GROUP]`: a workspace that compares a sweep.

Makes a workspace in Weights & Biases with panels of pass@k, what was swept, curves and verdicts,
over the runs of a group or of the whole project. Needs a W&B server and the package
`wandb-workspaces`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from dotenv import load_dotenv

from coderl_exp.command import OneLineParser, run_command
from coderl_exp.config import PROJECT_ROOT
from coderl_exp.errors import CoderlError, ConfigError
from coderl_exp.wandb_runs import Place, parse_place, reason_of

RESULTS = ("baseline/pass@1", "after/pass@1", "delta/pass@1")
CURVES = ("train/loss", "train/rewards/margins", "train/reward", "train/grad_norm", "train/kl")
VERDICTS = ("after/verdict/passed", "after/verdict/wrong_answer", "after/verdict/timeout")


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the workspace and print its address; the exit code."""
    load_dotenv(PROJECT_ROOT / ".env")
    return run_command(lambda: _make(_parser().parse_args(arguments)))


def _make(given: argparse.Namespace) -> None:
    print(save(make_workspace(parse_place(given.place), given.swept)))


def _parser() -> OneLineParser:
    parser = OneLineParser(prog="python -m coderl_exp.wandb_panels", description=__doc__)
    parser.add_argument("place", metavar="ENTITY/PROJECT[/GROUP]")
    parser.add_argument(
        "--swept", nargs="*", default=["method.learning_rate", "generation.temperature"],
        help="options to plot pass@1 over (learning rate and temperature)",
    )  # fmt: skip
    return parser


def make_workspace(place: Place, swept: Sequence[str]) -> Any:
    """The workspace, not yet saved.

    Raises:
        ConfigError: the package is not installed.
    """
    if find_spec("wandb_workspaces") is None:
        raise ConfigError(
            "the package wandb-workspaces is not installed: "
            "pip install -c constraints.txt -e '.[workspaces]'."
        )
    import wandb_workspaces.reports.v2 as panels
    import wandb_workspaces.workspaces as workspaces

    over = [panels.ScatterPlot(x=f"config:{option}", y="after/pass@1") for option in swept]
    sections = {
        "pass@k": [panels.BarPlot(title=name, metrics=[name]) for name in RESULTS],
        "over what was swept": over,
        "training": [panels.LinePlot(x="train/global_step", y=[name]) for name in CURVES],
        "verdicts": [panels.BarPlot(title=name, metrics=[name]) for name in VERDICTS],
    }
    metric = workspaces.Metric("group")
    runs = {"filters": workspaces.And(metric == place.group)} if place.group else {}
    return workspaces.Workspace(
        entity=place.entity,
        project=place.project,
        name=f"coderl_exp: {place.group or 'all runs'}",
        sections=[
            workspaces.Section(name=name, panels=shown, is_open=True)
            for name, shown in sections.items()
        ],
        runset_settings=workspaces.RunsetSettings(**runs),
    )


def save(workspace: Any) -> str:
    """Send it to W&B; its address.

    Raises:
        CoderlError: W&B could not be reached, or refused it.
    """
    try:
        workspace.save()
    except Exception as error:
        raise CoderlError(
            f"W&B took no workspace ({reason_of(error)}): it needs a network, and WANDB_API_KEY in "
            ".env."
        ) from error
    return str(workspace.url)


if __name__ == "__main__":
    sys.exit(main())
