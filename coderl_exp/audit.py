"""`python -m coderl_exp.audit dataset=taco`: judge a dataset's own solutions and say what is wrong.

Takes the options of an experiment; those of `dataset` and `sandbox` count. An experiment with the
same ones finds the result in the store.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from coderl_exp.attacked_judge import make_attacked_judge
from coderl_exp.cli import guarded
from coderl_exp.config import Config, SandboxConfig, compose_config
from coderl_exp.contamination import REPORTED_SHARE, Overlap
from coderl_exp.data_audit import AUDITS
from coderl_exp.data_health import MAX_LISTED, DataHealth, data_health
from coderl_exp.errors import ConfigError
from coderl_exp.experiment_data import ExperimentData, read_audits
from coderl_exp.sandbox import Judge
from coderl_exp.store import Store

_USAGE = """\
Judge the reference solutions of a dataset against its own tests.

usage: python -m coderl_exp.audit [dataset=NAME] [dataset.path=FILE] [OPTION=VALUE …]

  python -m coderl_exp.audit dataset=mbpp dataset.path=mbpp.jsonl
  python -m coderl_exp.audit dataset=taco dataset.difficulties=[EASY] dataset.max_problems=500

The result is kept in the store and used by every experiment with the same data.
"""


def main() -> None:
    """Entry point; exits."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(_USAGE, end="")
        return
    sys.exit(guarded(lambda: _audit(compose_config(*sys.argv[1:]))))


def _audit(config: Config) -> None:
    config = replace(config, stages=["baseline"])  # which needs no train split
    data, store = ExperimentData(config), Store(config.store_path)
    with _closing_judge(config.sandbox, store.root / "redteam") as make_judge:
        artefact = data.audit(store, make_judge)
    if artefact is None:
        raise ConfigError("dataset.audit is false: set it to true, or there is nothing to do.")
    audits, problems = read_audits(artefact.path), data.problems(artefact.path)
    _print_health(data_health(data.dataset, audits, problems), Console(width=100))
    print(f"kept in {artefact.path}")


@contextmanager
def _closing_judge(config: SandboxConfig, folder: Path) -> Iterator[Callable[[], Judge]]:
    """Makes a judge when it is asked for, and ends its processes."""
    with ExitStack() as stack:

        def make() -> Judge:
            judge = make_attacked_judge(config, folder)
            stack.callback(judge.close)
            return judge

        yield make


def _print_health(health: DataHealth, console: Console) -> None:
    """Tables: the splits, what is not solvable and why, and what the train split gives away."""
    table = Table(title="reference solutions against their own tests", width=96)
    for name in ("split", "problems", "solvable", "flaky", "quarantined", "solutions", "that pass"):
        table.add_column(name, justify="left" if name == "split" else "right")
    for row in health.splits:
        numbers = (row.num_problems, row.solvable, row.flaky, row.quarantined)
        table.add_row(row.split, *map(str, (*numbers, row.num_references, row.num_passing)))
    console.print(table)
    if health.unsolvable:
        _print_unsolvable(health, console)
    for name, overlaps in (("text", health.text_overlaps), ("solution", health.solution_overlaps)):
        _print_overlaps(name, overlaps, console)
    for reason, count in health.left_out.items():
        console.print(f"left out: {count} ({reason})", highlight=False)
    if health.num_reread:
        console.print(
            f"{health.num_reread} problems: outputs are wrapped, or lists stand for tuples"
        )


def _print_unsolvable(health: DataHealth, console: Console) -> None:
    table = Table(title="not solvable: they leave train, and pass@k is given without them too")
    table.add_column("problem", no_wrap=True)
    table.add_column("split")
    table.add_column("why", overflow="ellipsis", no_wrap=True, max_width=64)
    for row in health.unsolvable[:MAX_LISTED]:
        table.add_row(escape(row.task_id), row.split, escape(f"{row.status}: {row.reason}"))
    console.print(table)
    if (more := len(health.unsolvable) - MAX_LISTED) > 0:
        console.print(f"… and {more} more: see {AUDITS}")


def _print_overlaps(name: str, overlaps: Sequence[Overlap], console: Console) -> None:
    share = f"with a train {name} by {REPORTED_SHARE:.0%} or more"
    if not overlaps:
        console.print(f"no test {name} overlaps {share}", highlight=False)
        return
    shown = ", ".join(f"{o.task_id} in {o.train_task_id} ({o.share:.0%})" for o in overlaps[:3])
    more = ", …" if len(overlaps) > 3 else ""
    console.print(f"{len(overlaps)} test {name}s overlap {share}: {shown}{more}", highlight=False)


if __name__ == "__main__":
    main()
