"""The whole job through the command line: all stages, their artefacts, reuse, and the tracker."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from coderl_exp.records import (
    Candidate,
    JudgedCandidate,
    PreferencePair,
    RankedCandidate,
    VerdictStatus,
    read_jsonl,
)
from tests.experiment import (
    Experiment,
    adapter_weights,
    artefacts,
    make_experiment,
)
from tests.wandb_file import read_records


@dataclass(frozen=True, kw_only=True)
class Finished:
    experiment: Experiment
    run_dir: Path
    screen: str


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, solver_folder: Path) -> Finished:
    experiment = make_experiment(tmp_path_factory.mktemp("experiment"), solver_folder)
    done = experiment.run()
    assert done.returncode == 0, done.stderr
    return Finished(experiment=experiment, run_dir=experiment.root / "run", screen=done.stderr)


def rows(finished: Finished, name: str, record: Any) -> list[Any]:
    return list(read_jsonl(finished.run_dir / "artifacts" / name, record))


def test_the_closing_screen_answers_the_question(finished: Finished) -> None:
    assert "pass@1" in finished.screen
    assert "points" in finished.screen
    assert "DPO" in finished.screen
    assert "mini_dpo_summary.html" in finished.screen
    assert "python -m coderl_exp" in finished.screen


def test_every_row_of_every_artefact_validates(finished: Finished) -> None:
    assert len(rows(finished, "train/candidates.jsonl", Candidate)) == 40
    assert len(rows(finished, "train/candidates_annotated.jsonl", JudgedCandidate)) == 40
    assert len(rows(finished, "test/candidates_after_annotated.jsonl", JudgedCandidate)) == 32
    assert rows(finished, "rl/nbest.jsonl", RankedCandidate)
    assert rows(finished, "rl/pairs.jsonl", PreferencePair)


def test_pairs_never_prefer_a_failing_program(finished: Finished) -> None:
    pairs = rows(finished, "rl/pairs.jsonl", PreferencePair)
    annotated = rows(finished, "train/candidates_annotated.jsonl", JudgedCandidate)
    status = {(r.candidate.task_id, r.candidate.index): r.verdict.status for r in annotated}
    for pair in pairs:
        assert status[pair.task_id, pair.chosen_index] is VerdictStatus.passed
        assert status[pair.task_id, pair.rejected_index] is not VerdictStatus.passed


def test_verdicts_are_those_of_the_programs(finished: Finished) -> None:
    for row in rows(finished, "train/candidates_annotated.jsonl", JudgedCandidate):
        body = (row.code or "").strip().rpartition("return ")[2]
        expected = {"x+1": "passed", "x-1": "wrong_answer", "x*2": "wrong_answer"}
        expected["x[0]"] = "runtime_error"
        if body in expected:
            assert row.verdict.status.value == expected[body], row


def test_the_manifest_accounts_for_every_candidate(finished: Finished) -> None:
    manifest = json.loads((finished.run_dir / "artifacts" / "rl" / "manifest.json").read_text())
    annotated = rows(finished, "train/candidates_annotated.jsonl", JudgedCandidate)
    assert manifest["counts"]["candidates"] == len(annotated)
    passed = sum(row.verdict.passed for row in annotated)
    assert manifest["train_pass_at_k"]["1"] == pytest.approx(passed / len(annotated))
    pairs = rows(finished, "rl/pairs.jsonl", PreferencePair)
    assert manifest["counts"]["pass_over_fail"] == len(pairs)


def test_training_on_the_pairs_makes_the_policy_pass_more(finished: Finished) -> None:
    before, after = (
        json.loads(
            (finished.run_dir / "artifacts" / "test" / f"evaluations_{name}.json").read_text()
        )
        for name in ("baseline", "after")
    )
    assert after["pass_at_k"]["pass@1"]["mean"] > before["pass_at_k"]["pass@1"]["mean"]


def test_the_merge_was_checked_and_the_adapter_does_something(finished: Finished) -> None:
    folder = (finished.run_dir / "artifacts" / "merged_model").resolve().parent
    check = json.loads((folder / "merge_check.json").read_text())
    assert check["greedy_tokens_agree"]
    assert check["max_logit_difference"] <= check["tolerance"] < check["adapter_changes_logits_by"]


def test_the_report_says_the_same_in_all_its_forms(finished: Finished) -> None:
    folder = finished.run_dir / "report"
    summary = json.loads((folder / "mini_dpo_summary.json").read_text())
    for name in ("mini_dpo_summary.md", "mini_dpo_summary.html"):
        assert summary["answer"][:20] in (folder / name).read_text(encoding="utf-8")


def test_every_manifest_says_what_it_cost(finished: Finished) -> None:
    manifests = list((finished.experiment.root / "store").glob("*/*/manifest.json"))
    stages = Counter(path.parent.parent.name for path in manifests)
    assert stages == {
        **dict.fromkeys(("audit", "rl_build", "train", "merge", "analyze"), 1),
        **dict.fromkeys(("generate", "annotate"), 3),
    }
    for path in manifests:
        manifest = json.loads(path.read_text())
        assert manifest["wall_s"] > 0
        assert manifest["versions"]["trl"]
        if manifest["key"]["stage"] == "generate":
            assert manifest["summary"]["num_generated_tokens"] > 0
        if manifest["key"]["stage"] == "train":
            assert manifest["summary"]["num_trained_tokens"] > 0


def test_the_offline_wandb_file_holds_curves_summary_table_and_artefacts(
    finished: Finished,
) -> None:
    (file,) = (finished.run_dir / "wandb").glob("offline-run-*/*.wandb")
    history, summary, kinds, run = [], {}, Counter(), None
    for record in read_records(file):
        kinds[record.WhichOneof("record_type")] += 1
        if record.HasField("run"):
            run = record.run
        if record.HasField("history"):
            history.append({(i.key or i.nested_key[0]): i.value_json for i in record.history.item})
        for item in record.summary.update:
            summary[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
    assert run is not None
    assert run.job_type == "dpo"
    losses = [row["train/loss"] for row in history if "train/loss" in row]
    assert len(losses) == 4
    for when in ("baseline", "after", "delta"):
        assert summary[f"{when}/pass@1/low"] <= summary[f"{when}/pass@1"]
    assert any("completions" in row for row in history)
    assert any("report" in row for row in history)
    assert kinds["artifact"] >= 8


def test_the_same_command_reuses_everything_and_another_folder_agrees(finished: Finished) -> None:
    again = finished.experiment.run(run="again")
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("reused from the store") == 10
    assert artefacts(finished.experiment.root / "again") == artefacts(finished.run_dir)


def test_two_runs_with_one_seed_write_the_same_bytes(
    finished: Finished, tmp_path: Path, solver_folder: Path
) -> None:
    other = make_experiment(tmp_path, solver_folder)
    done = other.run("tracking=none")
    assert done.returncode == 0, done.stderr
    assert artefacts(tmp_path / "run") == artefacts(finished.run_dir)
    assert adapter_weights(tmp_path / "run") == adapter_weights(finished.run_dir)
    assert not list(tmp_path.rglob("*.wandb")), "tracking=none must write nothing"


def test_a_stage_reads_its_inputs_from_the_store(finished: Finished) -> None:
    done = finished.experiment.run("stages=[rl_build]", "rl_build.max_pairs=2", run="rebuilt")
    assert done.returncode == 0, done.stderr
    pairs = finished.experiment.root / "rebuilt" / "artifacts" / "rl" / "pairs.jsonl"
    per_problem = Counter(pair.task_id for pair in read_jsonl(pairs, PreferencePair))
    assert max(per_problem.values()) == 2


def test_the_plan_knows_what_is_in_the_store_and_runs_nothing(finished: Finished) -> None:
    before = sorted((finished.experiment.root / "store").rglob("*"))
    done = finished.experiment.run("plan=true", "method.learning_rate=1e-3", run="plan")
    assert done.returncode == 0, done.stderr
    lines = {line.split()[1]: line for line in done.stdout.splitlines() if "│" in line}
    assert "in the store" in lines["rl_build"]
    assert "would run" in lines["train"]
    assert "would run" in lines["test_after.candidates"]
    assert "memory:" in done.stdout
    assert sorted((finished.experiment.root / "store").rglob("*")) == before


def test_summary_json_is_plain_json(finished: Finished) -> None:
    text = (finished.run_dir / "report" / "mini_dpo_summary.json").read_text()
    assert "NaN" not in text
    TypeAdapter(dict[str, Any]).validate_json(text)
