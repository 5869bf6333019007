"""Rows of a training batch that begin alike go through the model once as far as they do.

The two sides of a preference pair share their prompt, as do the completions of a group
(https://arxiv.org/abs/2410.20305 does it for pairs). What is left is read in batches of similar
length, so that little is padded. Hidden states, losses and gradients stay what they are, but for
the order of sums; dropout, where there is any, is drawn once for a common beginning.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache
from transformers.modeling_outputs import BaseModelOutputWithPast

from coderl_exp.generation.shared_prompts import Tokens

_ROPE_TYPES = {"default", "linear", "llama3", "yarn"}
"""Those whose frequencies do not depend on how much is read at once."""
_BATCH_COST = 64
"""Positions that take as long as what a batch costs whatever its size, on two CPU cores."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rows with a common beginning."""

    prefix: Tokens
    own: dict[int, Tokens]
    """Row → what follows the prefix: at least one token."""


Batch = tuple[list[Group], list[list[int]]]
"""Groups whose prefixes are read together, and their rows, by whose own tokens are."""


def share_prefixes(backbone: Any) -> None:
    """Have the model without its head (`model.base_model`) read common beginnings once.

    Not with gradient checkpointing, which keeps no keys and values; not where a layer does not
    attend to the full context, or where positions are anything but rotations by a token's number;
    not when more is asked for than hidden states.
    """
    if not _can_be_split(backbone.config.get_text_config()):
        return
    plain = backbone.forward

    @functools.wraps(plain)
    def forward(*args: Any, **options: Any) -> Any:
        if args or not _is_plain_reading(backbone, options):
            return plain(*args, **options)
        ids, mask = options["input_ids"], options["attention_mask"].bool()
        rows = [tuple(row[real].tolist()) for row, real in zip(ids, mask, strict=True)]
        groups = common_beginnings(rows)
        batches = list(_batches(groups))
        if _cost(batches) > ids.numel() + _BATCH_COST or not all(g.prefix for g in groups):
            return plain(**options)
        states = _read_batches(plain, batches, mask)
        return BaseModelOutputWithPast(last_hidden_state=states)

    backbone.forward = forward


def common_beginnings(rows: Sequence[Tokens]) -> list[Group]:
    """Every row in one group, maybe alone; no other grouping of neighbours spares more tokens.

    Neighbours in lexicographic order: the shortest beginning that two of them share is what all of
    a group share. Rows are not brought together over others that share more among themselves.
    """
    ordered = sorted(range(len(rows)), key=lambda row: rows[row])
    shared = [_num_shared(rows[one], rows[other]) for one, other in pairwise(ordered)]
    spared, first = [0], [0]
    for last, row in enumerate(ordered):
        common = len(rows[row]) - 1
        best, begin = spared[last], last
        for other in range(last - 1, -1, -1):
            common = min(common, shared[other], len(rows[ordered[other]]) - 1)
            if spared[other] + common * (last - other) > best:
                best, begin = spared[other] + common * (last - other), other
        spared.append(best)
        first.append(begin)
    return [_group(rows, ordered[begin:end]) for begin, end in _ranges(first)]


def _num_shared(one: Tokens, other: Tokens) -> int:
    """Tokens that both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))


def _ranges(first: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Of the groups, from the last one, which begins where `first` of the end says."""
    end = len(first) - 1
    while end:
        yield first[end], end
        end = first[end]


def _group(rows: Sequence[Tokens], members: Sequence[int]) -> Group:
    """Of neighbours in lexicographic order."""
    shortest = min(len(rows[row]) for row in members)
    length = min(_num_shared(rows[members[0]], rows[members[-1]]), shortest - 1)
    own = {row: rows[row][length:] for row in members}
    return Group(prefix=rows[members[0]][:length], own=own)


def similar_lengths(lengths: Mapping[int, int]) -> list[list[int]]:
    """The batches that are read soonest, padding and each batch's own cost counted."""
    ordered = sorted(lengths, key=lambda item: lengths[item])
    cost, first = [0], [0]
    for end in range(1, len(ordered) + 1):
        longest = lengths[ordered[end - 1]]
        costs = [cost[b] + (end - b) * longest + _BATCH_COST for b in range(end)]
        cost.append(min(costs))
        first.append(costs.index(cost[-1]))
    return [ordered[begin:end] for begin, end in _ranges(first)]


