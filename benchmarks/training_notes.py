"""What a training process of `overhead.py` leaves behind. No torch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

TIMES_FILE = "times.json"


@dataclass(kw_only=True)
class Notes:
    """One training; a list has an item per step, times are of one clock."""

    began_s: list[float] = field(default_factory=list)
    ended_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    """CPU seconds of the process and its descendants until the begin of each step."""
    machine_cpu_s: list[float] = field(default_factory=list)
    """The same of everything that runs on the machine."""
    reward_s: list[float] = field(default_factory=list)
    """Seconds inside the reward functions."""
    num_rewarded: list[int] = field(default_factory=list)
    """Completions that were rewarded."""
    logged: list[dict[str, float]] = field(default_factory=list)
    """What the trainer logged, measured times left out."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """All of the trainer's."""
    num_threads: int = 0
    """Torch's."""

    @property
    def step_s(self) -> list[float]:
        """From the begin of a step to the next one's: data and logs in between are part of it."""
        return _differences(self.began_s)

    @property
    def step_cpu_s(self) -> list[float]:
        """CPU seconds of each of these."""
        return _differences(self.cpu_s)

    @property
    def others(self) -> list[float]:
        """CPUs that were busy with something else in each of these, on average."""
        machine = _differences(self.machine_cpu_s)
        steps = zip(machine, self.step_cpu_s, self.step_s, strict=True)
        return [max(0.0, everything - own) / wall for everything, own, wall in steps]

    @property
    def between_s(self) -> list[float]:
        """The part of `step_s` after the step itself."""
        return [begin - end for end, begin in zip(self.ended_s, self.began_s[1:], strict=False)]

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), default=str) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Notes:
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def _differences(values: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(values)]
