"""Files that appear whole, digests and checksums."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import xxhash

from coderl_exp.records import Record, read_jsonl

_CHUNK_BYTES = 2**20


def resume_jsonl(path: Path, record_type: type[Record]) -> list[Record]:
    """The rows that an interrupted writer left; a torn last line is cut off the file."""
    if not path.exists():
        return []
    data = path.read_bytes()
    complete = data.rfind(b"\n") + 1
    if complete < len(data):
        os.truncate(path, complete)
    return list(read_jsonl(path, record_type))


def write_atomically(path: Path, text: str) -> None:
    """Readers see the old content or the new, never a part."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def write_json(path: Path, value: Any) -> None:
    """Indented JSON, atomically; escaped to ASCII, as text of a model may hold lone surrogates."""
    write_atomically(path, json.dumps(value, indent=2) + "\n")


def digest_of(value: Any) -> str:
    """SHA-256 over canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_file(path: Path) -> str:
    """SHA-256 over the content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum_of_file(path: Path) -> str:
    """XXH3 (128 bits) over the content: finds damage at the speed of the disk, not forgery."""
    checksum = xxhash.xxh3_128()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            checksum.update(chunk)
    return checksum.hexdigest()


def flush_to_disk(path: Path) -> None:
    """Until a power cut can no longer take the content of this file or folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
