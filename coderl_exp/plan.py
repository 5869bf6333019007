"""`plan=true`: what would run, what is in the store, and what it would cost. Runs nothing."""

from __future__ import annotations

import json
import struct
from pathlib import Path

from rich.console import Console
from rich.table import Table

from coderl_exp.config import Config
from coderl_exp.pipeline import Pipeline
from coderl_exp.step import Step

CHARACTERS_PER_TOKEN = 3.5
SANDBOX_S_PER_CANDIDATE = 0.05
"""What starting and judging a short program costs; slow programs cost up to the time limit."""
_BYTES = {"float32": 4, "bfloat16": 2}


def print_plan(pipeline: Pipeline) -> None:
    """The plan as a table and one line of memory."""
    table = Table(title=f"{pipeline.config.experiment}: what would run", width=96)
    table.add_column("step")
    table.add_column("state")
    table.add_column("key", style="dim")
    table.add_column("tokens, at most", justify="right")
    table.add_column("sandbox s", justify="right")
    for step in pipeline.selected_steps():
        in_store = pipeline.store.contains(step.key)
        tokens = "" if in_store else _tokens(step, pipeline)
        seconds = "" if in_store else _sandbox_seconds(step)
        state = "in the store" if in_store else "would run"
        table.add_row(step.name, state, step.key.digest[:12], tokens, seconds)
    console = Console(width=100)
    console.print(table)
    console.print(memory_line(pipeline), highlight=False)


def _tokens(step: Step, pipeline: Pipeline) -> str:
    """Prompt tokens (read once per problem) and the longest possible completions."""
    if not step.name.endswith(".candidates"):
        return ""
    split = "train" if step.stage == "train_gen" else "test"
    problems = pipeline.steps.split(split)
    characters = sum(len(p.text) + sum(map(len, p.tests)) for p in problems)
    completions = step.num_completions * pipeline.config.generation.max_tokens
    return f"{round(characters / CHARACTERS_PER_TOKEN) + completions:,}"


def _sandbox_seconds(step: Step) -> str:
    if not step.name.endswith(".verdicts"):
        return ""
    return f"{step.num_completions * SANDBOX_S_PER_CANDIDATE:.0f}"


def memory_line(pipeline: Pipeline) -> str:
    """An estimate of the memory for weights, cache and training, where the size is known."""
    path = Path(pipeline.steps.base.path)
    if not path.is_dir():
        return f"memory: unknown until {pipeline.steps.base.path} is downloaded"
    weights = num_parameters(path) * _BYTES[pipeline.steps.base.dtype]
    cache = _cache_bytes(path, pipeline.config)
    # Activations of a LoRA step are roughly what the weights take, at these batch sizes.
    return (
        f"memory: about {(weights + cache) / 2**30:.1f} GiB to generate, "
        f"{2.5 * weights / 2**30:.1f} GiB to train ({num_parameters(path) / 1e6:.0f} M parameters)"
    )


def num_parameters(folder: Path) -> int:
    """Counted from the headers of the safetensors files."""
    total = 0
    for file in folder.glob("*.safetensors"):
        with file.open("rb") as handle:
            (length,) = struct.unpack("<Q", handle.read(8))
            header = json.loads(handle.read(length))
        for name, tensor in header.items():
            if name != "__metadata__":
                size = 1
                for extent in tensor["shape"]:
                    size *= extent
                total += size
    return total


def _cache_bytes(folder: Path, config: Config) -> int:
    """Keys and values of a full batch at its longest, with prompts of 300 tokens."""
    model = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    heads = model.get("num_key_value_heads") or model.get("num_attention_heads", 1)
    head_dim = model.get("head_dim") or model["hidden_size"] // model["num_attention_heads"]
    positions = 300 + config.generation.max_tokens
    values = 2 * model["num_hidden_layers"] * heads * head_dim * positions
    return int(values * config.generation.batch_size * _BYTES[config.model.dtype.value])
