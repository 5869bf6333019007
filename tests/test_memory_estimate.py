"""The memory that a plan announces follows the options it depends on."""

from __future__ import annotations

from pathlib import Path

import pytest

from coderl_exp.memory_estimate import (
    ModelShape,
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
    vocab_size=49_152,
    key_value_size=192,
)


def test_the_shape_is_read_from_the_headers(model_folder: Path) -> None:
    shape = model_shape(model_folder)
    parameters = tiny_model().parameters()
    assert (
        shape.num_parameters == num_parameters(model_folder) == sum(p.numel() for p in parameters)
    )
    assert (shape.num_layers, shape.hidden_size, shape.key_value_size) == (2, 32, 16)


@pytest.mark.parametrize(("rows", "tokens", "measured_gib"), [(2, 256, 3.35), (2, 512, 5.22)])
def test_the_estimate_is_near_what_dpo_really_took(
    rows: int, tokens: int, measured_gib: float
) -> None:
    config = composed(
        f"method.per_device_train_batch_size={rows}",
        f"method.max_length={tokens}",
        "method.gradient_checkpointing=false",
    )
    assert training_bytes(SMOLLM2, config) / 2**30 == pytest.approx(measured_gib, rel=0.2)


def test_cheaper_options_take_less() -> None:
    def train(*options: str) -> int:
        return training_bytes(SMOLLM2, composed("model=qwen25_coder_7b", *options))

    assert train("method.gradient_checkpointing=true") < train(
        "method.gradient_checkpointing=false"
    )
    assert train("method.load_in_4bit=true") < train("method.load_in_4bit=false")
    assert train("method=grpo", "method.max_completion_length=64") < train("method=grpo")


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
