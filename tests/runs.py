"""Finished runs on disk without a model: simulated candidates, a real report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from coderl_exp.analysis import analyze
from coderl_exp.records import Candidate, JudgedCandidate, Problem, Verdict, VerdictStatus
from coderl_exp.report import LedgerRow, RunReport, summarize
from coderl_exp.wandb_runs import REPORTS

NAMES = ("total", "count", "largest", "merged", "ordered")
FAILURES = (
    (VerdictStatus.wrong_answer, "AssertionError: assert f(1) == 2"),
    (VerdictStatus.runtime_error, "IndexError: list index out of range"),
    (VerdictStatus.timeout, ""),
)


def make_candidates(
    rates: Sequence[float], num_candidates: int, seed: int, split: str = "test"
) -> list[JudgedCandidate]:
    """Problem i passes with probability `rates[i]`."""
    rng = np.random.default_rng(seed)
    passed = rng.random((len(rates), num_candidates)) < np.asarray(rates)[:, None]
    shapes = rng.integers(0, 6, passed.shape)
    return [
        _candidate(f"mini/{split}{i}", j, seed, bool(passed[i, j]), int(shapes[i, j]))
        for i in range(len(rates))
        for j in range(num_candidates)
    ]


def _candidate(task_id: str, index: int, seed: int, passed: bool, shape: int) -> JudgedCandidate:
    name = NAMES[shape % len(NAMES)]
    lines = "".join(f"    {name}_{n} = x + {n}\n" for n in range(shape))
    code = f"def f(x):\n{lines}    return {'x + 1' if passed else 'x'}\n"
    failed, error = FAILURES[shape % len(FAILURES)]
    status = VerdictStatus.passed if passed else failed
    return JudgedCandidate(
        candidate=Candidate(
            task_id=task_id,
            index=index,
            seed=seed * 1_000 + index,
            completion=f"```python\n{code}```\n# {seed}/{index}",
            num_prompt_tokens=40,
            num_completion_tokens=20 + 9 * shape,
            finish_reason="eos",
        ),
        code=code,
        extraction_rule="block_with_entry_point",
        verdict=Verdict(status=status, tests=(status,), error="" if passed else error),
    )


def make_problems(num: int, split: Any = "test") -> dict[str, Problem]:
    return {
        f"mini/{split}{i}": Problem(
            task_id=f"mini/{split}{i}",
            split=split,
            text=f"Write a function that adds one to {i} numbers.",
            entry_point="f",
            signature="def f(x):",
            references=("def f(x):\n    return x + 1\n",),
            tests=("assert f(1) == 2", "assert f(2) == 3"),
        )
        for i in range(num)
    }


def make_report(
    before: Sequence[float],
    after: Sequence[float],
    *,
    method: str = "dpo",
    seed: int = 42,
    options: Sequence[str] = (),
    num_candidates: int = 8,
    train_s: float = 100.0,
    with_analysis: bool = False,
    **changes: Any,
) -> RunReport:
    """`before` and `after` are pass rates per problem; empty: not evaluated."""
    old = make_candidates(before, num_candidates, seed)
    new = make_candidates(after, num_candidates, seed + 10_000)
    words = [f"method={method}", *options, f"seed={seed}"]
    sets = {"before": old, "after": new}
    fields: dict[str, Any] = {
        "experiment": f"mini_{method}",
        "method": method,
        "model": "tiny",
        "dataset": "mini",
        "seed": seed,
        "created_at": "2025-01-01 00:00:00",
        "command": " ".join(["python -m coderl_exp", *words]),
        "git_commit": "abc",
        "ks": (1, 2),
        "problems": make_problems(max(len(before), len(after))),
        "before": old,
        "after": new,
        "train": (),
        "analyses": {n: analyze(rows) for n, rows in sets.items() if rows and with_analysis},
        "curves": [
            {"step": s, "max_steps": 8, "loss": 1 / s + seed % 7 / 50, "reward": s / 9}
            for s in range(1, 9)
        ],
        "num_pairs": {},
        "dropped": {},
        "merge": None,
        "ledger": [_ledger("baseline.candidates", 50.0), _ledger("train", train_s)],
        "isolation": ("network: on",),
        "warnings": (),
        "versions": {"python": "3.11"},
        "config_yaml": _config(words),
    }
    return RunReport(**{**fields, **changes})


def write_run(
    folder: Path, before: Sequence[float], after: Sequence[float], **options: Any
) -> Path:
    """A finished run with the summary that comparisons read; see `make_report`."""
    report = make_report(before, after, **options)
    (folder / REPORTS).mkdir(parents=True)
    file = folder / REPORTS / f"{report.experiment}_summary.json"
    file.write_text(json.dumps(asdict(summarize(report))))
    return folder


def _ledger(stage: str, seconds: float) -> LedgerRow:
    return LedgerRow(
        stage=stage,
        wall_s=seconds,
        cpu_s=2 * seconds,
        num_prompt_tokens=100,
        num_generated_tokens=int(10 * seconds),
        num_trained_tokens=int(5 * seconds),
        sandbox_cpu_s=1.0,
        was_reused=False,
    )


def _config(words: Sequence[str]) -> str:
    """`method.lr=1` as YAML of two levels; a group's choice is its `name`."""
    tree: dict[str, dict[str, str]] = {}
    top = ""
    for word in words:
        name, _, value = word.partition("=")
        group, _, option = name.partition(".")
        if option or group == "method":
            tree.setdefault(group, {})[option or "name"] = value
        else:
            top += f"{name}: {value}\n"
    for group, options in tree.items():
        top += f"{group}:\n" + "".join(f"  {key}: {value}\n" for key, value in options.items())
    return top
