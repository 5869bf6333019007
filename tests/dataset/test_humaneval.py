"""HumanEval's `check(candidate)` becomes tests that the judge can run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from coderl_exp.config import PROJECT_ROOT, compose_config
from coderl_exp.dataset import check_split, load_dataset
from coderl_exp.errors import DataError
from coderl_exp.records import Problem, Program
from coderl_exp.sandbox import make_judge
from coderl_exp.sandbox.programs import program_for
from tests.conftest import sandbox_config
from tests.experiment import run_cli

FIXTURE = PROJECT_ROOT / "tests" / "fixtures" / "humaneval.jsonl"


def loaded(path: Path = FIXTURE) -> Sequence[Problem]:
    return load_dataset(
        compose_config("dataset=humaneval", f"dataset.path='{path}'", "stages=[baseline]").dataset
    ).problems


def test_all_problems_are_in_the_test_split() -> None:
    assert {p.split for p in loaded()} == {"test"}
    assert [p.task_id for p in loaded()] == ["humaneval/0", "humaneval/1", "humaneval/2"]


def test_each_assert_is_a_test_of_its_own() -> None:
    first = loaded()[0]
    assert first.tests == (
        "assert longest_run([]) == 0",
        "assert longest_run([1, 1, 2]) == 2",
        "assert longest_run([3, 3, 3, 1, 1]) == 3",
    )


def test_a_check_that_is_more_than_asserts_stays_whole() -> None:
    [test] = loaded()[1].tests
    assert str(test).endswith("check(radius_of)\n")


def test_what_the_prompt_defines_beside_the_function_can_be_used_by_tests() -> None:
    assert "def area(radius):" in loaded()[1].setup_code
    assert "def radius_of" not in loaded()[1].setup_code


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"test": "def check(candidate):\n    assert True\n"}, "asserts nothing"),
        (
            {"prompt": "def longest_run(x):\n", "canonical_solution": "    return 0\n"},
            "humaneval.jsonl:1: prompt is not Python",
        ),
    ],
)
def test_a_row_that_nothing_can_be_made_of_is_named(
    columns: dict[str, str], message: str, tmp_path: Path
) -> None:
    row = json.loads(FIXTURE.read_text().splitlines()[0]) | columns
    file = tmp_path / "humaneval.jsonl"
    file.write_text(json.dumps(row))
    with pytest.raises(DataError, match=message):
        loaded(file)


def test_references_pass_and_wrong_programs_do_not() -> None:
    problems = loaded()
    wrong = [p.starter_code + "    return None\n" for p in problems]
    programs: list[Program] = [program_for(p, p.reference) for p in problems]
    programs += [program_for(p, code) for p, code in zip(problems, wrong, strict=True)]
    judge = make_judge(sandbox_config(memory_mb=512))
    passed = [verdict.passed for verdict in judge.run(programs)]
    judge.close()
    assert passed == [True] * 3 + [False] * 3


def test_nothing_of_it_may_be_trained_on() -> None:
    config = compose_config("dataset=humaneval", f"dataset.path='{FIXTURE}'").dataset
    with pytest.raises(DataError, match=r"no train problem.*stages=\[baseline\]"):
        check_split(load_dataset(config), config, "train")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("entry_point", "other", "does not define other"),
        ("test", "x = 1", r"no check\(candidate\)"),
        ("prompt", "def half(:", "is not Python"),
        ("canonical_solution", None, "null as 'canonical_solution'"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, column: str, value: object, message: str) -> None:
    row = json.loads(FIXTURE.read_text().splitlines()[2])
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({**row, column: value}) + "\n")
    with pytest.raises(DataError, match=message) as caught:
        loaded(path)
    assert "rows.jsonl:1" in str(caught.value)


@pytest.mark.slow
def test_a_baseline_is_one_command(tmp_path: Path, model_folder: Path) -> None:
    done = run_cli(
        "dataset=humaneval",
        f"dataset.path={FIXTURE}",
        f"model.name_or_path={model_folder}",
        "stages=[baseline]",
        "generation.max_tokens=8",
        "generation.num_candidates=2",
        "evaluation.ks=[1]",
        "tracking=none",
        f"store_dir={tmp_path / 'store'}",
        f"hydra.run.dir={tmp_path / 'run'}",
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "artifacts" / "test" / "evaluations_baseline.json").is_file()
