"""Generation with a Transformers model: batched, left-padded, with the chat template.

A prompt is read once and shared by its candidates; finished rows leave the batch. Not covered:
models whose layers do not all attend to the full context.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from coderl_exp.config import SamplingConfig
from coderl_exp.generation.batching import Request
from coderl_exp.generation.cache import ATTENTION, PreallocatedCache
from coderl_exp.generation.completions import Completions, eos_ids
from coderl_exp.generation.sampling import random_streams, sample_tokens
from coderl_exp.records import Candidate

_RETIRE_SHARE = 0.125
"""Finished rows leave when they make up this share of the batch: leaving copies the cache once."""


class TransformersGenerator:
    """See the module's docstring. The model is used as given and left in evaluation mode."""

    def __init__(self, config: SamplingConfig, model: Any, tokenizer: Any) -> None:
        self._config = config
        self._model = model.eval()
        self._tokenizer = tokenizer
        self.completions = Completions(
            tokenizer, eos_ids(model.generation_config, tokenizer), config.stop
        )
        model.set_attn_implementation(ATTENTION)

    def run(
        self,
        units: Sequence[Sequence[Request]],
        on_finished: Callable[[int], None] = lambda _: None,
    ) -> Iterator[list[Candidate]]:
        """One list per unit, in order; a unit is decoded as one batch."""
        for unit in units:
            yield self._decode(unit, on_finished)

    def close(self) -> None:
        """The model is freed with the last reference to it."""

    @torch.inference_mode()
    def _decode(
        self, requests: Sequence[Request], on_finished: Callable[[int], None]
    ) -> list[Candidate]:
        distinct = {request.task_id: request for request in requests}
        token_ids = {task_id: self.completions.encode(r) for task_id, r in distinct.items()}
        order = {task_id: row for row, task_id in enumerate(distinct)}
        decoding = _Decoding(self, list(token_ids.values()), [order[r.task_id] for r in requests])
        texts = decoding.run(requests, on_finished)
        return [
            self.completions.candidate(request, len(token_ids[request.task_id]), ids)
            for request, ids in zip(requests, texts, strict=True)
        ]


class _Decoding:
    """The state of one batch while it is decoded."""

    def __init__(
        self, generator: TransformersGenerator, prompts: list[list[int]], rows: list[int]
    ) -> None:
        self._generator = generator
        self._config = generator._config
        self._model = generator._model
        self._prompts = prompts
        self._prompt_of_row = rows

    def run(
        self, requests: Sequence[Request], on_finished: Callable[[int], None]
    ) -> list[list[int]]:
        """Token ids of every row's completion, its EOS included."""
        uniform = random_streams([r.seed for r in requests], self._config.max_tokens)
        logits, cache, mask = self._read_prompts()
        completions: list[list[int]] = [[] for _ in requests]
        active = list(range(len(requests)))
        finished = [False] * len(requests)
        for step in range(self._config.max_tokens):
            tokens = sample_tokens(
                logits, uniform[active, step], self._config.temperature, self._config.top_p
            )
            for row, token in zip(active, tokens.tolist(), strict=True):
                if not finished[row]:
                    completions[row].append(token)
                    finished[row] = self._generator.completions.is_finished(
                        completions[row], requests[row]
                    )
                    if finished[row] or step + 1 == self._config.max_tokens:
                        on_finished(step + 1)
            kept = [position for position, row in enumerate(active) if not finished[row]]
            if not kept or step + 1 == self._config.max_tokens:
                break
            if len(active) - len(kept) >= _RETIRE_SHARE * len(active):
                active = [active[position] for position in kept]
                selection = torch.tensor(kept, device=tokens.device)
                tokens, mask = tokens[selection], mask[selection]
                cache.batch_select_indices(selection)
            mask = torch.cat([mask, mask.new_ones(len(active), 1)], dim=1)
            logits = self._forward(tokens[:, None], mask, cache)
        return completions

    def _read_prompts(self) -> tuple[torch.Tensor, PreallocatedCache, torch.Tensor]:
        """Logits, cache and mask after the prompts, one row per completion."""
        encoded = self._generator._tokenizer.pad(
            {"input_ids": self._prompts}, padding_side="left", return_tensors="pt"
        ).to(self._model.device)
        capacity = encoded["input_ids"].shape[1] + self._config.max_tokens
        cache = PreallocatedCache(self._model.config.num_hidden_layers, capacity)
        logits = self._forward(encoded["input_ids"], encoded["attention_mask"], cache)
        rows = torch.tensor(self._prompt_of_row, device=self._model.device)
        cache.batch_select_indices(rows)
        return logits[rows], cache, encoded["attention_mask"][rows]

    def _forward(
        self, ids: torch.Tensor, mask: torch.Tensor, cache: PreallocatedCache
    ) -> torch.Tensor:
        """Logits of the last position, `[rows, vocabulary]`."""
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        output = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1]
