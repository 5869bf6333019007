"""A search chooses by the validation split, and never sees the test split."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coderl_exp.cli_help import explain_hydra_error
from coderl_exp.config import compose_config
from coderl_exp.sweep.status import RunState, read_status
from tests.experiment import make_experiment, run_cli

VALIDATION = ("dataset.train_ids=[101,105]", "dataset.validation_ids=[106,108]")


@pytest.mark.slow
def test_a_search_chooses_by_the_validation_split_and_leaves_the_test_split_alone(
    tmp_path: Path, solver_folder: Path
) -> None:
    experiment, folder = make_experiment(tmp_path, solver_folder, num_train=8), tmp_path / "sweep"
    trials = ("hydra.sweeper.n_trials=3", "hydra.sweeper.sampler.n_startup_trials=1")
    rates = "method.learning_rate=choice(-1.0,1e-3,2e-3)"
    arguments = experiment.arguments("tracking=none", *VALIDATION, *trials)
    arguments = [a for a in arguments if not a.startswith("method.learning_rate")]
    done = run_cli(
        "experiment=search", *arguments, f"hydra.sweep.dir={folder}", "seed=1", rates,
        "method.beta=0.1", timeout=400,
    )  # fmt: skip
    statuses = [read_status(folder / str(number)) for number in range(3)]
    states = [status.state for status in statuses if status]
    assert RunState.complete in states, done.stderr
    assert done.returncode == (1 if RunState.failed in states else 0), done.stderr
    complete = [s for s in statuses if s and s.state is RunState.complete]
    assert {status.objective_name for status in complete} == {"validation pass@1"}
    best = max(status.objective or 0.0 for status in complete)
    said = " ".join(done.stderr.split())
    assert f"validation pass@1 {100 * best:.1f} %, the highest of {len(complete)}" in said
    number = next(i for i, s in enumerate(statuses) if s and s.state is RunState.complete)
    artifacts = folder / str(number) / "artifacts"
    assert not (artifacts / "test").exists()
    evaluation = json.loads((artifacts / "validation" / "evaluations.json").read_text())
    assert {row["task_id"] for row in evaluation["problems"]} == {
        f"mini/{i}" for i in (106, 107, 108)
    }
    report = next((artifacts / "reports").glob("*.md")).read_text()
    assert "of 3 validation problems" in report.splitlines()[0]


def test_a_search_that_would_choose_by_the_test_split_is_refused(tmp_path: Path) -> None:
    done = run_cli("experiment=search", "stages=null", f"hydra.sweep.dir={tmp_path / 'sweep'}")
    assert done.returncode == 2
    assert "add validate" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_validation_split_is_evaluated_on_request_only() -> None:
    assert "validate" not in compose_config().selected_stages()
    chosen = compose_config("stages=[validate,merge]").selected_stages()
    assert chosen == ("merge", "validate")


def test_data_without_a_validation_split_is_refused_by_name() -> None:
    done = run_cli("stages=[validate]", "tracking=none")
    assert done.returncode == 2
    assert "validation" in done.stderr


def test_a_sweeper_that_is_not_installed_is_named() -> None:
    from hydra.errors import MissingConfigException

    error = MissingConfigException("In 'x': Could not find 'hydra/sweeper/optuna'")
    assert "pip install" in str(explain_hydra_error(error))


@pytest.mark.slow
def test_a_search_in_which_every_trial_fails_ends_with_their_table(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    done = run_cli(
        "experiment=search", "tracking=none", "method.learning_rate=choice(-1.0,-2.0)",
        "hydra.sweeper.n_trials=2", f"store_dir={tmp_path / 'store'}", f"hydra.sweep.dir={folder}",
    )  # fmt: skip
    assert done.returncode == 1
    assert "2 of 2 jobs failed" in done.stderr
    assert "Traceback" not in done.stderr
    before = [(folder / str(n) / "status.json").stat().st_mtime_ns for n in range(2)]
    again = run_cli(f"resume={folder}")
    assert "1 of 1 jobs are done" in again.stderr
    after = [(folder / str(n) / "status.json").stat().st_mtime_ns for n in range(2)]
    assert before == after, "the sampler would have asked for other trials than before"


def test_a_search_that_would_not_wait_for_its_trials_is_refused(tmp_path: Path) -> None:
    done = run_cli(
        "experiment=search", "launcher=slurm", "launcher.detach=true",
        f"hydra.sweep.dir={tmp_path / 'sweep'}",
    )  # fmt: skip
    assert done.returncode == 2
    assert "launcher.detach" in done.stderr
