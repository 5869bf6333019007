"""Generation on this machine's CPUs: tokens per second, as a share of the roof, against peers.

`python benchmarks/generation.py` samples completions of the small problems from the embedded model:
by this project, by plain `generate` (a batch, then the next; with the same chat template and
sampling), by Transformers' own continuous batching, and by vLLM and llama.cpp where they are
installed. The roof is what two operations per weight and token allow at the speed of a large matrix
product, which is measured in the same run. Every contender runs in a process of its own, whose peak
memory is told; they take turns over the rounds, and the best round counts. Loading is not counted.
Tokens are counted up to the end of a completion, for all alike.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from rich.table import Table

from benchmarks.generation_contenders import (
    CONTENDERS,
    EIGHT_BITS,
    MEASURED,
    NEEDED_PACKAGES,
    Case,
    Measured,
)

_SIZES = ("1:1", "16:1", "16:8", "64:1", "64:8", "64:10")


@dataclass(frozen=True, kw_only=True)
class Result:
    """One contender in one case."""

    contender: str
    case: Case
    measured: Measured
    """Of its fastest round."""


def main(arguments: Sequence[str] | None = None) -> int:
    """0; 1 where `--check` finds a limit missed."""
    options = _parser().parse_args(arguments)
    cases = [_case(size, options) for size in options.sizes.split(",")]
    results = [result for case in cases for result in _measured(case, options)]
    gflops = matrix_product_gflops(options.threads)
    console = Console(width=100)
    for case in cases:
        console.print(_table(case, [r for r in results if r.case == case], gflops))
    if options.json:
        rows = [asdict(result) for result in results]
        options.json.write_text(json.dumps({"gflops": gflops, "results": rows}, indent=1) + "\n")
    missed = [line for case in cases for line in _missed(case, results, gflops)]
    for line in missed:
        console.print(f"missed: {line}", markup=False)
    return 1 if missed and options.check else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    add = parser.add_argument
    add("--sizes", default=",".join(_SIZES), metavar="BATCH:N,…", help="batch size : n per prompt")
    add("--contenders", default="", metavar="NAME,…", help=f"some of {', '.join(CONTENDERS)}")
    add("--batches", type=int, default=2, help="completions of a case, in batches")
    add("--rounds", type=int, default=2, help="times that every contender samples")
    add("--tokens", type=int, default=128, help="of a completion, at most")
    add("--temperature", type=float, default=0.8)
    add("--top-p", type=float, default=0.95)
    add("--threads", type=int, default=2)
    add("--gguf", metavar="FILE", help="the model for llama.cpp, which takes part with it")
    add("--check", action="store_true", help="exit with 1 where a limit is missed")
    add("--json", type=Path, metavar="FILE", help="write all measurements")
    return parser


def _case(size: str, options: argparse.Namespace) -> Case:
    batch_size, num_candidates = map(int, size.split(":"))
    return Case(
        batch_size=batch_size,
        num_candidates=num_candidates,
        num_completions=batch_size * options.batches,
        max_tokens=options.tokens,
        temperature=options.temperature,
        top_p=options.top_p,
        num_threads=options.threads,
        gguf=options.gguf,
    )


def _measured(case: Case, options: argparse.Namespace) -> list[Result]:
    chosen = options.contenders.split(",") if options.contenders else list(CONTENDERS)
    present = [name for name in chosen if _takes_part(name, case)]
    rounds = [
        {name: _in_own_process(name, case) for name in present} for _ in range(options.rounds)
    ]
    return [
        Result(
            contender=name,
            case=case,
            measured=max((each[name] for each in rounds), key=lambda m: m.tokens_per_s),
        )
        for name in present
    ]


def _takes_part(contender: str, case: Case) -> bool:
    if contender == "llama.cpp" and case.gguf is None:
        return False
    if contender == EIGHT_BITS:
        from coderl_exp.generation.int8 import has_vnni

        return has_vnni()
    package = NEEDED_PACKAGES.get(contender)
    return package is None or find_spec(package) is not None


def _in_own_process(contender: str, case: Case) -> Measured:
    command = [sys.executable, "-m", "benchmarks.generation_contenders", contender]
    done = subprocess.run(
        [*command, json.dumps(asdict(case))],
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{contender} failed:\n{done.stderr}")
    [line] = [each for each in done.stdout.splitlines() if each.startswith(MEASURED)]
    return Measured(**json.loads(line.removeprefix(MEASURED)))


def matrix_product_gflops(num_threads: int = 2, size: int = 2048, rounds: int = 5) -> float:
    """Of a float32 product of square matrices, the fastest of some."""
    import torch

    torch.set_num_threads(num_threads)
    left, right = torch.randn(size, size), torch.randn(size, size)
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        left @ right
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times) / 1e9


def roof_tokens_per_s(measured: Measured, gflops: float) -> float:
    """Two operations per weight and token."""
    return gflops * 1e9 / (2 * measured.num_parameters)


def _table(case: Case, results: Sequence[Result], gflops: float) -> Table:
    roof = roof_tokens_per_s(results[0].measured, gflops)
    table = Table(
        title=f"batch {case.batch_size}, n = {case.num_candidates}, {case.num_completions} "
        f"completions; roof {roof:.0f} tokens/s ({gflops:.0f} GFLOP/s)",
        title_justify="left",
    )
    for column in ("contender", "tokens", "tokens/s", "of the roof", "ours is", "peak MiB"):
        table.add_column(column, justify="left" if column == "contender" else "right")
    ours = _speed(results, "coderl_exp")
    for result in results:
        measured = result.measured
        table.add_row(
            result.contender,
            f"{measured.num_tokens:,}",
            f"{measured.tokens_per_s:.1f}",
            f"{measured.tokens_per_s / roof:.0%}",
            f"{ours / measured.tokens_per_s:.2f}x" if ours else "–",
            f"{measured.peak_memory_mb:.0f}",
        )
    return table


def _speed(results: Sequence[Result], contender: str) -> float:
    return next((r.measured.tokens_per_s for r in results if r.contender == contender), 0.0)


def _missed(case: Case, results: Sequence[Result], gflops: float) -> list[str]:
    """Limits that this project has set itself."""
    here = {r.contender: r.measured for r in results if r.case == case}
    if not {"coderl_exp", "generate"} <= set(here):
        return []
    ours, plain = here["coderl_exp"], here["generate"]
    ratio = ours.tokens_per_s / plain.tokens_per_s
    share = ours.tokens_per_s / roof_tokens_per_s(ours, gflops)
    name = f"batch {case.batch_size}, n = {case.num_candidates}"
    missed = []
    if (wanted := {16: 2.0, 64: 2.5}.get(case.batch_size, 1.0)) > ratio:
        missed.append(f"{name}: {ratio:.2f} times plain generate, not {wanted}")
    if case.batch_size == 64 and case.num_candidates >= 8 and share < 0.5:
        missed.append(f"{name}: {share:.0%} of the roof, not 50%")
    if ours.peak_memory_mb > plain.peak_memory_mb:
        missed.append(f"{name}: more memory than plain generate")
    return missed


if __name__ == "__main__":
    sys.exit(main())
