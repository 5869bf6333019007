"""Attention of a batch whose rows share prompts, without repeated heads.

Transformers' SDPA repeats the key-value heads of grouped-query attention where there is a mask, and
every row would read its prompt's keys and values anew; on a CPU the two cost more than the matrix
products. Both are replaced at Transformers' own extension point.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

from coderl_exp.errors import GenerationError
from coderl_exp.generation.shared_prompts import SharedPrompts

ATTENTION = "sdpa_grouped"

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default
"""What `scaled_dot_product_attention` calls on a CPU, where it keeps the mass to itself."""
_continued: list[SharedPrompts] = []


@contextmanager
def continuing(prompts: SharedPrompts) -> Iterator[None]:
    """Every row of what goes through the model in here continues its prompt by one token.

    Raises:
        GenerationError: a layer has not looked at the prompts.
    """
    _continued.append(prompts)
    prompts.num_uses = 0
    try:
        yield
    finally:
        _continued.pop()
    if prompts.num_uses != len(prompts.groups.layers):
        raise GenerationError(
            f"{prompts.num_uses} of {len(prompts.groups.layers)} layers of this model use the "
            "attention that they were given: choose generation=vllm."
        )


def use_grouped_attention(model: Any) -> None:
    """Have the model attend by `grouped_attention`.

    Raises:
        GenerationError: its code has an attention of its own only.
    """
    model.set_attn_implementation(ATTENTION)
    if model.config._attn_implementation != ATTENTION:
        raise GenerationError(
            f"Transformers cannot replace the attention of a {model.config.model_type} model, "
            "which sampling with it needs: choose generation=vllm, or for GRPO TRL's own rollouts "
            "with +method.trainer.top_k=0."
        )


def grouped_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Scaled dot-product attention; `[batch, heads, length, head_dim]` of queries, keys, values."""
    if _continued:
        output = _continue_prompts(
            _continued[-1], module.layer_idx, (query, key, value), attention_mask, scaling
        )
    else:
        output = torch.nn.functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=attention_mask,
            dropout_p=dropout,
            scale=scaling,
            is_causal=attention_mask is None and query.shape[2] > 1,
            enable_gqa=True,
        )
    return output.transpose(1, 2), None


def _continue_prompts(
    prompts: SharedPrompts,
    layer: int,
    states: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    mask: torch.Tensor | None,
    scaling: float | None,
) -> torch.Tensor:
    """To the row's prompt and to its own tokens apart, joined by the mass that each has.

    The heads of a group are queries of one head, which reads the keys once.
    """
    assert mask is not None
    query, key, value = states
    prompts.num_uses += 1
    rows, num_heads, length, head_dim = query.shape
    scale = head_dim**-0.5 if scaling is None else scaling
    queries = query.reshape(rows, key.shape[1], -1, head_dim)
    own, own_mass = attend(queries, key, value, mask, scale)
    groups = prompts.groups
    keys, values = groups.layers[layer]
    grouped, mass = attend(groups.gather(queries), keys, values, groups.mask, scale)
    share = torch.sigmoid(own_mass - groups.scatter(mass))[..., None]
    joined = torch.lerp(groups.scatter(grouped), own, share.to(own.dtype))
    return joined.reshape(rows, num_heads, length, head_dim)


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The output, and its mass: the logarithm of the sum that the softmax divides by."""
    if query.device.type != "cpu":
        return attend_plainly(query, key, value, mask, scale)
    every = mask.expand(-1, -1, query.shape[2], -1)
    output, mass = _flash(query, key, value, attn_mask=every, scale=scale)
    return output, mass


def attend_plainly(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same in steps, on any device."""
    scores = (query.float() * scale) @ key.float().transpose(-1, -2) + mask
    mass = scores.logsumexp(-1)
    return (scores - mass[..., None]).exp().to(value.dtype) @ value, mass


AttentionInterface.register(ATTENTION, grouped_attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
