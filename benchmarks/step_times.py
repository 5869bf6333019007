"""The stopwatch that every contender of `overhead.py` trains with."""

from __future__ import annotations

import functools
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch
from transformers import TrainerCallback, TrainingArguments

from benchmarks.training_notes import Notes

_MEASURED = ("runtime", "per_second", "step_time", "train_loss")
"""Parts of the names of what equal trainings log differently."""


class StepTimes(TrainerCallback):
    """Notes when steps begin and end and what is logged; writes it down when training ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._notes = Notes()

    def on_train_begin(self, args: TrainingArguments, *_: Any, **__: Any) -> None:
        self._notes.arguments = args.to_dict()
        self._notes.num_threads = torch.get_num_threads()

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._notes.reward_s.append(0.0)
        self._notes.num_rewarded.append(0)
        self._notes.machine_cpu_s.append(_machine_cpu_s())
        self._notes.cpu_s.append(_cpu_s())
        self._notes.began_s.append(time.perf_counter())

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._notes.ended_s.append(time.perf_counter())

    def on_log(self, *_: Any, logs: dict[str, float] | None = None, **__: Any) -> None:
        if logs and "loss" in logs:
            self._notes.logged.append(
                {
                    name: float(value)
                    for name, value in logs.items()
                    if value is not None and not any(part in name for part in _MEASURED)
                }
            )

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self._notes.write(self._path)

    def timed(self, reward: Callable[..., Any]) -> Callable[..., Any]:
        """A reward function whose time counts as the step's."""

        @functools.wraps(reward)
        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            rewards = reward(*args, **kwargs)
            self._notes.reward_s[-1] += time.perf_counter() - began
            self._notes.num_rewarded[-1] = len(rewards)
            return rewards

        return timed


def _cpu_s() -> float:
    """Of this process, of the judge's living processes, and of all that these have outlived."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    living = [sum(p.cpu_times()[:4]) for p in psutil.Process().children(recursive=True)]
    return float(time.process_time() + ended.ru_utime + ended.ru_stime + sum(living))


def _machine_cpu_s() -> float:
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    # Linux counts what guests take in user and nice as well.
    twice = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return float(sum(times) - idle - twice)
