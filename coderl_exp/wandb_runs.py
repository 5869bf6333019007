"""Finished runs in Weights & Biases: their summaries, read back through its public API."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coderl_exp.errors import CoderlError, ConfigError, DataError

REPORTS = Path("artifacts") / "reports"
SUMMARY_SUFFIX = "_summary.json"
_TIMEOUT_S = 30


@dataclass(frozen=True, kw_only=True)
class Place:
    """Runs in W&B."""

    entity: str
    project: str
    group: str | None


def parse_place(text: str) -> Place:
    """Raises: ConfigError: it is not ENTITY/PROJECT or ENTITY/PROJECT/GROUP."""
    parts = text.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise ConfigError(
            f"{text} is no place in W&B: give ENTITY/PROJECT or ENTITY/PROJECT/GROUP."
        )
    return Place(entity=parts[0], project=parts[1], group=parts[2] if len(parts) == 3 else None)


def download_summaries(place: Place, folder: Path, api: Any = None) -> list[Path]:
    """The summary of every finished run there, in a folder `<folder>/<run id>` each, laid out as a
    run's own; `api` is W&B's, made here if not given.

    Raises:
        CoderlError: W&B could not be reached, or refused.
        DataError: none of its runs there has a summary.
    """
    try:
        found = _download(api or _connect(), place, folder)
    except Exception as error:
        raise CoderlError(
            f"W&B gave no runs ({reason_of(error)}): it needs a network, and WANDB_API_KEY in .env."
        ) from error
    if not found:
        raise DataError(
            f"no run of {place.entity}/{place.project}"
            f"{f' in the group {place.group}' if place.group else ''} has a *{SUMMARY_SUFFIX}: a "
            "run has one when it is finished, and offline runs are sent by `wandb sync`."
        )
    return found


def _connect() -> Any:
    import wandb

    return wandb.Api(timeout=_TIMEOUT_S)


def _download(api: Any, place: Place, folder: Path) -> list[Path]:
    chosen = {"group": place.group} if place.group else {}
    runs = api.runs(f"{place.entity}/{place.project}", filters=chosen)
    found = []
    for run in runs:
        for file in run.files():
            if file.name.endswith(SUMMARY_SUFFIX):
                target = folder / run.id
                file.download(root=str(target / REPORTS), replace=True)
                found.append(target)
    return found


def reason_of(error: Exception) -> str:
    """The last line of what W&B says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
