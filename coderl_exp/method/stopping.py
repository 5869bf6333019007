"""A training that is asked to stop ends after the step in progress, with a checkpoint of it."""

from __future__ import annotations

from threading import Event
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class StopOnRequest(TrainerCallback):
    """The processes of a launch agree: a request that reaches one of them stops all at one step."""

    def __init__(self, accelerator: Any, request: Event) -> None:
        self._accelerator = accelerator
        self._request = request
        self.has_stopped = False

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        if self._request.is_set():
            self._accelerator.set_trigger()
        if self._accelerator.check_trigger() and state.global_step < state.max_steps:
            self.has_stopped = control.should_save = control.should_training_stop = True

    def on_epoch_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        """The Trainer would evaluate here; that is done where the training goes on."""
        if self.has_stopped:
            control.should_evaluate = control.should_save = False
