"""The prompts that a batch continues: each is held once, however many rows continue it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

Tokens = tuple[int, ...]
_NONE = -1


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


@dataclass(frozen=True, kw_only=True)
class Groups:
    """Rows by the prompt that they continue, all prompts with as many places as the largest has."""

    rows: torch.Tensor
    """The row of each place, `[prompts * places]`; where there is none, any."""
    places: torch.Tensor
    """The place of each row, `[rows]`."""
    num_places: int
    """Of each prompt."""
    mask: torch.Tensor
    """What is added to the scores, `[prompts, 1, 1, longest]`."""
    layers: list[list[torch.Tensor]]
    """Keys and values of the prompts in each, `[prompts, heads, longest, head_dim]`."""
    are_rows: bool
    """Every row continues a prompt of its own, in the order of the prompts."""

    def gather(self, states: torch.Tensor) -> torch.Tensor:
        """`[rows, heads, queries, …]` → `[prompts, heads, places * queries, …]`."""
        if self.are_rows:
            return states
        heads, queries, *rest = states.shape[1:]
        grouped = states[self.rows].view(-1, self.num_places, heads, queries, *rest)
        return grouped.transpose(1, 2).reshape(-1, heads, self.num_places * queries, *rest)

    def scatter(self, states: torch.Tensor) -> torch.Tensor:
        """The inverse of `gather`."""
        if self.are_rows:
            return states
        prompts, heads, _, *rest = states.shape
        split = states.reshape(prompts, heads, self.num_places, -1, *rest).transpose(1, 2)
        return split.reshape(prompts * self.num_places, heads, -1, *rest)[self.places]


def score_mask(is_hidden: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """`[rows, columns]` → what is added to the scores, `[rows, 1, 1, columns]`."""
    mask = torch.zeros(is_hidden.shape, dtype=dtype, device=is_hidden.device)
    return mask.masked_fill_(is_hidden, float("-inf"))[:, None, None]


class SharedPrompts:
    """Keys and values of prompts, per layer `[prompts, heads, longest, head_dim]`.

    The place of a prompt that no row continues any more is given to the next one.
    """

    def __init__(self, num_rows: int, num_prompts: int, longest: int, like: ReadPrompt) -> None:
        """Room for so many prompts; more make it grow, which copies them all."""
        self._of_row = [_NONE] * num_rows
        self._held: list[Tokens] = [()] * num_prompts
        keys = like.layers[0][0]
        shape = (num_prompts, keys.shape[0], longest, keys.shape[2])
        self._layers = [[state.new_zeros(shape) for state in states] for states in like.layers]
        self._groups: Groups | None = None
        self.num_uses = 0
        """How many layers have looked at them in this step."""

    def put(self, row: int, tokens: Tokens, prompt: ReadPrompt) -> None:
        """Have the row continue this prompt."""
        if tokens not in self._held:
            self._hold(tokens, prompt)
        self._of_row[row] = self._held.index(tokens)
        self._groups = None

    def _hold(self, tokens: Tokens, prompt: ReadPrompt) -> None:
        free = [n for n in range(len(self._held)) if n not in self._of_row]
        if not free:
            free = [len(self._held)]
            self._grow()
        self._held[free[0]] = tokens
        for held, states in zip(self._layers, prompt.layers, strict=True):
            for buffer, state in zip(held, states, strict=True):
                buffer[free[0], :, : prompt.length] = state

    def _grow(self) -> None:
        """By a quarter; one layer after the other, so that little is there twice."""
        count = 1 + len(self._held) // 4
        self._held += [()] * count
        for states in self._layers:
            for n, state in enumerate(states):
                states[n] = torch.cat([state, state.new_zeros(count, *state.shape[1:])])

    def release(self, rows: Iterable[int]) -> None:
        """These rows continue nothing any more."""
        for row in rows:
            self._of_row[row] = _NONE
            self._groups = None

    def keep(self, rows: Iterable[int]) -> None:
        """Only these rows, in this order."""
        self._of_row = [self._of_row[row] for row in rows]
        self._groups = None

    @property
    def groups(self) -> Groups:
        """What the rows continue now."""
        if self._groups is None:
            self._groups = self._grouped()
        return self._groups

    def _grouped(self) -> Groups:
        members = [
            [row for row, held in enumerate(self._of_row) if held == n]
            for n in range(max(self._of_row) + 1)
        ]
        num_places = max(map(len, members))
        places = [0] * len(self._of_row)
        for number, rows in enumerate(members):
            for place, row in enumerate(rows):
                places[row] = number * num_places + place
        lengths = [
            len(held) if rows else 1 for held, rows in zip(self._held, members, strict=False)
        ]
        padded = [(rows + [0] * num_places)[:num_places] for rows in members]
        return Groups(
            rows=self._tensor([row for rows in padded for row in rows]),
            places=self._tensor(places),
            num_places=num_places,
            are_rows=members == [[row] for row in range(len(self._of_row))],
            mask=self._mask(lengths),
            layers=[
                [state[: len(lengths), :, : max(lengths)] for state in states]
                for states in self._layers
            ],
        )

    def _mask(self, lengths: Sequence[int]) -> torch.Tensor:
        columns = self._tensor(range(max(lengths)))
        return score_mask(columns >= self._tensor(lengths)[:, None], self._layers[0][0].dtype)

    def _tensor(self, numbers: Sequence[int]) -> torch.Tensor:
        return torch.tensor(list(numbers), device=self._layers[0][0].device)
