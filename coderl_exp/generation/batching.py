"""Which completions are asked for, with which seeds, and which of them are decoded together.

Imports no torch. A batch holds prompts of similar length; its composition is a function of the
requests alone, so that an interrupted run continues with the same batches.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from coderl_exp.config import SamplingConfig, VLLMConfig
from coderl_exp.records import Message, Problem

_BATCHES_PER_UNIT = 4
"""More keep the batch full for longer; less is lost by an interruption with fewer."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One completion that is wanted."""

    task_id: str
    index: int
    seed: int
    prompt: tuple[Message, ...]


def candidate_seed(seed: int, task_id: str, index: int) -> int:
    """A seed of 63 bits that depends on the problem and the candidate, never on the batch."""
    digest = hashlib.sha256(f"{seed}:{task_id}:{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def make_requests(problems: Sequence[Problem], num_candidates: int, seed: int) -> list[Request]:
    """`num_candidates` requests per problem, in the order of the problems."""
    return [
        Request(
            task_id=problem.task_id,
            index=index,
            seed=candidate_seed(seed, problem.task_id, index),
            prompt=problem.prompt,
        )
        for problem in problems
        for index in range(num_candidates)
    ]


def make_units(requests: Sequence[Request], config: SamplingConfig) -> list[list[Request]]:
    """What is kept, or decoded again, as a whole after an interruption.

    With Transformers some batches, whose rows depend in the last bits of their logits on each
    other; with vLLM, which forms its batches itself, the completions of one problem.
    """
    if isinstance(config, VLLMConfig):
        return [list(group) for _, group in groupby(requests, key=lambda r: r.task_id)]
    return make_batches(requests, _BATCHES_PER_UNIT * config.batch_size)


def make_batches(requests: Sequence[Request], batch_size: int) -> list[list[Request]]:
    """Requests sorted by prompt length, longest first so that memory peaks at once, then cut."""
    ordered = sorted(requests, key=lambda r: (-len(r.prompt[-1].content), r.task_id, r.index))
    return [ordered[start : start + batch_size] for start in range(0, len(ordered), batch_size)]
