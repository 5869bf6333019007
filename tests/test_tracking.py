"""Tracking: offline without a key, nothing with `tracking=none`."""

from __future__ import annotations

from pathlib import Path

import pytest

from coderl_exp.config import TrackingConfig
from coderl_exp.tracking import NullTracker, RunIdentity, make_tracker, wandb_mode


def test_a_run_is_offline_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    assert wandb_mode() == "offline"
    monkeypatch.setenv("WANDB_API_KEY", "key")
    assert wandb_mode() == "online"


def test_the_mode_that_the_user_set_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "key")
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert wandb_mode() == "offline"


def test_no_tracking_writes_nothing(tmp_path: Path) -> None:
    config = TrackingConfig(name="none", project="p", entity=None, group=None)
    identity = RunIdentity(run_id="id", name="name", group=None, job_type="dpo")
    tracker = make_tracker(config, tmp_path, identity, {})
    assert isinstance(tracker, NullTracker)
    tracker.log({"a": 1.0}, step=1)
    tracker.summarize({"a": 1.0})
    tracker.finish()
    assert list(tmp_path.iterdir()) == []
