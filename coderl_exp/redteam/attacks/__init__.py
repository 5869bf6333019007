"""The attacks, one module per group; `all_attacks` has them all."""

from __future__ import annotations

from coderl_exp.redteam.attacks import (
    bombs,
    caches,
    carry,
    carry_later,
    channels,
    class_hooks,
    costly_returns,
    crashes,
    daemons,
    endings,
    exits,
    exits_elsewhere,
    files,
    forgeries,
    hangs,
    hidden,
    hooks,
    lies,
    lying_types,
    network,
    patches,
    processes,
    reflection,
    returns,
    sources,
    stand_ins,
    stdin,
    stdin_streams,
    stolen_answers,
    stolen_memory,
    stolen_secrets,
)
from coderl_exp.redteam.cases import Attack

_MODULES = (
    exits,
    exits_elsewhere,
    lies,
    lying_types,
    patches,
    hooks,
    forgeries,
    channels,
    stolen_answers,
    stolen_memory,
    stolen_secrets,
    processes,
    daemons,
    bombs,
    hangs,
    crashes,
    returns,
    costly_returns,
    network,
    files,
    stdin,
    stdin_streams,
    carry,
    carry_later,
    hidden,
    class_hooks,
    reflection,
    caches,
    endings,
    stand_ins,
)


def all_attacks() -> tuple[Attack, ...]:
    """Every attack; those on the parser are made anew, as one of them has 50 MB."""
    made = [attack for module in _MODULES for attack in module.ATTACKS]
    return (*made, *sources.attacks())


def short_form() -> tuple[Attack, ...]:
    """A few of each family, which take seconds."""
    return tuple(attack for attack in all_attacks() if attack.is_short)
