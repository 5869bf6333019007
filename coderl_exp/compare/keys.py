"""Options that runs differ in: which to draw a heat map over, and the map."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from coderl_exp.compare.data import HeatMap
from coderl_exp.compare.ranking import Group
from coderl_exp.compare.runs import Run
from coderl_exp.errors import ConfigError


def heat_map(groups: Sequence[Group], by: Sequence[str]) -> HeatMap | None:
    """The mean of the metric over one or two options; None: the runs differ in none.

    Without `by`, over the two options with the most values (the seed is none).

    Raises:
        ConfigError: `by` names more than two options, one that no run has, or one ambiguously.
    """
    runs = [
        (run, float(m))
        for g in groups
        for run, m in zip(g.runs, g.values.mean(axis=1), strict=True)
    ]
    if len(by) > 2:
        raise ConfigError(f"--by has {len(by)} keys ({', '.join(by)}): give one or two.")
    known = {name: None for run, _ in runs for name in run.settings}
    keys = [_resolve(key, list(known)) for key in by] or _swept([run for run, _ in runs])
    if not keys:
        return None
    cells: dict[str, list[float]] = defaultdict(list)
    for run, mean in runs:
        cells[", ".join(_text(run.settings.get(key)) for key in keys)].append(mean)
    return HeatMap(
        keys=tuple(keys),
        values=tuple(_values([run.settings.get(key) for run, _ in runs]) for key in keys),
        cells={place: fmean(means) for place, means in cells.items()},
        counts={place: len(means) for place, means in cells.items()},
    )


def _resolve(key: str, known: Sequence[str]) -> str:
    """The dotted name that a key is, or ends in."""
    found = [name for name in known if name == key] or [
        name for name in known if name.endswith(f".{key}")
    ]
    if len(found) != 1:
        listed = f"; it could be {', '.join(found)}" if found else ""
        raise ConfigError(f"--by has {key!r}, which names no single option of the runs{listed}.")
    return found[0]


def _swept(runs: Sequence[Run]) -> list[str]:
    """Up to two options that the runs differ in and all have, the ones with most values first."""
    names = [name for name in runs[0].settings if all(name in run.settings for run in runs)]
    counts = {name: len({_text(run.settings[name]) for run in runs}) for name in names}
    swept = [name for name in names if counts[name] > 1 and name not in ("seed", "store_dir")]
    swept = [name for name in swept if not _follows(name, swept, runs)]
    return sorted(swept, key=lambda name: -counts[name])[:2]


def _follows(name: str, others: Sequence[str], runs: Sequence[Run]) -> bool:
    """Whether an option before it has the same value wherever this one has: told apart by that."""
    for other in others[: others.index(name)]:
        pairs = {(_text(run.settings[other]), _text(run.settings[name])) for run in runs}
        if len(pairs) == len({left for left, _ in pairs}):
            return True
    return False


def _values(values: Sequence[Any]) -> tuple[str, ...]:
    """Distinct, in order: numbers by size, then texts."""
    distinct = {_text(value): value for value in values}
    return tuple(sorted(distinct, key=lambda text: _order(distinct[text], text)))


def _order(value: Any, text: str) -> tuple[bool, float, str]:
    try:
        return False, float(value), text
    except (TypeError, ValueError):
        return True, 0.0, text


def _text(value: Any) -> str:
    """As a user writes it: 1e-06, true, null."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
