"""Tracking: offline without a key, nothing with `tracking=none`."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from coderl_exp.config import TrackingConfig
from coderl_exp.tracking import NullTracker, RunIdentity, make_tracker, wandb_mode
from tests.wandb_file import read_records


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


def test_an_attempt_continues_the_curves_of_the_one_before(tmp_path: Path) -> None:
    """A requeued job reads its training's curve from the start, and logs what is new of it."""
    config = TrackingConfig(name="wandb", project="p", entity=None, group=None)
    identity = RunIdentity(run_id="same", name="name", group="sweep", job_type="dpo")
    for last in (3, 5):
        tracker = make_tracker(config, tmp_path, identity, {})
        for step in range(1, last + 1):
            tracker.log({"train/loss": float(step)}, step=step)
        tracker.finish()
        # An offline run's folder is named by the second.
        time.sleep(1.1)
    files = sorted(tmp_path.glob("wandb/offline-run-*-same/*.wandb"))
    assert len(files) == 2
    logged = [
        json.loads(item.value_json)
        for file in files
        for record in read_records(file)
        for item in record.history.item
        if "train/global_step" in (item.key, *item.nested_key)
    ]
    assert logged == [1, 2, 3, 4, 5]
