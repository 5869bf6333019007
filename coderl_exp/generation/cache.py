"""A key-value cache whose rows are given to new completions.

Transformers' `DynamicCache` concatenates every layer at every step, which on a CPU costs more than
the matrix products.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

from coderl_exp.generation.shared_prompts import ReadPrompt, SharedPrompts, Tokens, score_mask


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

    A row begins with its first token, in the column `starts`; what is left of that is not its own.
    The columns from `begin` to `end` are in use. Prompts are held apart.
    """

    def __init__(
        self, num_rows: int, capacity: int, prompts: SharedPrompts, like: ReadPrompt
    ) -> None:
        """`capacity` columns: as many as the longest completion has tokens, or more.

        They are zero at first: what is masked counts zero times, which must not be NaN.
        """
        self.begin = self.end = 0
        self.capacity = capacity
        self.prompts = prompts
        self.starts = torch.zeros(num_rows, dtype=torch.long, device=like.logits.device)
        self._lengths = self.starts.clone()
        shape = (num_rows, like.layers[0][0].shape[0], capacity, like.layers[0][0].shape[2])
        layers = [
            SlotLayer((keys.new_zeros(shape), values.new_zeros(shape)), self)
            for keys, values in like.layers
        ]
        super().__init__(layers=layers)

    def put(self, row: int, tokens: Tokens, prompt: ReadPrompt) -> None:
        """Give the row to a completion of the prompt."""
        self.prompts.put(row, tokens, prompt)
        self._lengths[row] = prompt.length
        self.starts[row] = self.end

    def release(self, rows: Sequence[int]) -> None:
        """Their completions have ended."""
        self.prompts.release(rows)

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
        """The columns in use, to the left."""
        length = self.end - self.begin
        for layer in self.layers:
            for buffer in layer.buffers:
                buffer[:, :, :length] = buffer[:, :, self.begin : self.end].clone()
        self.starts -= self.begin
        self.begin, self.end = 0, length

    def keep(self, rows: torch.Tensor) -> None:
        """Only these rows, in this order."""
        self.prompts.keep(rows.tolist())
        self.starts, self._lengths = self.starts[rows], self._lengths[rows]
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
        return score_mask(columns < self.starts[:, None], dtype)

    def positions(self) -> torch.Tensor:
        """Of the token that is read next, `[rows, 1]`."""
        return (self._lengths + self.end - 1 - self.starts)[:, None]
