"""`coderl_exp.worker` with a stopwatch: `python -m benchmarks.overhead_worker JOB.json`.

Nothing else differs: the process starts as the worker does, and the trainer gets one callback more.
"""

from __future__ import annotations

from threading import Event
from unittest.mock import patch

from benchmarks.training_notes import TIMES_FILE
from coderl_exp import method, worker
from coderl_exp.method import AnyJob, TrainingResult


def timed_train(job: AnyJob, stop: Event) -> TrainingResult:
    """Train as the worker does, timed."""
    from transformers import trainer

    from benchmarks.step_times import StepTimes
    from coderl_exp.rewards import Rewards

    times = StepTimes(job.work / TIMES_FILE)
    for name in ("correctness", "length", "heldout"):
        setattr(Rewards, name, times.timed(getattr(Rewards, name)))
    with patch.object(trainer, "DEFAULT_CALLBACKS", [*trainer.DEFAULT_CALLBACKS, times]):
        return method.train(job, stop)


if __name__ == "__main__":
    with patch.object(worker, "train", timed_train):
        worker.main()
