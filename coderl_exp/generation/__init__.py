"""Completions of a policy: problems in, candidates out, unit by unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from coderl_exp.generation.batching import Request
from coderl_exp.records import Candidate


class Generator(Protocol):
    """A backend that decodes requests."""

    def run(
        self, units: Sequence[Sequence[Request]], on_finished: Callable[[int], None] = ...
    ) -> Iterator[list[Candidate]]:
        """One list of candidates per unit, in the unit's order; units come as they are finished.

        `on_finished` hears of every completion's length in tokens as soon as it has ended.

        Raises:
            GenerationError: the engine failed; what came before stays valid.
        """

    def close(self) -> None:
        """Free the model and end what runs it."""
