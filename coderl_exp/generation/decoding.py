"""One batch that stays full: a completion that ends gives its row to the next one.

Not covered: models whose layers do not all attend to the full context.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from coderl_exp.generation.attention import continuing
from coderl_exp.generation.cache import SlotCache
from coderl_exp.generation.reading import read_prompts
from coderl_exp.generation.sampling import random_streams, sample_tokens
from coderl_exp.generation.shared_prompts import ReadPrompt, SharedPrompts, Tokens

_RETIRE_SHARE = 0.125
"""Rows that nothing is left for leave when they make up this share: leaving copies the cache."""
_SPARE_COLUMNS = 64
"""Of a cache whose rows are given again, beyond the longest completion; it moves when they are
used up."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One completion that is asked for."""

    prompt: Tokens
    seed: int


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How completions are written."""

    num_rows: int
    """Completions that are written at the same time."""
    max_tokens: int
    temperature: float
    top_p: float
    is_finished: Callable[[int, Sequence[int]], bool]
    """Told a completion's number and its tokens so far."""
    on_finished: Callable[[int], None] = lambda _: None
    """Told a completion's number of tokens."""


@torch.no_grad()
def decode(model: Any, wanted: Sequence[Wanted], decoding: Decoding) -> list[list[int]]:
    """Token ids of every completion, what ended it included.

    A prompt is read once for all of its completions that follow each other.
    """
    return _Batch(model, wanted, decoding).run() if wanted else []


class _Batch:
    def __init__(self, model: Any, wanted: Sequence[Wanted], decoding: Decoding) -> None:
        self._model, self._wanted, self._decoding = model, wanted, decoding
        self._uniform = random_streams([w.seed for w in wanted], decoding.max_tokens)
        self._completions: list[list[int]] = [[] for _ in wanted]
        self._next = 0
        self._prompts: dict[Tokens, ReadPrompt] = {}
        num_rows = min(decoding.num_rows, len(wanted))
        self._occupants: list[int | None] = [None] * num_rows
        """Row → number of the completion that is written there."""
        self._read([0])
        like = self._prompts[wanted[0].prompt]
        longest = max(len(w.prompt) for w in wanted)
        is_refilled = len(wanted) > num_rows
        capacity = decoding.max_tokens + (_SPARE_COLUMNS if is_refilled else 0)
        num_prompts = len({w.prompt for w in wanted[:num_rows]})
        prompts = SharedPrompts(num_rows, num_prompts, longest, like)
        self._cache = SlotCache(num_rows, capacity, prompts, like)
        self._logits = like.logits.new_empty(num_rows, len(like.logits))
        self._tokens = torch.zeros(num_rows, dtype=torch.long, device=like.logits.device)

    def run(self) -> list[list[int]]:
        fresh = self._occupy(range(len(self._occupants)))
        while fresh:
            while fresh:
                fresh = self._occupy(self._sample(fresh))
            self._retire()
            if fresh := self._live_rows():
                self._step(fresh)
        return self._completions

    def _live_rows(self) -> list[int]:
        return [row for row, number in enumerate(self._occupants) if number is not None]

    def _occupy(self, rows: Iterable[int]) -> list[int]:
        """Give free rows to the next completions; those that were given."""
        last = len(self._wanted)
        given = dict(zip(rows, range(self._next, last), strict=False))
        self._read(list(given.values()))
        for row, number in given.items():
            tokens = self._wanted[number].prompt
            prompt = self._prompts[tokens]
            self._cache.put(row, tokens, prompt)
            self._logits[row] = prompt.logits
            self._occupants[row] = number
        self._next += len(given)
        upcoming = self._wanted[self._next].prompt if self._next < last else None
        self._prompts = {ids: read for ids, read in self._prompts.items() if ids == upcoming}
        return list(given)

    def _read(self, numbers: Sequence[int]) -> None:
        """Their prompts, as far as they are not at hand."""
        missing = dict.fromkeys(
            prompt for n in numbers if (prompt := self._wanted[n].prompt) not in self._prompts
        )
        self._prompts |= zip(missing, read_prompts(self._model, list(missing)), strict=True)

    def _sample(self, rows: Sequence[int]) -> list[int]:
        """One more token of each; the rows whose completion has ended."""
        numbers = [n for row in rows if (n := self._occupants[row]) is not None]
        lengths = [len(self._completions[n]) for n in numbers]
        logits = self._logits if len(rows) == len(self._logits) else self._logits[list(rows)]
        uniform = self._uniform[numbers, lengths]
        options = self._decoding
        tokens = sample_tokens(logits, uniform, options.temperature, options.top_p)
        self._tokens[list(rows)] = tokens
        ended = []
        for row, number, token in zip(rows, numbers, tokens.tolist(), strict=True):
            ids = self._completions[number]
            ids.append(token)
            if options.is_finished(number, ids) or len(ids) == options.max_tokens:
                options.on_finished(len(ids))
                self._occupants[row] = None
                ended.append(row)
        self._cache.release(ended)
        return ended

    def _retire(self) -> None:
        """Let rows go that no completion is left for."""
        live = self._live_rows()
        if len(self._occupants) - len(live) >= _RETIRE_SHARE * len(self._occupants):
            rows = torch.tensor(live, dtype=torch.long, device=self._tokens.device)
            self._occupants = [self._occupants[row] for row in live]
            self._tokens, self._logits = self._tokens[rows], self._logits[rows]
            self._cache.keep(rows)

    def _step(self, live: Sequence[int]) -> None:
        """Read the rows' last tokens."""
        self._cache.advance(live)
        with continuing(self._cache.prompts):
            output = self._model(
                input_ids=self._tokens[:, None],
                attention_mask=self._cache.mask(self._logits.dtype),
                position_ids=self._cache.positions(),
                past_key_values=self._cache,
                use_cache=True,
                logits_to_keep=1,
            )
        self._logits = output.logits[:, -1]
