"""What rows of a training batch share is read once, and nothing else changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    AutoModelForCausalLM,
    Gemma3Config,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    MptConfig,
)
from trl.kernels import chunked_logprob
from trl.trainer import utils
from trl.trainer.utils import add_fused_lm_head

from coderl_exp.method import cpu_head
from coderl_exp.method.cpu_head import fit_head_to_cpu
from coderl_exp.method.shared_prefixes import (
    _BATCH_COST,
    common_beginnings,
    share_prefixes,
    similar_lengths,
)
from tests.conftest import tiny_model

PROMPT, OTHER = tuple(range(10, 110)), (*range(10, 20), *range(120, 200))
ROWS = ((*PROMPT, 5, 6, 7), (*PROMPT, 5, 8), (*OTHER, 9), (*OTHER, 3, 4, 5, 6))
"""`PROMPT` has 100 tokens, `OTHER` 90."""

TINY = {"vocab_size": 259, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "head_dim": 8}  # fmt: skip

rows_of_few_tokens = st.lists(
    st.lists(st.integers(0, 2), min_size=1, max_size=5).map(tuple), min_size=1, max_size=5
)


def batch(rows: Sequence[tuple[int, ...]], side: str) -> dict[str, torch.Tensor]:
    ids = pad_sequence(
        [torch.tensor(row) for row in rows], batch_first=True, padding_value=-1, padding_side=side
    )
    return {"input_ids": ids.clamp(min=0), "attention_mask": (ids >= 0).long()}


def positions_read(model: Any) -> list[int]:
    """Of each call of the embeddings, from now on."""
    read: list[int] = []
    model.get_input_embeddings().register_forward_hook(
        lambda _module, inputs, _output: read.append(inputs[0].numel())
    )
    return read


def gradients(model: Any, inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """Of all weights, of a loss that every real position has a part in."""
    states = model.base_model(**inputs, use_cache=False).last_hidden_state
    weights = torch.linspace(0.5, 1.5, states.shape[-1])
    (states[inputs["attention_mask"].bool()] * weights).sin().sum().backward()
    return [weight.grad for weight in model.base_model.parameters()]


@pytest.mark.parametrize("side", ["left", "right"])
def test_hidden_states_are_those_of_whole_rows(side: str) -> None:
    inputs = batch(ROWS, side)
    plain, sharing = tiny_model(), tiny_model()
    share_prefixes(sharing.base_model)
    read = positions_read(sharing)
    expected, states = (
        model.base_model(**inputs, use_cache=False).last_hidden_state[
            inputs["attention_mask"].bool()
        ]
        for model in (plain, sharing)
    )
    torch.testing.assert_close(states, expected, rtol=1e-4, atol=1e-5)
    assert read == [2 * 101, 4 * 4], "the first two rows share one token more than their prompt"


def test_gradients_are_those_of_whole_rows() -> None:
    inputs = batch(ROWS, "right")
    plain, sharing = tiny_model(), tiny_model()
    share_prefixes(sharing.base_model)
    for expected, gradient in zip(
        gradients(plain, inputs), gradients(sharing, inputs), strict=True
    ):
        torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-4)


def test_rows_that_share_nothing_are_read_as_they_are() -> None:
    model = tiny_model()
    share_prefixes(model.base_model)
    read = positions_read(model)
    model.base_model(**batch(((1, 2, 3), (4, 5, 6)), "right"), use_cache=False)
    assert read == [6]


def test_checkpointed_layers_read_whole_rows() -> None:
    model = tiny_model().train()
    model.gradient_checkpointing_enable()
    share_prefixes(model.base_model)
    read = positions_read(model)
    model.base_model(**batch(ROWS, "right"), use_cache=False)
    assert read == [batch(ROWS, "right")["input_ids"].numel()]


def test_generation_keeps_its_cache() -> None:
    inputs = batch(ROWS, "left")
    plain, sharing = tiny_model(), tiny_model()
    share_prefixes(sharing.base_model)
    expected, tokens = (
        model.generate(**inputs, max_new_tokens=4, do_sample=False) for model in (plain, sharing)
    )
    assert torch.equal(tokens, expected)


@pytest.mark.parametrize(
    "config",
    [
        MistralConfig(**TINY, num_key_value_heads=2, sliding_window=16),
        Gemma3TextConfig(**TINY, num_key_value_heads=2, sliding_window=16),
        LlamaConfig(**TINY, rope_parameters={"rope_type": "dynamic", "factor": 2.0}),
        GPT2Config(n_layer=2, n_embd=32, n_head=4, vocab_size=259),
        MptConfig(n_layers=2, d_model=32, n_heads=4, vocab_size=259),
        Gemma3Config(
            text_config=TINY,
            vision_config={"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 4},
        ),
    ],
    ids=lambda config: config.model_type,
)
def test_models_that_depend_on_more_than_tokens_before_are_left_alone(config: Any) -> None:
    model = AutoModelForCausalLM.from_config(config)
    before = model.base_model.forward
    share_prefixes(model.base_model)
    assert model.base_model.forward == before


def test_a_call_that_does_not_rule_out_a_cache_gets_one() -> None:
    model = tiny_model()
    share_prefixes(model.base_model)
    assert model.base_model(**batch(ROWS, "right")).past_key_values is not None


@given(rows=rows_of_few_tokens)
@example(rows=[(0, 0), (0, 0, 1, 0), (0, 1), (0, 0, 1, 0)])
def test_the_grouping_loses_no_token_and_spares_most(rows: list[tuple[int, ...]]) -> None:
    """Most that neighbours can: in the example the first and the third could share one more."""
    groups = common_beginnings(rows)
    restored = {row: group.prefix + own for group in groups for row, own in group.own.items()}
    assert [restored[row] for row in range(len(rows))] == rows
    assert all(own for group in groups for own in group.own.values())
    spared = sum(len(group.prefix) * (len(group.own) - 1) for group in groups)
    ordered = sorted(range(len(rows)), key=rows.__getitem__)
    assert spared == max(spared_by(rows, each) for each in neighbours(ordered))


def neighbours(ordered: list[int]) -> Iterator[list[list[int]]]:
    """All ways to cut them into groups."""
    for size in range(len(ordered)):
        for inner in combinations(range(1, len(ordered)), size):
            yield [ordered[a:b] for a, b in pairwise([0, *inner, len(ordered)])]


def spared_by(rows: Sequence[tuple[int, ...]], groups: Sequence[Sequence[int]]) -> int:
    total = 0
    for group in groups:
        members = [rows[row] for row in group]
        length = min(map(len, members)) - 1
        while len({member[:length] for member in members}) > 1:
            length -= 1
        total += length * (len(group) - 1)
    return total


@given(lengths=st.lists(st.integers(1, 400), min_size=1, max_size=7))
def test_batches_of_similar_lengths_cost_least(lengths: list[int]) -> None:
    batches = similar_lengths(dict(enumerate(lengths)))
    assert sorted(item for batch in batches for item in batch) == list(range(len(lengths)))

    def cost(batches: Sequence[Sequence[int]]) -> int:
        return sum(_BATCH_COST + len(b) * max(lengths[item] for item in b) for b in batches)

    ordered = sorted(range(len(lengths)), key=lengths.__getitem__)
    assert cost(batches) == min(cost(each) for each in neighbours(ordered))


@pytest.fixture
def trl_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undoes at the end what the test has TRL do."""
    for module, name in (
        (chunked_logprob, "TOKEN_CHUNK_SIZE"),
        (utils, "_CHUNKED_LOGPROB_CHUNK_SIZE"),
        (utils, "_use_triton"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name))


@pytest.mark.usefixtures("trl_as_it_is")
def test_the_head_projects_labels_alone_in_small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = 40 * [(*PROMPT, 5, 6, 7, 8, 9, 10, 11, 12)]
    inputs = batch(rows, "right")
    labels = inputs["input_ids"].clone()
    labels[:, : len(PROMPT)] = -100
    model = tiny_model()
    add_fused_lm_head(model)
    tiles: list[tuple[int, int]] = []

    def log_probs() -> torch.Tensor:
        return model(**inputs, labels=labels, fused_lm_head=True).log_probs[labels[:, 1:] >= 0]

    expected = log_probs()
    original = chunked_logprob._forward_tile
    monkeypatch.setattr(
        chunked_logprob,
        "_forward_tile",
        lambda tile, *rest, **options: (tiles.append(tile.shape), original(tile, *rest, **options)),
    )
    monkeypatch.setattr(cpu_head, "_TILE_VOCABULARY", 200)
    fit_head_to_cpu()
    torch.testing.assert_close(log_probs(), expected, rtol=1e-4, atol=1e-5)
    assert tiles == [(256, 200), (256, 59), (64, 200), (64, 59)], "320 labels, 259 tokens"
