"""The store itself: open what is finished, compute what is not."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from coderl_exp.errors import StoreError
from coderl_exp.store.files import checksum_of_file, flush_to_disk, write_atomically
from coderl_exp.store.manifest import (
    MANIFEST,
    Artefact,
    FileEntry,
    Manifest,
    StageKey,
    Summary,
    describe,
    differences,
    read_manifest,
    write_manifest,
)
from coderl_exp.store.uses import note_use
from coderl_exp.store.versions import git_commit, installed_versions

PARTIAL = ".partial"
_ATTEMPTS = ".attempts"
_UNWRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)


class Store:
    """See the package's docstring."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, key: StageKey) -> Path:
        """Where the finished artefact is, or will be."""
        return self.root / key.stage / key.digest

    def contains(self, key: StageKey) -> bool:
        return (self.path(key) / MANIFEST).is_file()

    def open(self, key: StageKey) -> Artefact:
        """A finished artefact, every byte of it checked.

        Raises:
            StoreError: it is absent, was damaged, or was written under another configuration.
        """
        path = self.path(key)
        manifest = read_manifest(path)
        if differing := differences(manifest.key, key):
            raise StoreError(
                f"{path} was written under another configuration ({describe(differing)}): "
                "delete it."
            )
        for damage in find_damage(path, manifest):
            raise StoreError(f"{damage}: delete {path} to have it made again.")
        return Artefact(path=path, manifest=manifest, was_reused=True)

    def get_or_compute(
        self,
        key: StageKey,
        compute: Callable[[Path], Summary],
        on_wait: Callable[[str], None] = lambda _: None,
    ) -> Artefact:
        """The artefact of `key`; `compute` fills the folder it is given, continuing what is there.

        Waits while another process computes the same key; `on_wait` is told so once.
        """
        if self.contains(key):
            return self.open(key)
        lock = self._acquire(key, on_wait)
        try:
            return self.open(key) if self.contains(key) else self._compute(key, compute)
        finally:
            lock.release()

    def note_use(self, run_dir: Path, keys: Iterable[StageKey]) -> None:
        """Keep these artefacts from `gc` for as long as the run's folder exists.

        A store that cannot be written is left as it is: nothing can be removed from it either.
        """
        try:
            with self.frozen():
                note_use(self.root, run_dir, keys)
        except OSError as error:
            if error.errno not in _UNWRITABLE:
                raise

    def frozen(self) -> FileLock:
        """While it is held, nothing is removed and no run says what it refers to."""
        self._make_folder(self.root)
        return FileLock(self.root / "gc.lock")

    def nearest(self, key: StageKey) -> str | None:
        """In what the finished artefact of this stage that is most alike differs; None if none."""
        found: list[dict[str, tuple[Any, Any]]] = []
        for folder in finished_artefacts(self.root, key.stage):
            with suppress(StoreError):
                found.append(differences(read_manifest(folder).key, key))
        return describe(min(found, key=len)) if found else None

    def _acquire(self, key: StageKey, on_wait: Callable[[str], None]) -> FileLock:
        self._make_folder(self.path(key).parent)
        lock = artefact_lock(self.path(key))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            on_wait(f"{key.stage}: another process computes this; waiting for it")
            lock.acquire()
        except OSError as error:
            raise self._explained(error) from error
        return lock

    def _make_folder(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._explained(error) from error

    def _explained(self, error: OSError) -> Exception:
        """With the remedy, where the store is one that nobody may write to."""
        if error.errno not in _UNWRITABLE:
            return error
        return StoreError(
            f"cannot write to the store {self.root}: {error.strerror}. Give a writable folder "
            "with store_dir=…"
        )

    def _compute(self, key: StageKey, compute: Callable[[Path], Summary]) -> Artefact:
        partial = self.path(key).with_suffix(PARTIAL)
        partial.mkdir(exist_ok=True)
        (partial / MANIFEST).unlink(missing_ok=True)  # of an attempt that was killed right after it
        num_attempts = _count_attempt(partial)
        wall, cpu = time.monotonic(), _cpu_seconds()
        summary = compute(partial)
        manifest = Manifest(
            key=key,
            summary=summary,
            files=_list_files(partial),
            versions=installed_versions(),
            git_commit=git_commit(),
            created_at=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            wall_s=round(time.monotonic() - wall, 3),
            cpu_s=round(_cpu_seconds() - cpu, 3),
            num_attempts=num_attempts,
        )
        write_manifest(partial, manifest)
        flush_to_disk(partial / MANIFEST)
        if self.path(key).exists():
            shutil.rmtree(self.path(key))
        partial.replace(self.path(key))
        (self.path(key) / _ATTEMPTS).unlink()
        flush_to_disk(self.path(key).parent)
        return Artefact(path=self.path(key), manifest=manifest, was_reused=False)


def artefact_lock(path: Path) -> FileLock:
    """Held by whoever computes the artefact at `path`; the kernel frees it when its holder dies."""
    return FileLock(path.with_suffix(".lock"))


def finished_artefacts(root: Path, stage: str = "*") -> Iterator[Path]:
    """Folders of finished artefacts, in a fixed order."""
    manifests = sorted(root.glob(f"{stage}/*/{MANIFEST}"))
    yield from (file.parent for file in manifests if not file.parent.suffix)


def find_damage(path: Path, manifest: Manifest) -> Iterator[str]:
    """What is not as the manifest says, file by file."""
    for name, entry in manifest.files.items():
        file = path / name
        if not file.is_file():
            yield f"{file} is missing"
        elif (size := file.stat().st_size) != entry.size:
            yield f"{file} has {size} bytes, not {entry.size}"
        elif checksum_of_file(file) != entry.checksum:
            yield f"{file} is damaged: its checksum is another"


def _list_files(partial: Path) -> dict[str, FileEntry]:
    """All files, safe on the disk."""
    entries: dict[str, FileEntry] = {}
    for file in sorted(partial.rglob("*")):
        if file.is_file() and file.name != _ATTEMPTS:
            flush_to_disk(file)
            entry = FileEntry(size=file.stat().st_size, checksum=checksum_of_file(file))
            entries[str(file.relative_to(partial))] = entry
    return entries


def _count_attempt(partial: Path) -> int:
    """How often this artefact was begun, this time included."""
    file = partial / _ATTEMPTS
    before = file.read_text(errors="replace") if file.exists() else ""
    number = int(before) + 1 if before.isdecimal() else 1
    write_atomically(file, str(number))
    return number


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
