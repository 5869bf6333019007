"""The policy: found and checked without torch, loaded, merged with its adapter, and verified."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coderl_exp.config import ModelConfig, project_path
from coderl_exp.errors import ModelError
from coderl_exp.records import ModelRef
from coderl_exp.store import digest_of, digest_of_file, write_atomically

_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_TOKENIZER = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")


@dataclass(frozen=True, kw_only=True)
class MergeCheck:
    """How far the merged model is from base + adapter, on the gate's prompts."""

    max_logit_difference: float
    tolerance: float
    greedy_tokens_agree: bool
    adapter_changes_logits_by: float
    """Largest difference between base and base + adapter: 0 would mean an untrained adapter."""


def resolve_model(config: ModelConfig, digest_cache: Path) -> ModelRef:
    """Find the model and name it by its content, without loading it.

    Raises:
        ModelError: a folder without weights, config, tokenizer or chat template.
    """
    folder = project_path(config.name_or_path)
    if not folder.is_dir():
        return _resolve_hub(config, folder)
    _check_folder(folder)
    return ModelRef(
        path=str(folder),
        revision=None,
        dtype=config.dtype.value,
        identity=digest_of_folder(folder, digest_cache),
    )


def _resolve_hub(config: ModelConfig, folder: Path) -> ModelRef:
    given = config.name_or_path
    if given.startswith((".", "/", "~", "assets/")) or given.count("/") != 1:
        is_embedded = given == "assets/models/smollm2_135m"
        remedy = "run `make model` to fetch it" if is_embedded else "give a folder or a hub id"
        raise ModelError(
            f"model.name_or_path {folder} does not exist: {remedy}, or set model.name_or_path=…."
        )
    return ModelRef(
        path=given,
        revision=config.revision,
        dtype=config.dtype.value,
        identity=f"{given}@{config.revision or 'main'}",
    )


def _check_folder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} has no config.json: it is not a Transformers model folder.")
    if not any(any(folder.glob(pattern)) for pattern in _WEIGHTS):
        raise ModelError(f"{folder} has no weights (*.safetensors): copy or download them again.")
    if not any((folder / name).is_file() for name in _TOKENIZER):
        raise ModelError(f"{folder} has no tokenizer (tokenizer.json): copy it beside the weights.")
    if not _has_chat_template(folder):
        raise ModelError(
            f"{folder} has no chat template: use an instruct model, or put the template of its "
            "family into chat_template.jinja."
        )


def _has_chat_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file():
        return True
    tokenizer_config = folder / "tokenizer_config.json"
    return tokenizer_config.is_file() and bool(
        json.loads(tokenizer_config.read_text(encoding="utf-8")).get("chat_template")
    )


def digest_of_folder(folder: Path, cache_file: Path) -> str:
    """SHA-256 over the files of a model; remembered while size and time of the files stay."""
    files = sorted(file for file in folder.iterdir() if file.is_file())
    state = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    remembered = _read_digests(cache_file)
    known = remembered.get(str(folder))
    if known and known["state"] == json.loads(json.dumps(state)):
        return str(known["digest"])
    digest = digest_of([(file.name, digest_of_file(file)) for file in files])[:32]
    remembered[str(folder)] = {"state": state, "digest": digest}
    cache_file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(cache_file, json.dumps(remembered))
    return digest


