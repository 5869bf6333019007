"""The memory that a plan announces follows the options it depends on."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from transformers import GPT2Config, GPT2LMHeadModel

from coderl_exp import memory, memory_estimate
from coderl_exp.memory_estimate import (
    ModelShape,
    checkpointing_is_needed,
    generation_bytes,
    model_shape,
    num_parameters,
    training_bytes,
)
from tests.conftest import tiny_model
from tests.test_conf import composed

SMOLLM2 = ModelShape(
    num_parameters=134_515_008,
    num_layers=30,
    hidden_size=576,
    intermediate_size=1536,
    key_value_size=192,
)


def test_the_shape_is_read_from_the_headers(model_folder: Path) -> None:
    shape = model_shape(model_folder)
    parameters = tiny_model().parameters()
    assert shape is not None
    assert (
        shape.num_parameters == num_parameters(model_folder) == sum(p.numel() for p in parameters)
    )
    assert (shape.num_layers, shape.hidden_size, shape.key_value_size) == (2, 32, 16)


def training(*options: str, gradient_checkpointing: bool = False) -> int:
    method = composed(*options).method
    return training_bytes(SMOLLM2, method, "float32", gradient_checkpointing=gradient_checkpointing)


@pytest.mark.parametrize(
    ("rows", "tokens", "gradient_checkpointing", "measured_gib"),
    [(2, 256, False, 2.65), (2, 512, False, 4.32), (4, 512, False, 7.52), (4, 512, True, 4.13)],
)
def test_the_estimate_is_near_what_dpo_really_took(
    rows: int, tokens: int, gradient_checkpointing: bool, measured_gib: float
) -> None:
    estimate = training(
        f"method.per_device_train_batch_size={rows}",
        f"method.max_length={tokens}",
        gradient_checkpointing=gradient_checkpointing,
    )
    assert estimate / 2**30 == pytest.approx(measured_gib, rel=0.2)


def test_cheaper_options_take_less() -> None:
    assert training(gradient_checkpointing=True) < training()
    assert training("method.load_in_4bit=true") < training("method.load_in_4bit=false")
    assert training("method=grpo", "method.max_completion_length=64") < training("method=grpo")


def test_a_cpu_keeps_activations_while_they_fit_into_half_its_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    method = composed().method
    whole = training_bytes(SMOLLM2, method, "float32", gradient_checkpointing=False)
    monkeypatch.setattr(memory_estimate, "total_memory_bytes", lambda: 2 * whole)
    assert not checkpointing_is_needed(SMOLLM2, method, "float32", num_processes=1)
    assert checkpointing_is_needed(SMOLLM2, method, "float32", num_processes=2)


def test_the_cache_grows_with_the_batch() -> None:
    small, large = (
        generation_bytes(SMOLLM2, composed(f"generation.batch_size={size}")) for size in (1, 64)
    )
    assert large > small


def test_candidates_of_a_problem_share_its_prompt_in_the_cache() -> None:
    alone, together = (
        generation_bytes(
            SMOLLM2,
            composed(
                "generation.batch_size=64",
                f"generation.num_candidates={number}",
                f"evaluation.num_candidates={number}",
                "evaluation.ks=[1]",
            ),
        )
        for number in (1, 8)
    )
    assert together < alone


def test_a_family_with_other_names_has_a_shape_too(tmp_path: Path) -> None:
    config = GPT2Config(n_layer=2, n_embd=32, n_head=4, vocab_size=64)
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    shape = model_shape(tmp_path)
    assert shape is not None
    assert (shape.num_layers, shape.hidden_size, shape.intermediate_size) == (2, 32, 128)
    (tmp_path / "config.json").write_text('{"model_type": "mamba"}')
    assert model_shape(tmp_path) is None


@pytest.mark.parametrize(
    ("own_groups", "limits", "limit"),
    [
        ("0::/slurm/job_7/step_0\n", {"slurm/job_7/memory.max": "1000"}, 1000),
        ("0::/slurm/job_7\n", {"slurm/job_7/memory.max": "max", "memory.max": "2000"}, 2000),
        (
            "5:cpu:/a\n4:memory:/job_7\n",
            {"memory/job_7/memory.limit_in_bytes": "3000", "a/memory.max": "1"},
            3000,
        ),
        ("0::/free\n", {}, psutil.virtual_memory().total),
    ],
)
def test_memory_is_what_the_control_groups_allow(
    own_groups: str,
    limits: dict[str, str],
    limit: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "own").write_text(own_groups)
    for name, value in limits.items():
        file = tmp_path / "groups" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value)
    monkeypatch.setattr(memory, "_OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "groups")
    assert memory.total_memory_bytes() == limit
