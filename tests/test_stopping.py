"""A training is stopped where going on from its checkpoint is as if it had not been."""

from __future__ import annotations

from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from accelerate import Accelerator
from transformers import TrainerControl, TrainerState

from coderl_exp.method import TrainingStoppedError
from coderl_exp.method.stopping import StopOnRequest


def arguments(eval_strategy: str = "no", **grpo: int) -> Any:
    return SimpleNamespace(eval_strategy=eval_strategy, gradient_accumulation_steps=2, **grpo)


def stops(step: int, args: Any, epoch: float = 0.5, is_asked: bool = True) -> bool:
    """Whether a request stops the training after this step of ten."""
    request = Event()
    if is_asked:
        request.set()
    callback = StopOnRequest(Accelerator(cpu=True), request)
    state = TrainerState(global_step=step, max_steps=10, epoch=epoch)
    control = TrainerControl()
    callback.on_step_end(args, state, control)
    if not control.should_save:
        callback.on_save(args, state, control)
        return False
    with pytest.raises(TrainingStoppedError, match=f"after step {step}"):
        callback.on_save(args, state, control)
    return True


def test_it_stops_after_the_step_that_is_being_taken() -> None:
    assert stops(3, arguments())
    assert not stops(3, arguments(), is_asked=False)


def test_the_last_step_ends_as_ever() -> None:
    assert not stops(10, arguments())


def test_an_evaluation_at_the_end_of_an_epoch_is_waited_for() -> None:
    assert not stops(4, arguments("epoch"), epoch=1.0)
    assert stops(4, arguments("epoch"), epoch=0.8)
    assert stops(4, arguments("no"), epoch=1.0)


def test_rollouts_that_are_used_for_several_steps_are_used_up_first() -> None:
    args = arguments(num_iterations=2, steps_per_generation=2)
    assert [stops(step, args) for step in (1, 2, 3, 4)] == [False, True, False, True]
