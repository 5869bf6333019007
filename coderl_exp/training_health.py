"""What the curves of a training show and warn of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

_MAX_EQUAL_GROUPS = 0.8
_MAX_CLIPPED = 0.3
_MAX_HARDCODED = 0.05

Row = Mapping[str, float]

MEANINGS = {
    "loss": "the training loss",
    "eval_loss": "the loss on held-out data",
    "rewards/margins": "DPO: how much more the policy prefers the chosen side; should rise",
    "rewards/accuracies": "DPO: share of pairs that it ranks right; should rise",
    "reward": "GRPO: mean reward of the rollouts; should rise",
    "rewards/heldout/mean": "share of held-out tests passed; should follow the reward",
    "heldout_gap": "rewarded minus held-out tests; growth is a sign of reward hacking",
    "hardcoded": "share of rollouts that hold the shown tests' answers as literals",
    "frac_reward_zero_std": "share of groups without spread, which teach nothing",
    "kl": "distance from the reference model; a jump means instability",
    "entropy": "of the policy's next token; a fall to zero ends exploration",
    "completions/mean_length": "tokens per rollout",
    "completions/clipped_ratio": "share of rollouts cut at the length limit",
    "grad_norm": "size of the gradient; spikes mean instability",
}
"""The logged values that a report shows, in this order; all else is in the JSON file."""


@dataclass(frozen=True, kw_only=True)
class CurveHealth:
    """One logged value over the training; values that are not finite count nowhere else."""

    name: str
    meaning: str
    num_logged: int
    first_third: float
    """Mean over the first third of its logs."""
    last_third: float
    min: float
    max: float
    num_not_finite: int


def curve_health(rows: Sequence[Row]) -> tuple[CurveHealth, ...]:
    """One entry per known value that was logged as a finite number at least once."""
    found = []
    for name, meaning in MEANINGS.items():
        logged = [row for row in rows if name in row]
        values = [row[name] for row in logged if math.isfinite(row[name])]
        if values:
            third = _third(values)
            found.append(
                CurveHealth(
                    name=name,
                    meaning=meaning,
                    num_logged=len(logged),
                    first_third=fmean(values[:third]),
                    last_third=fmean(values[-third:]),
                    min=min(values),
                    max=max(values),
                    num_not_finite=len(logged) - len(values),
                )
            )
    return tuple(found)


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


def _third(rows: Sequence[object]) -> int:
    return max(1, len(rows) // 3)
