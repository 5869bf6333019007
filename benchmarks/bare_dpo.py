"""DPO as TRL's documentation has it: `python -m benchmarks.bare_dpo SPEC.json`.

Nothing of coderl_exp runs here, unless the specification asks for its way with freed memory.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from datasets import load_dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer

from benchmarks.step_times import StepTimes
from coderl_exp.memory import keep_freed_memory


def main() -> None:
    spec = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if spec["keeps_freed_memory"]:
        keep_freed_memory()
    trainer = DPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(
            spec["model"], dtype=getattr(torch, spec["dtype"])
        ),
        args=DPOConfig(**spec["trainer"]),
        train_dataset=load_dataset(
            "json", data_files=spec["data"], split="train", cache_dir=spec["cache"]
        ),
        processing_class=AutoTokenizer.from_pretrained(spec["model"]),
        peft_config=LoraConfig(**spec["lora"], task_type="CAUSAL_LM"),
        callbacks=[StepTimes(Path(spec["times"]))],
    )
    trainer.train()
    trainer.save_model(spec["adapter"])


if __name__ == "__main__":
    main()
