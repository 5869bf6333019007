"""`resume=<folder of a sweep>`: the command that started it, for the same folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from coderl_exp.errors import ConfigError
from coderl_exp.sweep.jobs import read_sweep

_PREFIX = "resume="
_MAY_CHANGE = ("launcher=", "launcher.", "hydra.", "tracking")


def sweep_to_resume(arguments: Sequence[str]) -> Path | None:
    """The folder that the command line names."""
    named = [argument.removeprefix(_PREFIX) for argument in arguments if _is_resume(argument)]
    return Path(named[-1]).expanduser().resolve() if named else None


def resumed_arguments(folder: Path, arguments: Sequence[str]) -> list[str]:
    """The arguments that the sweep was started with, then those of now; in the same folder.

    Raises:
        ConfigError: there is no sweep, or an option would make its jobs others.
    """
    others = [argument for argument in arguments if not _is_resume(argument)]
    for argument in others:
        if not argument.startswith(_MAY_CHANGE) and argument not in ("-m", "--multirun"):
            raise ConfigError(
                f"{argument} with resume=: a sweep is resumed with the options that it was started "
                "with; only the launcher may be another. Start a new sweep: what has been computed "
                "is reused."
            )
    kept = [argument for argument in others if not argument.startswith("-")]
    changed = {argument.partition("=")[0] for argument in kept}
    started = [a for a in read_sweep(folder).arguments if a.partition("=")[0] not in changed]
    return [*started, *kept, f"hydra.sweep.dir={quoted(folder)}", "--multirun"]


def quoted(path: Path) -> str:
    """A path as a value that Hydra reads back as it is."""
    text = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"


def _is_resume(argument: str) -> bool:
    return argument.startswith(_PREFIX)
