"""Temperature and nucleus sampling (https://arxiv.org/abs/1904.09751), one stream per completion.

Every completion has its own random numbers, drawn from its seed, so that what it becomes does not
depend on its neighbours in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

NUM_PRESELECTED = 64
"""Top-p sorts the largest logits only; where their mass is below top_p, it sorts them all."""


def random_streams(seeds: Sequence[int], length: int) -> torch.Tensor:
    """Uniform numbers in [0, 1), `[len(seeds), length]`, row i from seed i alone."""
    rows = [
        torch.rand(length, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        for seed in seeds
    ]
    return torch.stack(rows)


def sample_tokens(
    logits: torch.Tensor, uniform: torch.Tensor, temperature: float, top_p: float
) -> torch.Tensor:
    """One token id per row of `logits` `[rows, vocabulary]`, by inversion of `uniform` `[rows]`."""
    if temperature == 0:
        return logits.argmax(-1)
    uniform = uniform.to(logits.device)
    scaled = logits.float() / temperature
    log_mass = scaled.logsumexp(-1, keepdim=True)
    top, ids = scaled.topk(min(NUM_PRESELECTED, scaled.shape[-1]), -1)
    probabilities = (top - log_mass).exp().double()
    chosen = _invert(probabilities, ids, uniform, top_p)
    mass = probabilities.sum(-1)
    is_short = mass < top_p if top_p < 1 else uniform >= mass
    short = is_short.nonzero().squeeze(-1)
    if len(short):
        all_sorted, all_ids = scaled[short].sort(-1, descending=True)
        probabilities = (all_sorted - log_mass[short]).exp().double()
        chosen[short] = _invert(probabilities, all_ids, uniform[short], top_p)
    return chosen


def _invert(
    probabilities: torch.Tensor, ids: torch.Tensor, uniform: torch.Tensor, top_p: float
) -> torch.Tensor:
    """Pick from the smallest set of tokens whose mass reaches `top_p`; rows sorted, descending.

    With 1 that is all of them, also those that `probabilities` leaves out.
    """
    cumulative = probabilities.cumsum(-1)
    kept = (cumulative - probabilities) < top_p
    mass = (probabilities * kept).sum(-1, keepdim=True) if top_p < 1 else 1.0
    rank = (cumulative * kept <= uniform[:, None] * mass).logical_and(kept)
    rank = rank.sum(-1, keepdim=True).clamp(max=ids.shape[-1] - 1)
    rank = torch.minimum(rank, kept.sum(-1, keepdim=True) - 1)
    return ids.gather(-1, rank).squeeze(-1)
