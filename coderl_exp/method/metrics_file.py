"""The training curves on disk: written by rank 0 as it trains, followed by the pipeline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from coderl_exp.method.checkpoints import METRICS_FILE, read_metrics

_LEFT_OUT = ("_runtime", "per_second", "total_flos", "train_loss", "step_time")
"""Differ between equal runs: measured, or averaged since the last resume."""


class MetricsWriter(TrainerCallback):
    """Appends one row per log: step, max_steps and the trainer's values."""

    def __init__(self, work: Path, *, counts_tokens_anew: bool) -> None:
        """`counts_tokens_anew`: the trainer starts from zero after a resume, as TRL's for DPO."""
        self._path = work / METRICS_FILE
        self._tokens_before = trained_tokens(work) if counts_tokens_anew else 0

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        if not state.is_world_process_zero or not logs:
            return
        values = {
            name: float(value) + (self._tokens_before if "num_tokens" in name else 0)
            for name, value in logs.items()
            if value is not None and not any(part in name for part in _LEFT_OUT)
        }
        row = {"step": state.global_step, "max_steps": state.max_steps, **values}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def trained_tokens(work: Path) -> int:
    """Tokens that went through the trainer until the last row; 0 without rows."""
    return int(max((row.get("num_tokens", 0) for row in read_metrics(work)), default=0))
