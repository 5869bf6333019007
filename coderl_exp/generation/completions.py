"""What every backend does alike: the prompt's token ids, where a completion ends, and its text.

Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from coderl_exp.generation.batching import Request
from coderl_exp.prompts import answer_start
from coderl_exp.records import Candidate

_STOP_WINDOW_TOKENS = 8


class Completions:
    """The contract of one tokenizer, its EOS ids and the configured stop strings."""

    def __init__(self, tokenizer: Any, eos_ids: frozenset[int], stop: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self.eos_ids = eos_ids
        self.stop = tuple(stop)

    def encode(self, request: Request) -> list[int]:
        """Token ids of the chat messages, up to where the completion begins."""
        messages = [message.as_dict() for message in request.prompt]
        return encode_chat(self._tokenizer, messages, has_begun=bool(answer_start(request.prompt)))

    def is_finished(self, ids: Sequence[int], request: Request) -> bool:
        """The completion so far ends with EOS or holds a stop string."""
        if ids[-1] in self.eos_ids:
            return True
        tail = self._tokenizer.decode(ids[-_STOP_WINDOW_TOKENS:])
        return any(stop in tail for stop in self.stop) and self.is_stopped(ids, request)

    def is_stopped(self, ids: Sequence[int], request: Request) -> bool:
        """The completion so far holds a stop string where it counts."""
        return self._cut(ids, request)[1] == "stop"

    def candidate(self, request: Request, num_prompt_tokens: int, ids: list[int]) -> Candidate:
        """The record of a completion, its EOS included in `ids`."""
        text, reason = self._cut(ids, request)
        return Candidate(
            task_id=request.task_id,
            index=request.index,
            seed=request.seed,
            completion=text,
            num_prompt_tokens=num_prompt_tokens,
            num_completion_tokens=len(ids),
            finish_reason=reason,
        )

    def _cut(
        self, ids: Sequence[int], request: Request
    ) -> tuple[str, Literal["eos", "stop", "length"]]:
        """The text up to and including the first stop string, and why it ended."""
        ended = bool(ids) and ids[-1] in self.eos_ids
        text: str = self._tokenizer.decode(ids[:-1] if ended else ids, skip_special_tokens=True)
        begun = answer_start(request.prompt)
        found = (find_stop(begun + text, stop, len(begun)) for stop in self.stop)
        ends = [end - len(begun) for end in found if end is not None]
        if ends:
            return text[: min(ends)], "stop"
        return text, "eos" if ended else "length"


def encode_chat(
    tokenizer: Any, messages: Sequence[Mapping[str, str]], *, has_begun: bool = False
) -> list[int]:
    """Token ids of the conversation; `has_begun`: its last message is the answer's beginning."""
    text = tokenizer.apply_chat_template(
        list(messages),
        tokenize=False,
        add_generation_prompt=not has_begun,
        continue_final_message=has_begun,
    )
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def find_stop(text: str, stop: str, start: int = 0) -> int | None:
    """Where the first `stop` from `start` on ends.

    One with a fence counts only where it closes a block.
    """
    end = start
    while (start := text.find(stop, end)) >= 0:
        end = start + len(stop)
        if "```" not in stop or text.count("```", 0, end) % 2 == 0:
            return end
        end = start + 1
    return None


def eos_ids(generation_config: Any, tokenizer: Any) -> frozenset[int]:
    """EOS of the model's generation config (one id or several) and of the tokenizer."""
    configured = generation_config.eos_token_id
    ids = configured if isinstance(configured, list) else [configured]
    return frozenset(i for i in [*ids, tokenizer.eos_token_id] if i is not None)
