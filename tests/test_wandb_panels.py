"""A workspace in W&B: its panels name what runs log, and without a server there is one line."""

from __future__ import annotations

from typing import Any

import pytest

from coderl_exp import wandb_panels
from coderl_exp.errors import ConfigError
from coderl_exp.wandb_panels import main, make_workspace
from coderl_exp.wandb_runs import parse_place

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
needs_package = pytest.mark.skipif(
    wandb_panels.find_spec("wandb_workspaces") is None, reason="needs wandb-workspaces"
)


@needs_package
def test_the_panels_are_of_the_group_and_of_what_was_swept() -> None:
    workspace = make_workspace(parse_place("me/project/2026_12"), ["method.beta"])
    assert "2026_12" in str(workspace.runset_settings.filters)
    shown = str(workspace)
    for name in (*wandb_panels.RESULTS, *wandb_panels.CURVES, "method.beta"):
        assert name in shown


@pytest.mark.parametrize("text", ["project", "a/b/c/d", "me//group", ""])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="give ENTITY/PROJECT"):
        parse_place(text)


@needs_package
def test_without_a_server_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise ConnectionError("name resolution failed")

    monkeypatch.setattr("wandb_workspaces.workspaces.Workspace.save", unreachable)
    assert main(["me/project"]) == 1
    err = capsys.readouterr().err
    assert "name resolution failed" in err
    assert "WANDB_API_KEY" in err
    assert len(err.splitlines()) == 1


def test_a_package_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(wandb_panels, "find_spec", lambda _: None)
    assert main(["me/project"]) == 2
    assert "pip install" in capsys.readouterr().err
