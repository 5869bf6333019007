"""Prompts go through the model once, whoever else has the same: prefill."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import DynamicCache

from coderl_exp.generation.shared_prompts import ReadPrompt

_MAX_TOKENS = 2048
"""Read at a time, padding included: beyond that nothing gets faster, and memory grows."""


def read_prompts(model: Any, prompts: Sequence[Sequence[int]]) -> list[ReadPrompt]:
    """Each prompt's state after its last token; `prompts` are token ids."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    read: dict[int, ReadPrompt] = {}
    for group in _groups(order, prompts):
        states = _read_together(model, [prompts[i] for i in group])
        read |= zip(group, states, strict=True)
    return [read[i] for i in range(len(prompts))]


def _groups(order: Sequence[int], prompts: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """In that order, by length; no group is larger than it may, once padded."""
    group: list[int] = []
    for i in order:
        if group and len(prompts[i]) * (len(group) + 1) > _MAX_TOKENS:
            yield group
            group = []
        group.append(i)
    if group:
        yield group


def _read_together(model: Any, prompts: Sequence[Sequence[int]]) -> list[ReadPrompt]:
    longest = max(map(len, prompts))
    ids = torch.zeros(len(prompts), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(prompt)
        mask[row, longest - len(prompt) :] = 1
    ids, mask = ids.to(model.device), mask.to(model.device)
    output = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
        past_key_values=DynamicCache(),
        use_cache=True,
        logits_to_keep=1,
    )
    layers = [(layer.keys, layer.values) for layer in output.past_key_values.layers]
    return [
        ReadPrompt(
            logits=output.logits[row, -1],
            layers=tuple((k[row, :, -len(p) :], v[row, :, -len(p) :]) for k, v in layers),
        )
        for row, p in enumerate(prompts)
    ]
