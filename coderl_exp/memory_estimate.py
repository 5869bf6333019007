"""How much memory generation and training will take, from a model's headers alone. No torch.

An estimate for the largest batch, per process; the longest texts that the options allow rarely
come together. The constants are fitted to DPO with LoRA on SmolLM2-135M (float32, CPU), whose peak
it meets within a fifth where rows share no beginning.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coderl_exp.config import Config, DPOMethodConfig, GRPOMethodConfig, MethodConfig
from coderl_exp.memory import total_memory_bytes

_BYTES = {"float32": 4, "bfloat16": 2}
_NF4_BYTES = 0.53
"""Per weight, with its doubly quantised scales."""
_ADAMW_BYTES = 16
"""Per trained weight: itself, its gradient and two moments in float32."""
_KEPT_HIDDEN, _KEPT_INTERMEDIATE = 10, 4
"""Activations of a layer per token, in hidden and in intermediate sizes."""
_LAYERS_AT_ONCE = 10
"""Whose activations there are with checkpointing, what a heap loses between them included."""
_NAMES = (
    ("num_hidden_layers", "n_layer", "num_layers", "n_layers"),
    ("hidden_size", "n_embd", "d_model"),
    ("num_attention_heads", "n_head", "n_heads"),
)
"""Of layers, hidden size and heads in the families' `config.json`."""
_PROMPT_TOKENS = 300
_SPARE_POSITIONS = 64
"""Of the cache beyond its longest completion."""
_RUNTIME_BYTES = 2**30
"""Python, torch and its libraries."""


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """What a model's memory follows from."""

    num_parameters: int
    num_layers: int
    hidden_size: int
    intermediate_size: int
    key_value_size: int
    """Values per layer and position in the keys, and again in the values."""


def model_shape(folder: Path) -> ModelShape | None:
    """Read from `config.json` and the headers of the safetensors files; None if they do not say."""
    whole = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config = whole.get("text_config", whole)
    num_layers, hidden_size, num_heads = (_first(config, names) for names in _NAMES)
    if not num_layers or not hidden_size or not num_heads:
        return None
    head_dim = config.get("head_dim") or hidden_size // num_heads
    return ModelShape(
        num_parameters=num_parameters(folder),
        num_layers=num_layers,
        hidden_size=hidden_size,
        intermediate_size=config.get("intermediate_size") or 4 * hidden_size,
        key_value_size=(config.get("num_key_value_heads") or num_heads) * head_dim,
    )


def _first(config: Mapping[str, Any], names: Sequence[str]) -> int | None:
    return next((config[name] for name in names if config.get(name)), None)


def num_parameters(folder: Path) -> int:
    """Counted from the headers of the safetensors files."""
    total = 0
    for file in folder.glob("*.safetensors"):
        with file.open("rb") as handle:
            (length,) = struct.unpack("<Q", handle.read(8))
            header = json.loads(handle.read(length))
        header.pop("__metadata__", None)
        total += sum(math.prod(tensor["shape"]) for tensor in header.values())
    return total


def generation_bytes(shape: ModelShape, config: Config) -> int:
    """Weights, and keys and values of a full batch at its longest; its rows share prompts."""
    rows = config.generation.batch_size
    num_candidates = min(config.generation.num_candidates, config.num_test_candidates)
    num_prompts = min(rows, 2 * math.ceil(rows / num_candidates))  # the last rows of some as well
    positions = rows * (config.generation.max_tokens + _SPARE_POSITIONS)
    positions += num_prompts * _PROMPT_TOKENS
    values = 2 * shape.num_layers * shape.key_value_size * positions
    each = _BYTES[config.model.dtype.value]
    return each * (shape.num_parameters + values) + _RUNTIME_BYTES


def training_bytes(
    shape: ModelShape, method: MethodConfig, dtype: str, *, gradient_checkpointing: bool
) -> int:
    """Weights, adapter with its optimizer, and activations of one step's largest batch."""
    each = _BYTES[dtype]
    weights = shape.num_parameters * (_NF4_BYTES if method.load_in_4bit else each)
    lora = _lora_parameters(shape, method) * _ADAMW_BYTES
    width = _KEPT_HIDDEN * shape.hidden_size + _KEPT_INTERMEDIATE * shape.intermediate_size
    kept = shape.num_layers * width
    if gradient_checkpointing:
        kept = min(kept, shape.num_layers * shape.hidden_size + _LAYERS_AT_ONCE * width)
    return int(weights + lora + _tokens(method) * each * kept) + _RUNTIME_BYTES


def checkpointing_is_needed(
    shape: ModelShape, method: MethodConfig, dtype: str, num_processes: int
) -> bool:
    """Whether so many processes on this machine's CPUs could take over half its memory without.

    Of all its memory, not of what is free now: a training that continues decides the same.
    """
    whole = training_bytes(shape, method, dtype, gradient_checkpointing=False)
    return num_processes * whole > total_memory_bytes() / 2


def _lora_parameters(shape: ModelShape, method: MethodConfig) -> int:
    """Of adapters on square projections, roughly."""
    num_modules = shape.num_layers * len(method.lora.target_modules)
    return num_modules * method.lora.r * 2 * shape.hidden_size


def _tokens(method: MethodConfig) -> int:
    """Tokens of one micro-batch at its longest."""
    rows = method.per_device_train_batch_size
    match method:
        case DPOMethodConfig():
            return 2 * rows * method.max_length
        case GRPOMethodConfig():
            return rows * (_PROMPT_TOKENS + method.max_completion_length)
    raise AssertionError(f"no estimate for {method.name}")