def _batches(groups: Sequence[Group]) -> Iterator[Batch]:
    """All groups, in the batches that are read soonest."""
    lengths = {number: len(group.prefix) for number, group in enumerate(groups)}
    for numbers in similar_lengths(lengths):
        together = [groups[number] for number in numbers]
        own = {row: len(tokens) for group in together for row, tokens in group.own.items()}
        yield together, similar_lengths(own)


def _cost(batches: Sequence[Batch]) -> int:
    """In positions."""
    total = 0
    for together, rows_together in batches:
        own = {row: tokens for group in together for row, tokens in group.own.items()}
        total += _BATCH_COST + len(together) * max(len(group.prefix) for group in together)
        for rows in rows_together:
            total += _BATCH_COST + len(rows) * max(len(own[row]) for row in rows)
    return total


def _can_be_split(config: Any) -> bool:
    """Whether a token's state follows from the tokens before it and their numbers alone."""
    layer_types = set(getattr(config, "layer_types", None) or ["full_attention"])
    rope_type = (getattr(config, "rope_parameters", None) or {}).get("rope_type")
    has_window = bool(getattr(config, "sliding_window", None))
    return layer_types == {"full_attention"} and rope_type in _ROPE_TYPES and not has_window


def _is_plain_reading(backbone: Any, options: dict[str, Any]) -> bool:
    """Of at least two rows of token ids, for hidden states alone, with nothing in a cache."""
    given = {name for name, value in options.items() if value is not None and value is not False}
    if given != {"input_ids", "attention_mask"} or options.get("use_cache") is not False:
        return False
    recomputes = backbone.training and backbone.is_gradient_checkpointing
    return len(options["input_ids"]) > 1 and not recomputes


def _read_batches(plain: Any, batches: Sequence[Batch], mask: torch.Tensor) -> torch.Tensor:
    """Hidden states `[rows, columns, hidden_size]` of the batch with this mask; padding has 0."""
    states: dict[int, torch.Tensor] = {}
    for together, rows_together in batches:
        ids, is_real = _padded([group.prefix for group in together], mask.device)
        read = plain(input_ids=ids, attention_mask=is_real.long(), use_cache=True)
        place = {row: n for n, group in enumerate(together) for row in group.own}
        for rows in rows_together:
            own = [together[place[row]].own[row] for row in rows]
            places = torch.tensor([place[row] for row in rows], device=mask.device)
            continued = _continue(plain, own, is_real[places], _select(read, places))
            for row, tokens, after in zip(rows, own, continued, strict=True):
                before = read.last_hidden_state[place[row], : len(together[place[row]].prefix)]
                states[row] = torch.cat([before, after[: len(tokens)]])
    flat = torch.cat([states[row] for row in range(len(mask))])
    return flat.new_zeros(*mask.shape, flat.shape[-1]).index_put((mask,), flat)


def _continue(
    plain: Any, own: Sequence[Tokens], prefix_mask: torch.Tensor, prefixes: DynamicCache
) -> torch.Tensor:
    """Hidden states `[rows, longest, hidden_size]` of what follows each row's prefix."""
    ids, is_real = _padded(own, prefix_mask.device)
    read = plain(
        input_ids=ids,
        attention_mask=torch.cat([prefix_mask, is_real], dim=1).long(),
        position_ids=prefix_mask.sum(dim=1, keepdim=True) + torch.arange(ids.shape[1]).to(ids),
        past_key_values=prefixes,
        use_cache=True,
    )
    return read.last_hidden_state


def _select(read: Any, places: torch.Tensor) -> DynamicCache:
    """Each row's own copy of its prefix's keys and values; their gradients add up."""
    cache = DynamicCache()
    for number, layer in enumerate(read.past_key_values.layers):
        keys, values = (state.index_select(0, places) for state in (layer.keys, layer.values))
        cache.update(keys, values, number)
    return cache


def _padded(rows: Sequence[Tokens], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and which of them are real, both `[rows, longest]`, padded on the right."""
    ids = pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    lengths = torch.tensor([len(row) for row in rows])
    return ids.to(device), (torch.arange(ids.shape[1]) < lengths[:, None]).to(device)
