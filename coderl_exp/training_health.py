"""What the curves of an online training warn of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

_MAX_EQUAL_GROUPS = 0.8
_MAX_CLIPPED = 0.3
_MAX_HARDCODED = 0.05

Row = Mapping[str, float]


def training_warnings(rows: Sequence[Row], max_heldout_gap: float) -> list[str]:
    """Lines for the report; none for a training without rollouts, or a healthy one."""
    online = [row for row in rows if "frac_reward_zero_std" in row]
    if not online:
        return []
    found = [
        _gap(online, max_heldout_gap),
        _share(
            _late(online, "hardcoded"), _MAX_HARDCODED,
            "completions of the last third hold the answers of the tests in their prompt as "
            "literals: look at train/rollouts",
        ),
        _share(
            _mean(online, "frac_reward_zero_std"), _MAX_EQUAL_GROUPS,
            "groups had the same reward throughout and taught nothing: set "
            "method.pass_rate_range, or raise method.num_generations or method.temperature",
        ),
        _share(
            _mean(online, "completions/clipped_ratio"), _MAX_CLIPPED,
            "completions were cut at method.max_completion_length: raise it",
        ),
        _share(_mean(online, "verdict/sandbox_error"), 0.0, "completions could not be judged"),
    ]  # fmt: skip
    return [line for line in found if line]


def _gap(rows: Sequence[Row], limit: float) -> str:
    """The reward rose where the held-out tests did not follow: the policy learns the tests."""
    growth = _late(rows, "heldout_gap") - _early(rows, "heldout_gap")
    if growth <= limit:
        return ""
    return (
        f"The gap between rewarded and held-out tests grew by {100 * growth:.0f} points during "
        "training: the policy may be learning the tests instead of the task."
    )


def _share(value: float, limit: float, what: str) -> str:
    return f"{100 * value:.0f} % of {what}." if value > limit else ""


def _mean(rows: Sequence[Row], name: str) -> float:
    values = [row[name] for row in rows if name in row]
    return fmean(values) if values else 0.0


def _early(rows: Sequence[Row], name: str) -> float:
    return _mean(rows[: _third(rows)], name)


def _late(rows: Sequence[Row], name: str) -> float:
    return _mean(rows[len(rows) - _third(rows) :], name)


def _third(rows: Sequence[Row]) -> int:
    return max(1, len(rows) // 3)
