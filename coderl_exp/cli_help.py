"""`--help`, made from the config files themselves, and Hydra's errors in one line."""

from __future__ import annotations

import difflib
import re
import textwrap
from pathlib import Path

from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from coderl_exp.config import PROJECT_ROOT

CONF = PROJECT_ROOT / "conf"
LAUNCHERS = PROJECT_ROOT / "launchers"
GROUPS = (
    "dataset", "model", "method", "generation", "sandbox", "accelerate", "tracking", "launcher",
    "experiment",
)  # fmt: skip

_USAGE = """\
Reinforcement learning of code LLMs: baseline, candidates, verdicts, preference pairs, training,
merge, evaluation and a report that says whether the change is real.

usage: python -m coderl_exp [GROUP=CHOICE …] [OPTION=VALUE …]

  python -m coderl_exp                              the default experiment, on a CPU, in minutes
  python -m coderl_exp plan=true                    what would run, and what it costs
  python -m coderl_exp stages=[baseline]            some stages only
  python -m coderl_exp experiment=mbpp_dpo          a recipe: several choices at once
  python -m coderl_exp method.learning_rate=1e-4    any option, by its path
  python -m coderl_exp -m seed=1,2,3                a sweep
  python -m coderl_exp resume=multirun/DAY/TIME     what of a sweep is not complete
  python -m coderl_exp --cfg job                    print the composed configuration
"""

_TAIL = """\
stages: baseline → train_gen → rl_build → train → merge → [validate] → test_after → analyze
All options with their meaning: docs/options.md"""


def help_text() -> str:
    """Usage, then every group with one line per choice: the first comment of its file."""
    default = _default_choices()
    blocks = []
    for group in GROUPS:
        lines = [
            textwrap.fill(
                f"{meaning}{' (default)' if default.get(group) == name else ''}",
                width=100,
                initial_indent=f"  {name:<20}",
                subsequent_indent=" " * 22,
            )
            for name, meaning in choices(group).items()
        ]
        blocks.append("\n".join([f"{group}=", *lines]))
    return "\n\n".join([_USAGE.rstrip(), *blocks, _TAIL])


def choices(group: str) -> dict[str, str]:
    """Choice → its meaning, the first comment of its file that is no directive."""
    folder = (LAUNCHERS if group == "launcher" else CONF) / group
    return {file.stem: _first_comment(file) for file in sorted(folder.glob("*.yaml"))}


def _first_comment(file: Path) -> str:
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("# ") and not line.startswith("# @"):
            return line.removeprefix("# ")
    return ""


def _default_choices() -> dict[str, str]:
    loaded = OmegaConf.to_container(OmegaConf.load(CONF / "config.yaml"), resolve=False)
    assert isinstance(loaded, dict)
    groups = [entry for entry in loaded["defaults"] if isinstance(entry, dict)]
    return {str(key): str(value) for entry in groups for key, value in entry.items()}


def explain_hydra_error(error: BaseException) -> str | None:
    """One line for an error of composition, naming the nearest right spelling; None for others."""
    if not isinstance(error, HydraException | OmegaConfBaseException):
        return None
    text = "\n".join(str(part) for part in _chain(error))
    if choice := re.search(r"Could not find '([\w/]+)/([\w.-]+)'", text):
        return _unknown_choice(choice[1], choice[2])
    key = re.search(r"full_key: ([\w.\[\]-]+)", text)
    override = re.search(r"Could not override '([^']+)'", text)
    if re.search(r"Key '\S+' (is )?not in|No match in the defaults", text):
        found = key or override
        return _unknown_option(found[1]) if found else _first_line(text)
    return f"{key[1]}: {_reason(text)}" if key else _first_line(text)


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None:
        found.append(error)
        error = error.__cause__
    return found


def _reason(text: str) -> str:
    """What omegaconf says about a value, without Hydra's introduction."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    reasons = [line for line in lines if line.startswith(("Value", "Invalid", "Cannot"))]
    reason = (reasons or lines)[0]
    return "a list is needed: write […]" if "is not a ListConfig" in reason else reason


def _first_line(text: str) -> str:
    line = text.strip().splitlines()[0]
    is_syntax = line.startswith(("Error parsing override", "no viable", "mismatched", "token"))
    return f"{line}: write option=value, quoted for the shell" if is_syntax else line


def _unknown_choice(group: str, name: str) -> str:
    if (group, name) == ("hydra/sweeper", "optuna"):
        return (
            "a search needs Optuna's sweeper, which is not installed: "
            "pip install -c constraints.txt -e '.[search]'."
        )
    known = list(choices(group))
    if not known:
        return f"there is no group {group!r}: the groups are {', '.join(GROUPS)}."
    return f"{group}={name} is unknown{_nearest(name, known)}; choose from {', '.join(known)}."


def _unknown_option(path: str) -> str:
    known, group = option_paths(), path.split(".")[0]
    if path in known and (owner := _default_choices().get(group)):
        return (
            f"{path} is an option of {group}={owner}, not of what was chosen; "
            "--cfg job shows all options."
        )
    return f"there is no option {path}{_nearest(path, known)}; --cfg job shows all options."


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""


def option_paths() -> list[str]:
    """Every option of the default experiment as a dotted path, and the groups."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = compose("config")
    return [*GROUPS, *_leaves(OmegaConf.to_container(composed))]


def _leaves(tree: object, prefix: str = "") -> list[str]:
    if not isinstance(tree, dict):
        return []
    found: list[str] = []
    for key, value in tree.items():
        found += [f"{prefix}{key}", *_leaves(value, f"{prefix}{key}.")]
    return found
