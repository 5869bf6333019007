"""Where a run is recorded: W&B or nowhere, behind one interface.

One process owns the W&B run. The training process writes its curves to a file that the owner
follows, so that a run has one id however many processes worked on it. Without an API key the run
is written offline.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from coderl_exp.config import TrackingConfig

_LAST_STEP = ".tracked_step"


@dataclass(frozen=True, kw_only=True)
class RunIdentity:
    """What a run is called."""

    run_id: str
    """Of all attempts: one that is started again continues its run."""
    name: str
    group: str | None
    """Runs that belong together, as those of a sweep."""
    job_type: str


class Tracker(Protocol):
    """What a run is reported to."""

    def log(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """A point of a curve, or values without a step."""

    def summarize(self, values: Mapping[str, float | str]) -> None:
        """Values that stand for the whole run."""

    def log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """A table of samples."""

    def log_artefact(
        self, name: str, kind: str, path: Path | None, metadata: Mapping[str, Any]
    ) -> None:
        """A reference to an artefact of the store; its content is not uploaded."""

    def log_html(self, name: str, path: Path) -> None:
        """A self-contained page."""

    def save_file(self, path: Path) -> None:
        """A file with the run, for others to download."""

    def finish(self, exit_code: int = 0) -> None:
        """End the run; afterwards nothing may be logged."""


class NullTracker:
    """Records nothing."""

    def log(self, metrics: Mapping[str, float], step: int | None = None) -> None: ...

    def summarize(self, values: Mapping[str, float | str]) -> None: ...

    def log_table(
        self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None: ...

    def log_artefact(
        self, name: str, kind: str, path: Path | None, metadata: Mapping[str, Any]
    ) -> None: ...

    def log_html(self, name: str, path: Path) -> None: ...

    def save_file(self, path: Path) -> None: ...

    def finish(self, exit_code: int = 0) -> None: ...


class WandbTracker:
    """One W&B run, online with a key and offline without."""

    def __init__(
        self,
        config: TrackingConfig,
        run_dir: Path,
        identity: RunIdentity,
        run_config: Mapping[str, Any],
    ) -> None:
        import wandb

        self._wandb = wandb
        self._run = wandb.init(
            project=config.project,
            entity=config.entity,
            group=identity.group,
            name=identity.name,
            id=identity.run_id,
            job_type=identity.job_type,
            config=dict(run_config),
            dir=run_dir,
            mode=wandb_mode(),
            resume="allow",
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
        )
        self._steps = run_dir / _LAST_STEP
        self._last_step = _read_number(self._steps)
        """Of earlier attempts: they have logged these points of the run's curves."""
        self._run.define_metric("train/global_step")
        self._run.define_metric("train/*", step_metric="train/global_step")

    def log(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if step is None:
            self._run.log(dict(metrics))
        elif step > self._last_step:
            self._run.log({**metrics, "train/global_step": step})
            self._steps.write_text(str(step), encoding="utf-8")

    def summarize(self, values: Mapping[str, float | str]) -> None:
        self._run.summary.update(dict(values))

    def log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        table = self._wandb.Table(columns=list(columns), data=[list(row) for row in rows])
        self._run.log({name: table})

    def log_artefact(
        self, name: str, kind: str, path: Path | None, metadata: Mapping[str, Any]
    ) -> None:
        artefact = self._wandb.Artifact(name, type=kind, metadata=dict(metadata))
        if path is not None:
            artefact.add_reference(path.resolve().as_uri(), checksum=False)
        self._run.log_artifact(artefact)

    def log_html(self, name: str, path: Path) -> None:
        self._run.log({name: self._wandb.Html(path.read_text(encoding="utf-8"), inject=False)})

    def save_file(self, path: Path) -> None:
        kept = Path(self._run.dir) / path.name
        shutil.copyfile(path, kept)
        self._run.save(kept, base_path=kept.parent, policy="now")

    def finish(self, exit_code: int = 0) -> None:
        self._run.finish(exit_code=exit_code)


def _read_number(path: Path) -> int:
    """-1 where there is none."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    return int(text) if text.isdecimal() else -1


def wandb_mode() -> Any:
    """The mode the user set, else online with a key and offline without one."""
    if mode := os.environ.get("WANDB_MODE"):
        return mode
    return "online" if os.environ.get("WANDB_API_KEY") else "offline"


def make_tracker(
    config: TrackingConfig,
    run_dir: Path,
    identity: RunIdentity,
    run_config: Mapping[str, Any],
) -> Tracker:
    """The tracker that `tracking=…` names."""
    if config.name == "none":
        return NullTracker()
    return WandbTracker(config, run_dir, identity, run_config)
