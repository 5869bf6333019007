"""GRPO as TRL's documentation has it: `python -m benchmarks.bare_grpo SPEC.json`.

Its reward is the least that gives the same training: it looks up what the pipeline's judge said of
the very same completion, so that judging and all that is around it costs this script nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import load_dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from benchmarks.step_times import StepTimes
from coderl_exp.memory import keep_freed_memory


def main() -> None:
    spec = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if spec["keeps_freed_memory"]:
        keep_freed_memory()
    times = StepTimes(Path(spec["times"]))
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(
            spec["model"], dtype=getattr(torch, spec["dtype"])
        ),
        reward_funcs=times.timed(looked_up(Path(spec["rewards"]))),
        args=GRPOConfig(**spec["trainer"]),
        train_dataset=load_dataset(
            "json", data_files=spec["data"], split="train", cache_dir=spec["cache"]
        ),
        processing_class=AutoTokenizer.from_pretrained(spec["model"]),
        peft_config=LoraConfig(**spec["lora"], task_type="CAUSAL_LM"),
        callbacks=[times],
    )
    trainer.train()
    trainer.save_model(spec["adapter"])


def looked_up(path: Path) -> Callable[..., list[float | None]]:
    """A reward function that knows the completions of a training before this one."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    known = {(row["task_id"], row["completion"]): row["reward"] for row in rows}

    def correctness(
        completions: Sequence[Any], task_id: Sequence[str], **_: Any
    ) -> list[float | None]:
        pairs = zip(task_id, completions, strict=True)
        return [known[name, completion[0]["content"]] for name, completion in pairs]

    return correctness


if __name__ == "__main__":
    main()
