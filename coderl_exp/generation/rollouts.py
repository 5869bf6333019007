"""GRPO's completions by this project's own decoding, through TRL's `rollout_func`.

For CPUs, where it takes half of the time that `generate` does. Every completion has random numbers
of its own, so that a training that continues writes what an undisturbed one writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from coderl_exp.generation.attention import use_grouped_attention
from coderl_exp.generation.batching import candidate_seed
from coderl_exp.generation.completions import encode_chat
from coderl_exp.generation.decoding import Decoding, Wanted, decode

SAMPLING_OPTIONS = frozenset(
    {
        "top_k", "min_p", "repetition_penalty", "generation_kwargs", "chat_template_kwargs",
        "cache_implementation", "use_transformers_continuous_batching",
    }
)  # fmt: skip
"""TRL's options that these rollouts do not know: with one of them TRL writes its own."""


class Rollouts:
    """The `rollout_func` of one training process."""

    def __init__(self, seed: int, max_tokens: int, temperature: float, top_p: float) -> None:
        self._seed, self._max_tokens = seed, max_tokens
        self._temperature, self._top_p = temperature, top_p
        self._last_step, self._num_calls = -1, 0

    def __call__(
        self, prompts: Sequence[Sequence[Mapping[str, str]]], trainer: Any
    ) -> dict[str, list[list[int]] | None]:
        """One completion per prompt, each a list of messages; equal prompts follow each other."""
        tokenizer = trainer.processing_class
        encoded = [tuple(encode_chat(tokenizer, prompt)) for prompt in prompts]
        draw = self._draw(trainer)
        seeds = [candidate_seed(self._seed, draw, index) for index in range(len(prompts))]
        wanted = [Wanted(prompt=p, seed=s) for p, s in zip(encoded, seeds, strict=True)]
        decoding = Decoding(
            num_rows=len(wanted),
            max_tokens=self._max_tokens,
            temperature=self._temperature,
            top_p=self._top_p,
            is_finished=lambda _, ids: ids[-1] in trainer.eos_token_ids,
        )
        with _decoding_policy(trainer.accelerator.unwrap_model(trainer.model)) as policy:
            completions = decode(policy, wanted, decoding)
        return {
            "prompt_ids": [list(ids) for ids in encoded],
            "completion_ids": completions,
            "logprobs": None,
        }

    def _draw(self, trainer: Any) -> str:
        """What no other rollouts of the training have: its step, which of the step's, and where."""
        step = trainer.state.global_step
        self._num_calls = self._num_calls + 1 if step == self._last_step else 0
        self._last_step = step
        return f"rollouts:{step}:{self._num_calls}:{trainer.accelerator.process_index}"


@contextmanager
def _decoding_policy(policy: Any) -> Iterator[Any]:
    """Without dropout, and with attention for a cache; afterwards as it was."""
    was_training, attention = policy.training, policy.config._attn_implementation
    base = policy.get_base_model() if hasattr(policy, "get_base_model") else policy
    policy.eval()
    use_grouped_attention(base)
    try:
        yield policy
    finally:
        base.set_attn_implementation(attention)
        policy.train(was_training)
