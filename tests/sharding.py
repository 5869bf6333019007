"""`coderl_exp.worker`, which also writes how much of the model its process holds in training."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Event
from typing import Any

from torch.distributed.tensor import DTensor

from coderl_exp import worker
from coderl_exp.method import dpo
from coderl_exp.store import write_json

fit = dpo.fit


def fit_and_tell(trainer: Any, work: Path, stop: Event) -> None:
    fit(trainer, work, stop)
    parameters = list(trainer.model.parameters())
    sharded = [p for p in parameters if isinstance(p, DTensor)]
    share = {
        "parameters": len(parameters),
        "sharded": len(sharded),
        "numbers": sum(p.numel() for p in parameters),
        "numbers_here": sum(p.to_local().numel() for p in sharded),
    }
    write_json(work / f"share.{os.environ['RANK']}.json", share)


if __name__ == "__main__":
    dpo.fit = fit_and_tell
    worker.main()
