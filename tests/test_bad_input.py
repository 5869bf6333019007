"""Every mistake ends as one line that names the thing and the remedy, with the right exit code."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import pytest

from coderl_exp.cli import Terminated, guarded
from coderl_exp.errors import ConfigError, SandboxError
from tests.conftest import mbpp_row
from tests.experiment import make_experiment, run_cli


def assert_refused(result: object, *words: str) -> None:
    """One line on stderr that holds the words; exit code 2; no traceback."""
    stderr = result.stderr.strip()  # type: ignore[attr-defined]
    assert result.returncode == 2, stderr  # type: ignore[attr-defined]
    assert len(stderr.splitlines()) == 1, stderr
    assert stderr.startswith("error: ")
    for word in words:
        assert word in stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["method.learnin_rate=1"], ["method.learnin_rate", "method.learning_rate"]),
        (["dataste=mbpp"], ["dataste", "dataset"]),
        (["dataset=mbp"], ["dataset=mbp", "mbpp", "mini"]),
        (["model=gpt5"], ["model=gpt5", "smollm2_135m"]),
        (["method.learning_rate=fast"], ["method.learning_rate", "fast"]),
        (["seed"], ["seed"]),
        (["generation=vllm", "generation.load_in_8bit=true"], ["an option of generation=hf"]),
        (["+foo=1"], ["foo"]),
        (["+method.learnin_rate=1"], ["method.learnin_rate"]),
        (["evaluation.ks=3"], ["evaluation.ks", "list"]),
        (["stages=[bseline]"], ["bseline", "baseline"]),
        (["stages=[]"], ["stages", "baseline"]),
        (["evaluation.ks=[1,50]"], ["pass@50", "num_candidates"]),
        (["generation.top_p=1.5"], ["generation.top_p", "1.5"]),
        (["generation.num_candidates=0"], ["generation.num_candidates"]),
        (["dataset.train_ids=[1,50]"], ["overlap"]),
        (["sandbox.isolation=none"], ["sandbox.isolation", "strict"]),
        (["dataset.path=/nowhere/data.jsonl"], ["/nowhere/data.jsonl", "does not exist"]),
        (["model.name_or_path=/nowhere/model"], ["/nowhere/model", "does not exist"]),
        (["method.max_steps=0"], ["method.max_steps"]),
        (["seed=-1"], ["seed"]),
        (["experiment_name=a/b"], ["experiment_name", "slash"]),
        (["rl_build.pairs_per_winner=-1"], ["rl_build.pairs_per_winner"]),
        (["evaluation.ks=[1,1]"], ["evaluation.ks"]),
        (["accelerate.config_file=/nope.yaml"], ["/nope.yaml", "does not exist"]),
        (["dataset.path=/tmp"], ["/tmp", "has no data"]),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(
    arguments: list[str], words: list[str], model_folder: Path, tmp_path: Path
) -> None:
    has_model = any(argument.startswith("model") for argument in arguments)
    model = [] if has_model else [f"model.name_or_path={model_folder}"]
    run = [f"hydra.run.dir={tmp_path / 'run'}", f"store_dir={tmp_path / 'store'}"]
    assert_refused(run_cli(*model, *run, *arguments), *words)
    assert not (tmp_path / "store" / "generate").exists(), "work was begun"


def test_a_misspelt_trainer_option_is_refused_before_any_work(
    model_folder: Path, tmp_path: Path
) -> None:
    experiment = make_experiment(tmp_path, model_folder)
    done = experiment.run("+method.trainer.warmup_step=3")
    assert_refused(done, "method.trainer.warmup_step", "warmup_steps")
    assert not (tmp_path / "store" / "generate").exists()


@pytest.mark.parametrize(
    ("missing", "word"),
    [
        ("model.safetensors", "no weights"),
        ("tokenizer.json", "no tokenizer"),
        ("chat_template.jinja", "no chat template"),
        ("config.json", "no config.json"),
    ],
)
def test_an_incomplete_model_folder_is_named(
    missing: str, word: str, model_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    (folder / missing).unlink()
    if missing == "tokenizer.json":
        (folder / "tokenizer_config.json").unlink()
    assert_refused(make_experiment(tmp_path, folder).run(), str(folder), word)


def test_a_truncated_weights_file_is_named(model_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    done = make_experiment(tmp_path, folder).run("tracking=none", "dataset.audit=false")
    assert_refused(done, str(folder), "model.name_or_path")


def test_an_empty_selection_is_refused(model_folder: Path, tmp_path: Path) -> None:
    experiment = make_experiment(tmp_path, model_folder)
    assert_refused(experiment.run("dataset.test_ids=[900,950]"), "no test problem", "900")


def test_a_test_that_cannot_be_judged_is_named(model_folder: Path, tmp_path: Path) -> None:
    experiment = make_experiment(tmp_path, model_folder)
    bad = mbpp_row(1, test_list=["assert add_1(1) == 2", "assert 1 == 1"])
    experiment.dataset.write_text(json.dumps(bad) + "\n" + json.dumps(mbpp_row(101)) + "\n")
    assert_refused(experiment.run(), "assert 1 == 1", "must call add_1")


def test_a_stage_without_its_input_is_refused(model_folder: Path, tmp_path: Path) -> None:
    done = make_experiment(tmp_path, model_folder).run("stages=[merge]")
    assert_refused(done, "merge needs train", "add train to stages")


def test_a_policy_that_never_passes_ends_with_a_clear_error(
    model_folder: Path, tmp_path: Path
) -> None:
    experiment = make_experiment(tmp_path, model_folder, num_train=2, num_test=1)
    done = experiment.run("tracking=none", "generation.max_tokens=4", "evaluation.ks=[1]")
    assert done.returncode == 1
    assert "0 preference pairs" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x is 1: give 2."), 2),
        (SandboxError("too many failures"), 1),
        (KeyboardInterrupt(), 130),
        (Terminated(), 143),
        (OSError(errno.ENOSPC, "No space left on device", "/store/file"), 1),
        (RuntimeError("I/O error: No space left on device (os error 28)"), 1),
        (PermissionError(errno.EACCES, "Permission denied", "/outputs"), 1),
    ],
)
def test_exit_codes(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise error

    assert guarded(fail) == code
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_error_that_nobody_foresaw_keeps_its_traceback() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        guarded(fail)
