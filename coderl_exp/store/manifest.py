"""Keys, manifests, and the differences between two keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from coderl_exp.errors import StoreError
from coderl_exp.store.files import digest_of, write_json

MANIFEST = "manifest.json"
_CHECKSUM = "checksum"


@dataclass(frozen=True, kw_only=True)
class StageKey:
    """Everything that can change a stage's result; JSON-able."""

    stage: str
    version: int
    config: Mapping[str, Any]
    inputs: Mapping[str, str]
    """Name → digest of an input artefact, of the data or of a model."""

    @property
    def digest(self) -> str:
        return digest_of(asdict(self))[:20]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a stage reports about its own work."""

    counts: Mapping[str, float]
    num_prompt_tokens: int = 0
    num_generated_tokens: int = 0
    num_trained_tokens: int = 0
    sandbox_cpu_s: float = 0.0
    isolation: Mapping[str, str] = field(default_factory=dict)
    """Confinement layer → `on`, or why it was off while candidates were judged."""


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """A file of an artefact."""

    size: int
    """Bytes."""
    checksum: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What is known about a finished artefact."""

    key: StageKey
    summary: Summary
    files: Mapping[str, FileEntry]
    """By relative path."""
    versions: Mapping[str, str]
    git_commit: str
    created_at: str
    wall_s: float
    cpu_s: float
    """CPU seconds of this process and of the children it waited for."""
    num_attempts: int
    """1, or more where an interrupted computation was continued; times are the last one's."""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.files.values())


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """A finished artefact on disk."""

    path: Path
    manifest: Manifest
    was_reused: bool


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """With a checksum of its own: its counts and seconds reach the report."""
    fields = asdict(manifest)
    write_json(folder / MANIFEST, {**fields, _CHECKSUM: digest_of(fields)})


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a finished artefact.

    Raises:
        StoreError: it is absent, was damaged, or was written by another version of the store.
    """
    path = folder / MANIFEST
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        checksum = fields.pop(_CHECKSUM, None)
        if checksum != digest_of(fields):
            reason = "its checksum is another" if checksum else "it has no checksum"
            raise ValueError(reason)
        key, summary = StageKey(**fields.pop("key")), Summary(**fields.pop("summary"))
        files = {name: FileEntry(**entry) for name, entry in fields.pop("files").items()}
        return Manifest(key=key, summary=summary, files=files, **fields)
    except FileNotFoundError:
        raise StoreError(f"{folder} is not in the store: run the stage that makes it.") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(
            f"{path} is damaged ({error}): delete {folder} to have it made again."
        ) from None


def differences(found: StageKey, wanted: StageKey) -> dict[str, tuple[Any, Any]]:
    """Dotted name → the value there and the value wanted, where two keys differ."""
    there, here = _flatten(_plain(found)), _flatten(_plain(wanted))
    return {
        name: (there.get(name), here.get(name))
        for name in sorted(there.keys() | here.keys())
        if there.get(name) != here.get(name)
    }


def describe(differing: Mapping[str, tuple[Any, Any]]) -> str:
    """The differences in words."""
    return "; ".join(
        f"{k}: {there!r} there, {here!r} here" for k, (there, here) in differing.items()
    )


def _plain(key: StageKey) -> dict[str, Any]:
    """As it is after a round trip through JSON."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(key), default=str))
    return plain


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
