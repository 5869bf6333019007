"""Which runs refer to which artefacts: written down when a run starts, void when its folder goes.

A run's folder is noted relative to the store, so that both can be moved together.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from coderl_exp.errors import StoreError
from coderl_exp.store.files import digest_of, write_json
from coderl_exp.store.manifest import StageKey

RUNS = "runs"


@dataclass(frozen=True, kw_only=True)
class Use:
    """What one run refers to."""

    run_dir: Path
    artefacts: frozenset[str]
    """As `stage/digest`."""


def note_use(root: Path, run_dir: Path, keys: Iterable[StageKey]) -> None:
    """Write down that a run refers to these artefacts, instead of what it said before."""
    folder = os.path.relpath(run_dir.resolve(), root.resolve())
    names = sorted(f"{key.stage}/{key.digest}" for key in keys)
    (root / RUNS).mkdir(parents=True, exist_ok=True)
    file = root / RUNS / f"{digest_of(folder)[:20]}.json"
    write_json(file, {"run_dir": folder, "artefacts": names})


def read_uses(root: Path) -> list[Use]:
    """Of all runs whose folder still exists.

    Raises:
        StoreError: a note is damaged, so that nobody knows what its run refers to.
    """
    uses: list[Use] = []
    for file in sorted((root / RUNS).glob("*.json")):
        try:
            note = json.loads(file.read_text(encoding="utf-8"))
            run_dir = Path(os.path.normpath(root.resolve() / note["run_dir"]))
            use = Use(run_dir=run_dir, artefacts=frozenset(note["artefacts"]))
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{file} is damaged ({error}): delete it, and start its run again if it is to keep "
                "its artefacts."
            ) from None
        if use.run_dir.is_dir():
            uses.append(use)
    return uses


def forget_void_uses(root: Path) -> None:
    """Delete the notes of runs whose folder is gone."""
    for file in (root / RUNS).glob("*.json"):
        folder = json.loads(file.read_text(encoding="utf-8"))["run_dir"]
        if not (root.resolve() / folder).is_dir():
            file.unlink()
