"""The benchmarks of sampling and training on CPUs: what they print, and which limits they hold."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

from rich.console import Console

from benchmarks import generation, training
from benchmarks.generation import Result
from benchmarks.generation_contenders import CONTENDERS, Case, Measured


def result(contender: str, tokens_per_s: float, batch_size: int = 64, mb: float = 100) -> Result:
    case = Case(
        batch_size=batch_size, num_candidates=8, num_completions=128, max_tokens=128,
        temperature=0.8, top_p=0.95, num_threads=2, gguf=None,
    )  # fmt: skip
    measured = Measured(
        num_tokens=10_000,
        tokens_per_s=tokens_per_s,
        peak_memory_mb=mb,
        num_parameters=100_000_000,
    )
    return Result(contender=contender, case=case, measured=measured)


def lines_of(table: Any) -> list[str]:
    file = io.StringIO()
    Console(width=100, file=file).print(table)
    return file.getvalue().splitlines()


def test_a_table_has_the_share_of_the_roof_and_fits_the_terminal() -> None:
    results = [result("coderl_exp", 300.0), result("generate", 100.0)]
    lines = lines_of(generation._table(results[0].case, results, gflops=100.0))
    assert max(map(len, lines)) <= 100
    assert "roof 500 tokens/s" in lines[0]
    ours, plain = (next(line for line in lines if name in line) for name in ("coderl", "generate"))
    assert "60%" in ours
    assert "3.00x" in plain


def test_a_limit_that_is_missed_is_named() -> None:
    good = [result("coderl_exp", 300.0), result("generate", 100.0, mb=101)]
    assert generation._missed(good[0].case, good, gflops=100.0) == []
    bad = [result("coderl_exp", 200.0, mb=200), result("generate", 100.0)]
    missed = " ".join(generation._missed(bad[0].case, bad, gflops=100.0))
    for part in ("2.00 times plain generate, not 2.5", "40% of the roof", "more memory"):
        assert part in missed


def test_a_contender_takes_part_where_its_package_is_installed() -> None:
    case = result("generate", 1.0).case
    assert generation._takes_part("generate", case)
    assert not generation._takes_part("llama.cpp", case), "no file was given"
    assert set(CONTENDERS) >= {"coderl_exp", "generate", "generate_batch", "vllm", "llama.cpp"}


def test_training_is_told_in_tokens_per_second_of_the_steps_that_count() -> None:
    notes = SimpleNamespace(
        step_s=[9.0, 2.0, 2.0],
        logged=[{"num_tokens": 1000.0 * step} for step in (1, 2, 3, 4)],
    )
    run: Any = SimpleNamespace(notes=notes)
    assert training._tokens_per_s(run, warmup=1) == 500
    table = training._table([(each, run) for each in training.CONTENDERS], 600.0, 100_000_000, 1)
    lines = lines_of(table)
    assert "roof 1000 tokens/s" in lines[0]
    assert sum("50%" in line for line in lines) == len(training.CONTENDERS)
    assert max(map(len, lines)) <= 100
