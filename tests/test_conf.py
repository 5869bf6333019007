"""Every shipped config file composes into typed objects, and impossible ones are refused."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from coderl_exp import cli_help
from coderl_exp.config import (
    PROJECT_ROOT,
    STAGES,
    Config,
    DPOMethodConfig,
    compose_config,
)
from coderl_exp.errors import ConfigError
from coderl_exp.schemas import ON_REQUEST
from tests.experiment import run_cli

CHOICES = [f"{group}={choice}" for group in cli_help.GROUPS for choice in cli_help.choices(group)]


def composed(*overrides: str) -> Config:
    return compose_config(*overrides)


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_composes(choice: str) -> None:
    config = composed(choice)
    group, name = choice.split("=")
    if group != "experiment":
        assert getattr(config, group).name == name


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_has_a_one_line_meaning_in_the_help(choice: str) -> None:
    group, name = choice.split("=")
    assert len(cli_help.choices(group)[name]) > 15
    assert name in cli_help.help_text()


def test_the_help_fits_the_terminal_and_answers_at_once() -> None:
    started = time.monotonic()
    done = run_cli("--help")
    elapsed_s = time.monotonic() - started
    assert done.returncode == 0
    assert max(len(line) for line in done.stdout.splitlines()) <= 100
    assert elapsed_s < 10, "a generous bound for a busy machine; no torch is loaded for it"


def test_the_help_imports_no_torch() -> None:
    code = (
        "import sys; sys.argv = ['coderl_exp', '--help']\n"
        "from coderl_exp.cli import main; main()\n"
        "assert not {'torch', 'transformers', 'pydantic', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT_ROOT, capture_output=True)


def test_cfg_job_prints_the_composed_configuration() -> None:
    done = run_cli("--cfg", "job", "seed=7")
    assert done.returncode == 0
    assert yaml.safe_load(done.stdout)["seed"] == 7


def test_the_kept_defaults_are_those_of_the_first_pipeline() -> None:
    assert composed("experiment=mbpp_grpo").method.name == "grpo"
    config = composed("experiment=mbpp_dpo")
    generation, method = config.generation, config.method
    assert (generation.num_candidates, generation.batch_size) == (10, 32)
    assert (generation.temperature, generation.top_p, generation.max_tokens) == (0.9, 0.95, 512)
    assert config.evaluation.ks == [1, 3, 5, 10]
    assert isinstance(method, DPOMethodConfig)
    assert (method.num_train_epochs, method.learning_rate) == (2, 2e-5)
    assert (method.per_device_train_batch_size, method.gradient_accumulation_steps) == (4, 4)
    assert (method.lora.r, method.lora.lora_alpha, method.lora.lora_dropout) == (16, 32, 0.05)
    assert (config.rl_build.n_best, config.rl_build.max_pairs) == (3, 20)
    assert config.seed == 42


def test_the_small_sizes_belong_to_mini_on_the_embedded_model_only() -> None:
    assert composed().generation.num_candidates == 4
    assert composed("dataset=mbpp").generation.num_candidates == 10
    assert composed("model=qwen25_coder_05b").generation.num_candidates == 10


def test_stages_are_put_into_order_and_old_names_are_understood() -> None:
    assert composed().selected_stages() == tuple(s for s in STAGES if s not in ON_REQUEST)
    chosen = composed("stages=[merge,train_all,baseline]").selected_stages()
    assert chosen == ("baseline", "train", "merge")


def test_ks_beyond_the_candidates_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"pass@9.*evaluation\.num_candidates"):
        composed("evaluation.ks=[9]")


def test_every_option_is_documented() -> None:
    page = (PROJECT_ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    overrides = ((), ("method=grpo",), ("dataset=taco",), ("dataset=humaneval",))
    names = {name for each in overrides for name in option_names(composed(*each))}
    missing = [path for path in sorted(names) if f"`{path}`" not in page]
    assert missing == []


def option_names(config: Config) -> list[str]:
    """Dotted paths of all leaves."""
    found: list[str] = []

    def walk(value: object, prefix: str) -> None:
        if not dataclasses.is_dataclass(value):
            found.append(prefix)
            return
        for field in dataclasses.fields(value):
            walk(getattr(value, field.name), f"{prefix}.{field.name}".lstrip("."))

    walk(config, "")
    return [name for name in found if not name.endswith(".name") or name.startswith("experiment")]


def test_every_accelerate_file_is_one_that_accelerate_reads() -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    for file in sorted(Path(PROJECT_ROOT / "launchers" / "accelerate").glob("*.yaml")):
        assert load_config_from_file(str(file)).num_processes >= 1


def test_grpo_samples_with_vllm_where_generation_does_unless_told_otherwise() -> None:
    assert not composed("method=grpo").rolls_out_with_vllm
    assert composed("method=grpo", "generation=vllm").rolls_out_with_vllm
    assert not composed(
        "method=grpo", "generation=vllm", "method.use_vllm=false"
    ).rolls_out_with_vllm
    assert not composed("method=dpo", "generation=vllm").rolls_out_with_vllm


def test_rollouts_that_vllm_would_bias_or_cannot_find_are_refused() -> None:
    vllm = ("method=grpo", "method.use_vllm=true")
    with pytest.raises(ConfigError, match="biased"):
        composed(*vllm, "method.top_p=0.9")
    composed(*vllm, "method.top_p=0.9", "method.vllm_importance_sampling_correction=false")
    composed("method=grpo", "method.top_p=0.9")
    with pytest.raises(ConfigError, match=r"vllm_server_base_url is null"):
        composed(*vllm, "method.vllm_mode=server")
    with pytest.raises(ConfigError, match="choose from colocate, server"):
        composed(*vllm, "method.vllm_mode=remote")
