"""A file that is larger than the memory that reading it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coderl_exp.config import PROJECT_ROOT
from tests.dataset.taco import COLUMNS, row

NUM_PROBLEMS, NUM_TESTS, TEST_CHARACTERS = 2_000, 100, 4_000

LOAD = """
import sys
from coderl_exp.config import compose_config
from coderl_exp.dataset import load_dataset
from coderl_exp.memory import peak_memory_mb
dataset = load_dataset(compose_config("dataset=taco", f"dataset.path='{sys.argv[1]}'").dataset)
tests = sum(len(problem.tests) for problem in dataset.problems)
print(len(dataset.problems), tests, round(peak_memory_mb()))
"""


def problems() -> Iterator[dict[str, object]]:
    for number in range(NUM_PROBLEMS):
        inputs = [f"{number} {test} ".ljust(TEST_CHARACTERS, "7") for test in range(NUM_TESTS)]
        question = " ".join(f"w{number * 31 + word}" for word in range(60))
        yield row(inputs, ["1"] * NUM_TESTS, ["print(1)"], question=question)


def write_parquet(path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    with parquet.ParquetWriter(path, schema) as writer:
        for each in problems():
            writer.write_table(pa.Table.from_pylist([each], schema), row_group_size=50)


@pytest.mark.slow
def test_two_hundred_thousand_tests_are_read_in_half_a_gigabyte(tmp_path: Path) -> None:
    path = tmp_path / "taco.parquet"
    write_parquet(path)
    assert len(json.dumps(next(problems()))) * NUM_PROBLEMS > 750e6, "no smaller than the limit"
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(path)],
        capture_output=True,
        text=True,
        cwd=PROJECT_ROOT,
        check=True,
    )
    num_problems, num_tests, megabytes = map(int, done.stdout.split())
    assert num_problems == NUM_PROBLEMS
    assert num_tests == NUM_PROBLEMS * 20
    assert megabytes < 500
