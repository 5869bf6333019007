"""What a store holds: finished artefacts, those in the making, their sizes and who uses them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from filelock import Timeout

from coderl_exp.errors import ConfigError, StoreError
from coderl_exp.store.artefacts import PARTIAL, Store, artefact_lock, find_damage
from coderl_exp.store.manifest import MANIFEST, Manifest, read_manifest
from coderl_exp.store.uses import forget_void_uses, read_uses

_REMOVED = ".removed"


class State(Enum):
    """How far an artefact is."""

    finished = "finished"
    partial = "partial"
    damaged = "damaged"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One artefact of the store."""

    path: Path
    state: State
    size: int
    """Bytes on disk."""
    manifest: Manifest | None
    """None where there is none to be read."""
    runs: Sequence[Path]
    """The folders of the runs that refer to it."""

    @property
    def name(self) -> str:
        return f"{self.path.parent.name}/{self.path.name.removesuffix(PARTIAL)}"


@dataclass(frozen=True, kw_only=True)
class Damage:
    """Why an artefact would be refused."""

    entry: Entry
    reason: str


def list_entries(root: Path) -> list[Entry]:
    """All artefacts, by stage and digest.

    Raises:
        ConfigError: there is no store.
        StoreError: a run's note of what it refers to is damaged.
    """
    if not root.is_dir():
        raise ConfigError(f"there is no store {root}: give its folder with --store.")
    uses = read_uses(root)
    folders = [f for f in sorted(root.glob("*/*")) if f.is_dir() and _is_artefact(f)]
    entries: list[Entry] = []
    for folder in folders:
        state, manifest = _state(folder)
        name = f"{folder.parent.name}/{folder.name.removesuffix(PARTIAL)}"
        runs = [use.run_dir for use in uses if name in use.artefacts]
        entries.append(
            Entry(path=folder, state=state, size=_size(folder), manifest=manifest, runs=runs)
        )
    return entries


def find_entry(root: Path, name: str) -> Entry:
    """The artefact whose digest, or `stage/digest`, begins like `name`.

    Raises:
        ConfigError: none does, or several do.
    """
    found = [e for e in list_entries(root) if e.path.name.startswith(name) or e.name == name]
    if len(found) != 1:
        several = f"{len(found)} artefacts begin with {name}" if found else f"no artefact {name}"
        raise ConfigError(f"{several} in {root}: `python -m coderl_exp.store ls` lists them.")
    return found[0]


def made_from(entry: Entry, entries: Sequence[Entry]) -> dict[str, Entry | None]:
    """Name of an input → its artefact; None for data, models, and what is no longer there."""
    by_digest = {other.path.name: other for other in entries}
    inputs = entry.manifest.key.inputs if entry.manifest else {}
    return {name: by_digest.get(digest) for name, digest in inputs.items()}


def verify(entry: Entry) -> Damage | None:
    """Read every byte of a finished artefact."""
    if entry.state is State.partial:
        return None
    try:
        manifest = read_manifest(entry.path)
    except StoreError as error:
        return Damage(entry=entry, reason=str(error))
    if entry.path.name != manifest.key.digest:
        return Damage(entry=entry, reason=f"{entry.path} holds {manifest.key.digest}")
    reason = next(find_damage(entry.path, manifest), None)
    return Damage(entry=entry, reason=reason) if reason else None


def remove_unused(store: Store, delete: bool) -> list[Entry]:
    """Artefacts that no run refers to, removed if `delete`; not what is being computed now."""
    with store.frozen():
        unused = [entry for entry in list_entries(store.root) if not entry.runs]
        if not delete:
            return unused
        removed = [entry for entry in unused if remove(entry)]
        forget_void_uses(store.root)
        return removed


def remove(entry: Entry) -> bool:
    """Remove it, or leave it where it is being computed.

    It is renamed first: what a kill leaves of it no longer looks like an artefact.
    """
    lock = artefact_lock(entry.path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    try:
        shutil.rmtree(entry.path.rename(entry.path.with_suffix(_REMOVED)))
    finally:
        lock.release()
    return True


def remove_remains(root: Path) -> None:
    """Delete what a killed removal left."""
    for folder in root.glob(f"*/*{_REMOVED}"):
        shutil.rmtree(folder)


def _is_artefact(folder: Path) -> bool:
    is_finished = not folder.suffix and (folder / MANIFEST).is_file()
    return is_finished or folder.suffix == PARTIAL


def _state(folder: Path) -> tuple[State, Manifest | None]:
    if folder.suffix == PARTIAL:
        return State.partial, None
    try:
        return State.finished, read_manifest(folder)
    except StoreError:
        return State.damaged, None


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
