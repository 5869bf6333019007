"""Every benchmark that is run as a script explains itself."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from coderl_exp.config import PROJECT_ROOT


def scripts() -> list[str]:
    """Those that find the project by themselves."""
    files = sorted(Path(PROJECT_ROOT, "benchmarks").glob("*.py"))
    return [f.stem for f in files if "sys.path.insert" in f.read_text(encoding="utf-8")]


@pytest.mark.parametrize("name", scripts())
def test_a_benchmark_has_a_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        import_module(f"benchmarks.{name}").main(["--help"])
    assert ended.value.code == 0
    assert "usage:" in capsys.readouterr().out
