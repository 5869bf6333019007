"""A key-value cache whose rows are given to new completions, and attention without repeated heads.

Transformers' `DynamicCache` concatenates every layer at every step and its SDPA repeats the
key-value heads of grouped-query attention where there is a mask; on a CPU the two cost more than
the matrix products. Both are replaced at Transformers' own extension points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import Cache, DynamicLayer
from transformers.masking_utils import sdpa_mask

ATTENTION = "sdpa_grouped"


@dataclass(frozen=True, kw_only=True)
class ReadPrompt:
    """A prompt that has gone through the model."""

    logits: torch.Tensor
    """After its last token, `[vocabulary]`."""
    layers: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    """Keys and values of each, `[heads, length, head_dim]`."""

    @property
    def length(self) -> int:
        return int(self.layers[0][0].shape[1])


class SlotLayer(DynamicLayer):
    """Keys and values of one layer, `[rows, heads, capacity, head_dim]`."""

    is_initialized = True

    def __init__(self, buffers: tuple[torch.Tensor, torch.Tensor], window: SlotCache) -> None:
        super().__init__()
        self.buffers = buffers
        self._window = window

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Of one token per row: the window's last column."""
        begin, end = self._window.begin, self._window.end
        for buffer, states in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[:, :, end - 1 : end] = states
        keys, values = (buffer[:, :, begin:end] for buffer in self.buffers)
        return keys, values

    def get_seq_length(self) -> int:
        return self._window.end - self._window.begin


class SlotCache(Cache):
    """Every row is a completion that is being written; all write into the same column.

    A row begins where its prompt does, `starts`; what is left of that is not its own. The columns
    from `begin` to `end` are in use.
    """

    def __init__(self, num_rows: int, longest_prompt: int, capacity: int, like: ReadPrompt) -> None:
        """`capacity` columns: more than the longest prompt and the longest completion.

        They are zero at first: what is masked counts zero times, which must not be NaN.
        """
        self._longest_prompt = longest_prompt
        self.begin = self.end = longest_prompt
        self.capacity = capacity
        self.starts = torch.full((num_rows,), longest_prompt, device=like.logits.device)
        shape = (num_rows, like.layers[0][0].shape[0], capacity, like.layers[0][0].shape[2])
        layers = [
            SlotLayer((keys.new_zeros(shape), values.new_zeros(shape)), self)
            for keys, values in like.layers
        ]
        super().__init__(layers=layers)

    def put(self, row: int, prompt: ReadPrompt) -> None:
        """Give the row to a completion of the prompt."""
        start = self.end - prompt.length
        self.starts[row] = start
        self.begin = min(self.begin, start)
        for layer, states in zip(self.layers, prompt.layers, strict=True):
            for buffer, state in zip(layer.buffers, states, strict=True):
                buffer[row, :, start : self.end] = state

    def advance(self, live: Sequence[int]) -> None:
        """Make room for one token of each row.

        Rows that are not `live` begin anew, so that they reach no position that a model lacks.
        """
        starts = self.starts[list(live)]
        self.starts[:] = self.end
        self.starts[list(live)] = starts
        self.begin = int(starts.min())
        if self.end == self.capacity:
            self._move()
        self.end += 1

    def _move(self) -> None:
        """The columns in use, to the left; a prompt that comes next must still fit."""
        length = self.end - self.begin
        end = max(length, self._longest_prompt)
        begin = end - length
        for layer in self.layers:
            for buffer in layer.buffers:
                buffer[:, :, begin:end] = buffer[:, :, self.begin : self.end].clone()
        self.starts -= self.begin - begin
        self.begin, self.end = begin, end

    def keep(self, rows: torch.Tensor) -> None:
        """Only these rows, in this order."""
        self.starts = self.starts[rows]
        for layer in self.layers:
            layer.buffers = tuple(self._kept(buffer, rows) for buffer in layer.buffers)

    def _kept(self, buffer: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        kept = buffer.new_empty(len(rows), *buffer.shape[1:])
        used = slice(self.begin, self.end)
        torch.index_select(buffer[:, :, used], 0, rows, out=kept[:, :, used])
        return kept

    def mask(self, dtype: torch.dtype) -> torch.Tensor:
        """What is added to the scores, `[rows, 1, 1, end - begin]`."""
        columns = torch.arange(self.begin, self.end, device=self.starts.device)
        is_other = columns < self.starts[:, None]
        mask = torch.zeros(is_other.shape, dtype=dtype, device=is_other.device)
        return mask.masked_fill_(is_other, float("-inf"))[:, None, None]

    def positions(self) -> torch.Tensor:
        """Of the token that is read next, `[rows, 1]`."""
        return (self.end - 1 - self.starts)[:, None]


def grouped_attention(
    _module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Scaled dot-product attention, grouped heads in place; `[batch, length, heads, head_dim]`.

    Of a single position the heads of a group are queries of one head, which reads the keys once.
    """
    batch, num_heads, length, head_dim = query.shape
    is_single = length == 1
    if is_single:
        query = query.reshape(batch, key.shape[1], -1, head_dim)
        if attention_mask is not None:
            attention_mask = attention_mask.expand(-1, -1, query.shape[2], -1)
    output = torch.nn.functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=attention_mask,
        dropout_p=dropout,
        scale=scaling,
        is_causal=attention_mask is None and not is_single,
        enable_gqa=not is_single,
    )
    return output.reshape(batch, num_heads, length, head_dim).transpose(1, 2), None


AttentionInterface.register(ATTENTION, grouped_attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