def _read_digests(cache_file: Path) -> dict[str, Any]:
    """What is remembered; a damaged file is only a slower start."""
    try:
        return dict(json.loads(cache_file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def load_tokenizer(ref: ModelRef) -> Any:
    """The tokenizer, with a padding token.

    Raises:
        ModelError: it cannot be loaded, or has no chat template.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(ref.path, revision=ref.revision)
    except (OSError, ValueError) as error:
        raise ModelError(_cannot_load(ref, "tokenizer", error)) from error
    if tokenizer.chat_template is None:
        raise ModelError(f"{ref.path} has no chat template: use an instruct model.")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(ref: ModelRef, *, place: bool = True, load_in_4bit: bool = False) -> Any:
    """The model in `ref.dtype`; `place`: on the GPU where there is one.

    `load_in_4bit`: its linear layers as NF4 with double quantisation
    (https://arxiv.org/abs/2305.14314), computing in `ref.dtype`.

    Raises:
        ModelError: it cannot be loaded.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    dtype = getattr(torch, ref.dtype)
    device = f"cuda:{torch.cuda.current_device()}" if torch.cuda.is_available() else "cpu"
    quantised: dict[str, Any] = {}
    if load_in_4bit:
        quantised = {"quantization_config": _nf4(dtype), "device_map": {"": device}}
    try:
        model = AutoModelForCausalLM.from_pretrained(
            ref.path, revision=ref.revision, dtype=dtype, **quantised
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(_cannot_load(ref, "model", error)) from error
    return model.to(device) if place and not load_in_4bit else model


def _nf4(dtype: Any) -> Any:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def _cannot_load(ref: ModelRef, part: str, error: Exception) -> str:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return (
        f"the {part} of {ref.path} cannot be loaded ({reason}): give a complete model folder, or "
        "a hub id that can be reached, with model.name_or_path=…."
    )


def merge_adapter(
    base: ModelRef, adapter: Path, target: Path, prompts: Sequence[str], tolerance: float = 1e-4
) -> MergeCheck:
    """Merge in float32, cast, save to `target`, and check that nothing else changed.

    The gate compares base + adapter with the merged model as saved, both in float32 except for the
    cast itself: logits within `tolerance` (of the largest logit; bfloat16 gets its own rounding)
    and equal greedy tokens.

    Raises:
        ModelError: the two are not equivalent; nothing may be evaluated then.
    """
    import torch
    from peft import PeftModel

    tokenizer = load_tokenizer(base)
    texts = [tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
    ) for prompt in prompts]  # fmt: skip
    exact = ModelRef(path=base.path, revision=base.revision, dtype="float32", identity="")
    policy = PeftModel.from_pretrained(load_model(exact), str(adapter)).eval()
    with_adapter = _last_logits(policy, tokenizer, texts)
    with policy.disable_adapter():
        without = _last_logits(policy, tokenizer, texts)
    merged = policy.merge_and_unload().to(getattr(torch, base.dtype))
    target.mkdir(parents=True, exist_ok=True)
    merged.save_pretrained(target)
    tokenizer.save_pretrained(target)
    saved = ModelRef(path=str(target), revision=None, dtype=base.dtype, identity="")
    after = _last_logits(load_model(saved).float().eval(), tokenizer, texts)
    scale = float(with_adapter.abs().max())
    limit = tolerance * scale if base.dtype == "float32" else 0.05 * scale
    check = MergeCheck(
        max_logit_difference=float((with_adapter - after).abs().max()),
        tolerance=limit,
        greedy_tokens_agree=_greedy_agrees(with_adapter, after, limit),
        adapter_changes_logits_by=float((with_adapter - without).abs().max()),
    )
    if check.max_logit_difference > limit or not check.greedy_tokens_agree:
        raise ModelError(
            f"the merged model differs from base + adapter by {check.max_logit_difference:.2g} in "
            f"its logits (limit {limit:.2g}): the merge of {adapter} is wrong, evaluation stops."
        )
    return check


def _greedy_agrees(left: Any, right: Any, limit: float) -> bool:
    """Equal argmax wherever the two best logits are further apart than rounding can move them."""
    best = left.topk(2, dim=-1).values
    decided = (best[..., 0] - best[..., 1]) > 2 * limit
    return bool((left.argmax(-1) == right.argmax(-1))[decided].all())


def _last_logits(model: Any, tokenizer: Any, texts: Sequence[str]) -> Any:
    """Logits of every prompt's last 8 positions in float32, `[texts * 8, vocabulary]`, on CPU."""
    import torch

    rows = []
    with torch.inference_mode():
        for text in texts:
            ids = tokenizer(text, add_special_tokens=False, return_tensors="pt").to(model.device)
            rows.append(model(**ids, logits_to_keep=8).logits[0].float().cpu())
    return torch.cat(rows)


def silence_libraries() -> None:
    """No progress bars of libraries below ours, no tokenizer fork warnings."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
