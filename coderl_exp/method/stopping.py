"""A training that is asked to stop ends after the step in progress, with a checkpoint of it."""

from __future__ import annotations

from threading import Event
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import IntervalStrategy

from coderl_exp.method import TrainingStoppedError


class StopOnRequest(TrainerCallback):
    """The processes of a launch agree: a request that reaches one of them stops all at one step.

    The Trainer's own way to stop would log and evaluate where an undisturbed training does not.
    """

    def __init__(self, accelerator: Any, request: Event) -> None:
        self._accelerator = accelerator
        self._request = request
        self._is_stopping = False

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        """Not where a training from the checkpoint would leave something out, or draw it again."""
        if self._request.is_set():
            self._accelerator.set_trigger()  # again at every step, until one is right
        is_asked = self._accelerator.check_trigger()
        if is_asked and not _is_followed(args, state) and _is_drawn_next(args, state):
            self._is_stopping = control.should_save = True

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        """Raises: TrainingStoppedError: the checkpoint that was asked for is written."""
        if self._is_stopping:
            raise TrainingStoppedError(f"stopped after step {state.global_step}")


def _is_followed(args: TrainingArguments, state: TrainerState) -> bool:
    """By the end of the training, or by an evaluation at the end of an epoch."""
    is_evaluated = args.eval_strategy == IntervalStrategy.EPOCH and float(state.epoch).is_integer()
    return state.global_step >= state.max_steps or is_evaluated


def _is_drawn_next(args: Any, state: TrainerState) -> bool:
    """GRPO's next step begins with new rollouts; a checkpoint does not keep the old ones."""
    if not hasattr(args, "num_iterations"):
        return True
    num_batches = state.global_step * args.gradient_accumulation_steps
    return bool(num_batches % (args.steps_per_generation * args.num_iterations) == 0)
