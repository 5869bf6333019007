"""The benchmark of the pipeline's overhead compares two trainings that do the same work."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import overhead
from benchmarks.overhead_report import Results, as_json, report
from benchmarks.overhead_runs import (
    BARE,
    CONTENDERS,
    PIPELINE,
    OverheadError,
    Trained,
    check_same_work,
)
from benchmarks.training_notes import Notes
from coderl_exp.config import PROJECT_ROOT


def trained(
    contender: str, step_s: float, round_: int = 1, others: float = 0.0, **changes: object
) -> Trained:
    """Four steps of equal length, half a second of each between steps and a tenth for rewards."""
    notes = Notes(
        began_s=[step_s * number for number in range(4)],
        ended_s=[step_s * (number + 1) - 0.5 for number in range(4)],
        cpu_s=[2.0 * number for number in range(4)],
        machine_cpu_s=[2.0 * number + others * step_s * number for number in range(4)],
        reward_s=[step_s / 10] * 4,
        num_rewarded=[4] * 4,
        logged=[{"loss": 0.5, "grad_norm": 1.0}] * 4,
        arguments={"learning_rate": 1e-4, "output_dir": contender},
        num_threads=1,
    )
    run = Trained(contender=contender, round=round_, wall_s=9.0, load=0.1, notes=notes)
    return replace(run, notes=replace(notes, **changes))


def options(**changes: object) -> Namespace:
    return Namespace(
        **{**vars(overhead.parse_arguments(["--isolation", "best_effort"])), **changes}
    )


def test_a_busy_round_changes_the_spread_but_not_the_best_ratio() -> None:
    seconds = {"pipeline": (2.0, 2.0, 9.0), "bare TRL": (2.5, 8.0, 2.5), "bare, kept": (2.0,) * 3}
    runs = [trained(name, s, n) for name in CONTENDERS for n, s in enumerate(seconds[name])]
    results = Results(setup=None, runs=runs, warmup=1, differences={})  # type: ignore[arg-type]
    ratios = results.ratios(BARE)
    assert (ratios.best, ratios.median, ratios.cpu) == (0.8, 0.8, 1.0)
    assert ratios.by_rounds == (0.8, 0.25, 3.6)
    assert results.judging().share == pytest.approx(0.1)
    assert results.judging().completion_ms == pytest.approx(50)


def test_wall_times_of_a_busy_machine_are_held_against_no_limit() -> None:
    seconds = {"pipeline": 3.0, "bare TRL": 2.0, "bare, kept": 2.0}
    setup: Any = SimpleNamespace(method="dpo")
    for others, misses in ((0.0, 2), (float(os.cpu_count() or 1), 0)):
        runs = [trained(name, seconds[name], others=others) for name in CONTENDERS]
        results = Results(setup=setup, runs=runs, warmup=1, differences={})
        assert len(results.misses()) == misses


def test_the_report_fits_the_terminal_and_json_has_what_it_is_made_from() -> None:
    setup: Any = SimpleNamespace(method="grpo", num_completions=4, bare={"model": "m"})
    runs = [trained(name, 123.4, n) for name in CONTENDERS for n in range(3)]
    results = Results(setup=setup, runs=runs, warmup=1, differences={"loss": 1e-9})
    lines = report(results).splitlines()
    assert max(len(line) for line in lines) <= 100
    assert any(line.startswith("judging: 10.00% of a step") for line in lines)
    assert len(json.loads(json.dumps(as_json([results])))["grpo"]["runs"]) == 9


def test_other_options_threads_or_losses_are_no_comparison() -> None:
    first = trained("pipeline", 1.0)
    assert check_same_work([first, trained(BARE, 2.0)])["loss"] == 0
    for changes, message in (
        ({"arguments": {"learning_rate": 2e-4}}, "other options than pipeline: learning_rate"),
        ({"num_threads": 2}, "the number of threads"),
        ({"logged": [{"loss": 0.6, "grad_norm": 1.0}] * 4}, "a loss of 0.6"),
    ):
        with pytest.raises(OverheadError, match=message):
            check_same_work([first, trained(BARE, 2.0, **changes)])


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("method", ["dpo", "grpo"])
def test_the_pipeline_and_the_bare_script_log_the_same_losses(
    method: str, tmp_path: Path, solver_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = options(rounds=1, steps=3, model=str(solver_folder))
    monkeypatch.setattr(overhead, "CONTENDERS", (PIPELINE, BARE))
    monkeypatch.setenv("PYTHONPATH", str(PROJECT_ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    overhead.use_tiny_policy(tiny, tmp_path)
    results = overhead.measured(method, tiny, tmp_path / method)
    assert set(results.differences.values()) == {0.0}
    assert any(row["grad_norm"] > 0 for row in results.runs[0].notes.logged)
    rewarded = results.of(PIPELINE)[0].notes.num_rewarded
    assert rewarded == [tiny.completions if method == "grpo" else 0] * 3
