"""What the steps are given and keyed by follows from the data, its audit and its prompts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from coderl_exp.config import compose_config
from coderl_exp.data_audit import ProblemAudit, machine
from coderl_exp.errors import DataError
from coderl_exp.experiment_data import ExperimentData
from coderl_exp.records import ModelRef, Problem, write_jsonl
from coderl_exp.steps import ExperimentSteps
from tests.conftest import mbpp_row

Writer = Callable[..., Path]
MODEL = ModelRef(path="none", revision=None, dtype="float32", identity="m")


@pytest.fixture
def make_data(write_dataset: Writer) -> Callable[..., ExperimentData]:
    """The data of an experiment on the ids 1 and 2 (test), 101 to 103 (train)."""

    def make(*overrides: str) -> ExperimentData:
        path = write_dataset([mbpp_row(n) for n in (1, 2, 101, 102, 103)])
        ids = ("dataset.train_ids=[101,200]", "dataset.test_ids=[1,100]")
        return ExperimentData(
            compose_config("dataset=mini", f"dataset.path='{path}'", *ids, *overrides)
        )

    return make


def keys(data: ExperimentData) -> dict[str, str]:
    """Step → digest of its key."""
    steps = ExperimentSteps(data._config, data.problems(None), data.digests, MODEL)
    return {step.name: step.key.digest for step in steps.all}


def write_audits(folder: Path, data: ExperimentData, *unsolvable: str) -> Path:
    def audit_of(problem: Problem) -> ProblemAudit:
        is_solvable = problem.task_id not in unsolvable
        return ProblemAudit(
            task_id=problem.task_id,
            split=problem.split,
            status="solvable" if is_solvable else "quarantined",
            reason="",
            num_references=1,
            passing=(0,) if is_solvable else (),
            reading=0,
            cpu_s=0.1,
            machine=machine(),
        )

    write_jsonl(folder / "audits.jsonl", map(audit_of, data.dataset.problems))
    return folder


def test_what_no_reference_solves_leaves_train_and_only_train(
    make_data: Callable[..., ExperimentData], tmp_path: Path
) -> None:
    data = make_data()
    audit = write_audits(tmp_path, data, "mini/1", "mini/102")
    steps = ExperimentSteps(data._config, data.problems(audit), data.digests, MODEL)
    assert [p.task_id for p in steps.split("train")] == ["mini/101", "mini/103"]
    assert [p.task_id for p in steps.split("test")] == ["mini/1", "mini/2"]


def test_an_audit_that_leaves_no_train_problem_is_refused(
    make_data: Callable[..., ExperimentData], tmp_path: Path
) -> None:
    data = make_data()
    audit = write_audits(tmp_path, data, "mini/101", "mini/102", "mini/103")
    with pytest.raises(DataError, match=r"no train problem \(not solvable: 3\)"):
        data.problems(audit)


def test_what_is_sampled_for_training_are_train_problems_only(
    make_data: Callable[..., ExperimentData],
) -> None:
    data = make_data(
        "generation.num_candidates=1", "evaluation.num_candidates=1", "evaluation.ks=[1]"
    )
    steps = ExperimentSteps(data._config, data.problems(None), data.digests, MODEL)
    sampled = {step.name: step.num_completions for step in steps.all}
    assert sampled["train_gen.candidates"] == 3
    assert sampled["baseline.candidates"] == sampled["test_after.candidates"] == 2


def test_data_without_an_audit_is_other_data(make_data: Callable[..., ExperimentData]) -> None:
    audited, unaudited = make_data(), make_data("dataset.audit=false")
    assert unaudited.audit_key is None
    for split in ("train", "test"):
        assert audited.digests[split] != unaudited.digests[split]


def test_what_can_make_a_reference_fail_is_part_of_the_datas_digest(
    make_data: Callable[..., ExperimentData],
) -> None:
    assert make_data("sandbox.memory_mb=77").digests != make_data().digests


def test_another_time_limit_judges_again_without_sampling_again(
    make_data: Callable[..., ExperimentData],
) -> None:
    before, after = keys(make_data()), keys(make_data("sandbox.timeout_s=77"))
    assert before["baseline.candidates"] == after["baseline.candidates"]
    assert before["train_gen.candidates"] == after["train_gen.candidates"]
    assert before["baseline.verdicts"] != after["baseline.verdicts"]


@pytest.mark.parametrize("override", ["dataset.prompt_style=original", "dataset.num_shots=1"])
@pytest.mark.parametrize("method", ["dpo", "grpo"])
def test_another_prompt_samples_and_trains_anew(
    make_data: Callable[..., ExperimentData], override: str, method: str
) -> None:
    method = f"method={method}"
    before, after = keys(make_data(method)), keys(make_data(method, override))
    for name in ("baseline.candidates", "train_gen.candidates", "train", "test_after.candidates"):
        assert before[name] != after[name], name


def test_other_examples_are_other_prompts(
    make_data: Callable[..., ExperimentData],
) -> None:
    shots = "dataset.num_shots=1"
    before = make_data(shots)
    after = make_data(shots, "dataset.train_ids=[102,200]")
    assert before.problems(None)[-1].prompt != after.problems(None)[-1].prompt
    assert keys(before)["baseline.candidates"] != keys(after)["baseline.candidates"]


@pytest.mark.parametrize("override", ["dataset.num_shots=2", "dataset.shot_ids=['102']"])
def test_more_or_other_examples_of_the_same_data_are_other_prompts(
    make_data: Callable[..., ExperimentData], override: str
) -> None:
    one = "dataset.num_shots=1"
    before, after = keys(make_data(one)), keys(make_data(one, override))
    assert before["baseline.candidates"] != after["baseline.candidates"]


def test_without_examples_the_train_split_changes_nothing_of_the_baseline(
    make_data: Callable[..., ExperimentData],
) -> None:
    before, after = keys(make_data()), keys(make_data("dataset.train_ids=[102,200]"))
    assert before["baseline.candidates"] == after["baseline.candidates"]


def test_every_problem_of_a_step_has_its_prompt(make_data: Callable[..., ExperimentData]) -> None:
    problems = make_data("dataset.prompt_style=original").problems(None)
    assert all("[BEGIN]" in problem.prompt[-1].content for problem in problems)


def test_a_test_that_cannot_be_judged_is_named_with_its_problem(write_dataset: Writer) -> None:
    tests = ["assert add_1(0) == 1", "assert 1 + 1 == 2"]
    path = write_dataset([mbpp_row(1, test_list=tests)])
    with pytest.raises(DataError, match="mini/1: The test 'assert 1"):
        ExperimentData(compose_config(f"dataset.path='{path}'", "stages=[baseline]"))
