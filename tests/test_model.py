"""Models: named by their content, and merged without changing what they say."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from coderl_exp.config import Dtype, ModelConfig
from coderl_exp.errors import ModelError
from coderl_exp.model import load_model, load_tokenizer, merge_adapter, resolve_model
from coderl_exp.records import ModelRef
from tests.conftest import tiny_model

PROMPTS = ["Add one.", "Double a number."]


def ref_of(folder: Path, dtype: str = "float32") -> ModelRef:
    return ModelRef(path=str(folder), revision=None, dtype=dtype, identity="test")


@pytest.fixture
def adapter(model_folder: Path, tmp_path: Path) -> Path:
    """An adapter that changes the model's answers."""
    torch.manual_seed(1)
    config = LoraConfig(
        r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"
    )
    model = get_peft_model(load_model(ref_of(model_folder)), config)
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.1)
    model.save_pretrained(str(tmp_path / "adapter"))
    return tmp_path / "adapter"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_merged_model_is_base_plus_adapter(
    dtype: str, model_folder: Path, adapter: Path, tmp_path: Path
) -> None:
    check = merge_adapter(ref_of(model_folder, dtype), adapter, tmp_path / "merged", PROMPTS)
    assert check.greedy_tokens_agree
    assert check.max_logit_difference <= check.tolerance
    assert check.adapter_changes_logits_by > 0.01
    merged = load_model(ref_of(tmp_path / "merged", dtype))
    assert str(merged.dtype) == f"torch.{dtype}"
    assert load_tokenizer(ref_of(tmp_path / "merged")).chat_template


def test_a_wrong_merge_is_stopped_by_the_gate(
    model_folder: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saves the base model where the merged one should be: the first pipeline's manual merge."""
    from peft.tuners.lora import LoraModel

    monkeypatch.setattr(LoraModel, "merge_and_unload", lambda _: tiny_model())
    with pytest.raises(ModelError, match="differs from base"):
        merge_adapter(ref_of(model_folder), adapter, tmp_path / "merged", PROMPTS)


def config_of(folder: Path) -> ModelConfig:
    return ModelConfig(name="tiny", name_or_path=str(folder), revision=None, dtype=Dtype.float32)


def test_a_model_is_named_by_its_weights(model_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(model_folder, copy)
    cache = tmp_path / "digests.json"
    original = resolve_model(config_of(model_folder), cache).identity
    assert resolve_model(config_of(copy), cache).identity == original
    weights = load_file(copy / "model.safetensors")
    weights["lm_head.weight"][0, 0] += 1
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    assert resolve_model(config_of(copy), cache).identity != original


def test_a_remembered_digest_is_forgotten_when_a_file_changes(
    model_folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(model_folder, copy)
    cache = tmp_path / "digests.json"
    first = resolve_model(config_of(copy), cache).identity
    assert resolve_model(config_of(copy), cache).identity == first
    (copy / "chat_template.jinja").write_text("another template")
    assert resolve_model(config_of(copy), cache).identity != first


def test_a_hub_id_is_named_by_its_revision(tmp_path: Path) -> None:
    config = ModelConfig(name="x", name_or_path="org/model", revision="abc", dtype=Dtype.bfloat16)
    assert resolve_model(config, tmp_path / "d.json").identity == "org/model@abc"


def test_a_hub_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    config = ModelConfig(name="x", name_or_path="org/model", revision=None, dtype=Dtype.float32)
    with pytest.raises(ModelError, match=r"org/model.*model\.name_or_path"):
        load_tokenizer(resolve_model(config, tmp_path / "d.json"))


@pytest.mark.slow
def test_four_bit_weights_answer_like_the_full_ones(model_folder: Path) -> None:
    pytest.importorskip("bitsandbytes")
    quantised = load_model(ref_of(model_folder), load_in_4bit=True)
    full = load_model(ref_of(model_folder))
    ids = torch.arange(3, 40)[None]
    assert quantised.is_loaded_in_4bit
    with torch.inference_mode():
        one, other = full(ids).logits, quantised(ids).logits
    assert not torch.equal(one, other)
    assert torch.nn.functional.cosine_similarity(one, other, dim=-1).mean() > 0.75
