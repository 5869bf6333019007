"""The batch that stays full: what is written in it does not depend on how it is filled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import GPTJConfig, GPTJForCausalLM, OPTConfig, OPTForCausalLM
from trl import GRPOConfig

from coderl_exp.config import compose_config
from coderl_exp.errors import GenerationError
from coderl_exp.generation import decoding
from coderl_exp.generation.attention import attend, attend_plainly, use_grouped_attention
from coderl_exp.generation.decoding import Decoding, Wanted, decode
from coderl_exp.generation.reading import read_prompts
from coderl_exp.generation.rollouts import SAMPLING_OPTIONS, Rollouts
from coderl_exp.generation.sampling import sample_tokens
from coderl_exp.generation.shared_prompts import ReadPrompt, SharedPrompts
from coderl_exp.method import GRPOJob
from coderl_exp.method.grpo import own_rollouts
from tests.conftest import byte_tokenizer, tiny_model

EOS = 2
OPTIONS = Decoding(
    num_rows=4,
    max_tokens=24,
    temperature=1.2,
    top_p=0.95,
    is_finished=lambda _, ids: ids[-1] == EOS or ids[-1] < 40,
)


def policy() -> Any:
    model = tiny_model()
    use_grouped_attention(model)
    return model


def wanted(num_prompts: int = 7, num_each: int = 5) -> list[Wanted]:
    """Prompts of different lengths, the longest not first."""
    prompts = [(*range(50, 60 + 9 * (i % 3)), 70 + i) for i in range(num_prompts)]
    return [
        Wanted(prompt=prompt, seed=100 * i + j)
        for i, prompt in enumerate(prompts)
        for j in range(num_each)
    ]


def test_a_completion_is_the_same_alone_and_in_a_batch_that_is_filled_again_and_again() -> None:
    model = policy()
    together = decode(model, wanted(), OPTIONS)
    alone = [decode(model, [each], OPTIONS)[0] for each in wanted()]
    assert together == alone
    assert len({len(ids) for ids in together}) > 3, "they end at different times"


@pytest.mark.parametrize("spare", [1, 3])
def test_nothing_changes_when_the_cache_runs_out_of_columns_and_moves(
    spare: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = decode(policy(), wanted(), OPTIONS)
    monkeypatch.setattr(decoding, "_SPARE_COLUMNS", spare)
    assert decode(policy(), wanted(), OPTIONS) == expected


def test_nothing_comes_from_columns_that_nobody_wrote() -> None:
    """They are masked, but zero times NaN is NaN; torch fills what is uninitialised with NaN."""
    expected = decode(policy(), wanted(), OPTIONS)
    torch.use_deterministic_algorithms(True)
    try:
        assert decode(policy(), wanted(), OPTIONS) == expected
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_prompt_is_read_once_for_all_its_completions(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Sequence[int]] = []

    def noting(model: Any, prompts: Sequence[Sequence[int]]) -> Any:
        read.extend(prompts)
        return read_prompts(model, prompts)

    monkeypatch.setattr(decoding, "read_prompts", noting)
    decode(policy(), wanted(num_prompts=6, num_each=9), OPTIONS)
    assert len(read) == len(set(map(tuple, read))) == 6


def read_prompt(length: int) -> ReadPrompt:
    states = (torch.full((2, length, 4), float(length)), torch.full((2, length, 4), -float(length)))
    return ReadPrompt(logits=torch.zeros(9), layers=(states,))


def test_rows_of_the_same_prompt_share_its_keys_and_values() -> None:
    prompts = SharedPrompts(num_rows=5, num_prompts=2, longest=7, like=read_prompt(7))
    for row, length in enumerate((7, 3, 7, 3, 3)):
        prompts.put(row, (length,) * length, read_prompt(length))
    groups = prompts.groups
    [[keys, _]] = groups.layers
    assert keys.shape == (2, 2, 7, 4)
    queries = torch.arange(5.0)[:, None, None, None].expand(5, 2, 3, 4)
    gathered = groups.gather(queries)
    assert gathered.shape == (2, 2, 3 * 3, 4), "two prompts, of which one has three rows"
    assert torch.equal(groups.scatter(gathered), queries)
    assert groups.mask.isinf().sum(-1).flatten().tolist() == [0, 4]


def test_the_place_of_a_prompt_that_no_row_continues_is_given_again() -> None:
    prompts = SharedPrompts(num_rows=2, num_prompts=2, longest=9, like=read_prompt(9))
    for length in range(1, 9):
        prompts.release([0])
        prompts.put(0, (length,) * length, read_prompt(length))
        prompts.put(1, (9,) * 9, read_prompt(9))
        [[keys, _]] = prompts.groups.layers
        assert len(keys) == 2
        assert sorted(keys[:, 0, 0, 0].tolist()) == [length, 9]


def test_rows_are_grouped_anew_only_when_they_have_changed() -> None:
    prompts = SharedPrompts(num_rows=2, num_prompts=1, longest=4, like=read_prompt(4))
    for row in range(2):
        prompts.put(row, (1, 2), read_prompt(2))
    groups = prompts.groups
    prompts.release([])
    assert prompts.groups is groups
    prompts.release([1])
    assert prompts.groups is not groups


def test_more_prompts_than_there_is_room_for_make_room() -> None:
    prompts = SharedPrompts(num_rows=4, num_prompts=1, longest=4, like=read_prompt(4))
    for row in range(4):
        prompts.put(row, (row,) * (row + 1), read_prompt(row + 1))
    [[keys, values]] = prompts.groups.layers
    assert keys[:, 1, 0, 3].tolist() == [1, 2, 3, 4]
    assert values[3].eq(-4).all()


def test_attention_in_steps_is_that_of_the_cpus_kernel() -> None:
    random = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(3, 2, n, 8, generator=random) for n in (5, 7, 7))
    mask = torch.zeros(3, 1, 1, 7).masked_fill(torch.arange(7) > 3, float("-inf"))
    for fast, plain in zip(
        attend(query, key, value, mask, 0.3),
        attend_plainly(query, key, value, mask, 0.3),
        strict=True,
    ):
        assert torch.allclose(fast, plain, atol=1e-6)


def test_attention_in_steps_keeps_large_scores_of_short_floats() -> None:
    random = torch.Generator().manual_seed(0)
    query, key, value = (10 * torch.randn(2, 1, 9, 64, generator=random) for _ in range(3))
    mask = torch.zeros(2, 1, 1, 9)
    exact = [each.bfloat16().float() for each in (query, key, value)]
    _, expected = attend_plainly(*exact, mask, 0.125)
    _, mass = attend_plainly(*(each.bfloat16() for each in exact), mask, 0.125)
    assert torch.allclose(mass, expected, atol=1e-2)


def tiny(config_class: type[Any], model_class: type[Any], **options: Any) -> Any:
    torch.manual_seed(0)
    return model_class(config_class(vocab_size=300, **options)).eval()


def test_a_model_that_scales_its_queries_itself_writes_what_generate_writes() -> None:
    model = tiny(
        OPTConfig, OPTForCausalLM, hidden_size=32, ffn_dim=64, num_hidden_layers=2,
        num_attention_heads=4, word_embed_proj_dim=32, max_position_embeddings=64, init_std=0.5,
    )  # fmt: skip
    prompt = torch.arange(50, 62)[None]
    written = model.generate(
        prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=12,
        eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    use_grouped_attention(model)
    greedy = replace(OPTIONS, temperature=0, max_tokens=12, is_finished=lambda *_: False)
    [ids] = decode(model, [Wanted(prompt=tuple(range(50, 62)), seed=0)], greedy)
    assert ids == written[0, 12:].tolist()


def test_a_model_whose_attention_cannot_be_replaced_is_refused() -> None:
    model = tiny(GPTJConfig, GPTJForCausalLM, n_embd=32, n_layer=1, n_head=4, rotary_dim=8)
    with pytest.raises(GenerationError, match="gptj"):
        use_grouped_attention(model)


def test_a_model_that_does_not_look_at_the_prompts_is_not_believed() -> None:
    model = tiny_model()
    with pytest.raises(GenerationError, match="0 of 2 layers"):
        decode(model, [Wanted(prompt=(50, 51), seed=0)], OPTIONS)


def test_prompts_are_read_in_groups_and_returned_in_their_order() -> None:
    prompts = [tuple(40 + i % 200 for i in range(length)) for length in (900, 3, 1100, 40)]
    read = read_prompts(policy(), prompts)
    assert [each.length for each in read] == [900, 3, 1100, 40]
    [alone] = read_prompts(policy(), prompts[1:2])
    assert torch.allclose(alone.logits, read[1].logits, atol=1e-4)


def test_every_length_is_told_as_soon_as_it_is_known() -> None:
    told: list[int] = []
    ids = decode(policy(), wanted(), replace(OPTIONS, on_finished=told.append))
    assert sorted(told) == sorted(map(len, ids))


def test_without_top_p_the_few_tokens_that_are_looked_at_first_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logits = torch.randn(1, 3000, generator=torch.Generator().manual_seed(0)).expand(400, -1)
    uniform = torch.linspace(0, 1, 401, dtype=torch.float64)[:-1]
    some = sample_tokens(logits, uniform, 1.0, 1.0)
    monkeypatch.setattr("coderl_exp.generation.sampling.NUM_PRESELECTED", 3000)
    assert torch.equal(some, sample_tokens(logits, uniform, 1.0, 1.0))


def fake_trainer(step: int) -> Any:
    accelerator = SimpleNamespace(unwrap_model=lambda model: model, process_index=0)
    return SimpleNamespace(
        processing_class=byte_tokenizer(),
        state=SimpleNamespace(global_step=step),
        accelerator=accelerator,
        model=tiny_model().train(),
        eos_token_ids={EOS},
    )


def prompts(count: int = 4) -> list[list[dict[str, str]]]:
    return [[{"role": "user", "content": f"Write function {i // 2}."}] for i in range(count)]


def test_rollouts_depend_on_the_step_and_not_on_what_was_drawn_before() -> None:
    rollouts = Rollouts(seed=1, max_tokens=12, temperature=1.0, top_p=1.0)
    first = rollouts(prompts(), fake_trainer(3))
    again = Rollouts(seed=1, max_tokens=12, temperature=1.0, top_p=1.0)(prompts(), fake_trainer(3))
    assert first == again
    assert rollouts(prompts(), fake_trainer(3)) != first, "the second ones of a step are others"
    assert rollouts(prompts(), fake_trainer(4)) != first


def test_the_policy_trains_on_as_before_its_rollouts() -> None:
    trainer = fake_trainer(0)
    attention = trainer.model.config._attn_implementation
    Rollouts(seed=1, max_tokens=3, temperature=1.0, top_p=1.0)(prompts(), trainer)
    assert trainer.model.training
    assert trainer.model.config._attn_implementation == attention


def grpo_job(**trainer: Any) -> GRPOJob:
    config = compose_config("method=grpo")
    method = replace(config.method, trainer=trainer)
    job: Any = SimpleNamespace(method=method, use_vllm=False, seed=1)
    return job


def test_a_sampling_option_that_these_rollouts_do_not_know_leaves_them_to_trl() -> None:
    assert own_rollouts(grpo_job()) is not None
    assert own_rollouts(grpo_job(top_k=20)) is None
    assert set(GRPOConfig.__dataclass_fields__) >= SAMPLING_OPTIONS


@pytest.mark.parametrize(
    ("name", "value"), [("ACCELERATE_USE_FSDP", "true"), ("ACCELERATE_DEEPSPEED_ZERO_STAGE", "3")]
)
def test_a_policy_that_no_process_has_whole_is_left_to_trl(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert own_rollouts(grpo_job()) is None


def test_a_row_that_has_ended_reaches_no_position_that_the_model_lacks() -> None:
    """The first completion ends alone, long before those that took the other rows over."""
    model, seen = policy(), []
    model.register_forward_pre_hook(
        lambda _, __, kwargs: seen.append(int(kwargs["position_ids"].max())), with_kwargs=True
    )
    ends_early = range(1, 16)
    decode(
        model,
        [Wanted(prompt=(50, 51, 52), seed=seed) for seed in range(31)],
        replace(
            OPTIONS,
            num_rows=16,
            is_finished=lambda number, ids: number in ends_early and len(ids) == 10,
        ),
    )
    assert max(seen) < 3 + OPTIONS.max_tokens
