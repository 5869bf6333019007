"""Generation with a Transformers model: batched, with the chat template, on any device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from coderl_exp.config import HFConfig
from coderl_exp.generation.attention import use_grouped_attention
from coderl_exp.generation.batching import Request
from coderl_exp.generation.completions import Completions, eos_ids
from coderl_exp.generation.decoding import Decoding, Wanted, decode
from coderl_exp.generation.int8 import load_in_8bit
from coderl_exp.records import Candidate


class TransformersGenerator:
    """See the module's docstring. The model is used as given and left in evaluation mode."""

    def __init__(self, config: HFConfig, model: Any, tokenizer: Any) -> None:
        self._config = config
        self._model = (load_in_8bit(model) if config.load_in_8bit else model).eval()
        self.completions = Completions(
            tokenizer, eos_ids(model.generation_config, tokenizer), config.stop
        )
        use_grouped_attention(model)

    def run(
        self,
        units: Sequence[Sequence[Request]],
        on_finished: Callable[[int], None] = lambda _: None,
    ) -> Iterator[list[Candidate]]:
        """One list per unit, in order; nothing of a unit depends on the others."""
        for unit in units:
            yield self._decode(unit, on_finished)

    def close(self) -> None:
        """The model is freed with the last reference to it."""

    def _decode(
        self, requests: Sequence[Request], on_finished: Callable[[int], None]
    ) -> list[Candidate]:
        distinct = {request.task_id: request for request in requests}
        prompts = {task_id: tuple(self.completions.encode(r)) for task_id, r in distinct.items()}
        decoding = Decoding(
            num_rows=self._config.batch_size,
            max_tokens=self._config.max_tokens,
            temperature=self._config.temperature,
            top_p=self._config.top_p,
            is_finished=lambda number, ids: self.completions.is_finished(ids, requests[number]),
            on_finished=on_finished,
        )
        wanted = [Wanted(prompt=prompts[r.task_id], seed=r.seed) for r in requests]
        return [
            self.completions.candidate(request, len(prompts[request.task_id]), ids)
            for request, ids in zip(requests, decode(self._model, wanted, decoding), strict=True)
        ]
