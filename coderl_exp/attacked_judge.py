"""A judge that has been attacked before it is trusted."""

from __future__ import annotations

from pathlib import Path

from coderl_exp.config import Isolation, SandboxConfig
from coderl_exp.progress import console
from coderl_exp.redteam.first import attack_first
from coderl_exp.sandbox import Judge, make_judge


def make_attacked_judge(config: SandboxConfig, folder: Path) -> Judge:
    """The judge of the configuration; what it lacks is said.

    A strict judge on this machine is attacked once per machine and version, which `folder` notes.

    Raises:
        SandboxError: an attack succeeded, or this machine offers too little isolation.
    """
    if config.isolation is Isolation.strict and config.name == "local":
        with console.status("attacking the judge before it is trusted"):
            summary = attack_first(config, folder)
        if summary:
            console.print(f"judge: {summary}")
    judge = make_judge(config)
    if missing := judge.describe().missing:
        listed = ", ".join(f"{layer} ({why})" for layer, why in missing.items())
        console.print(f"warning: candidates run without isolation of {listed}")
    return judge
