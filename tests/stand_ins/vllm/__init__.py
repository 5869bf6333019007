"""A stand-in for the module `vllm`: the parts that `generation/vllm_engine.py` uses.

Every request gets `STAND_IN_TEXT` as its completion, one token per step, two requests at a time.
`STAND_IN_DIES_AFTER=n`: the engine fails after n steps, leaving a process behind that holds its
pipes open; `STAND_IN_HANGS=1`: its first step never ends, whatever becomes of its core process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_PROMPT = 5000


class EngineArgs:
    def __init__(self, **options: Any) -> None:
        self.options = options
        print("engine", options, file=sys.stderr, flush=True)


class SamplingParams:
    def __init__(self, **options: Any) -> None:
        self.options = options


@dataclass
class Output:
    token_ids: list[int]
    text: str


@dataclass
class RequestOutput:
    request_id: str
    outputs: list[Output]
    finished: bool


@dataclass
class LLMEngine:
    letters: list[tuple[int, str]]
    """Token id and text of each token of the completion."""
    requests: dict[str, int] = field(default_factory=dict)
    num_steps: int = 0

    @classmethod
    def from_engine_args(cls, arguments: EngineArgs) -> LLMEngine:
        from transformers import AutoTokenizer

        if os.environ.get("STAND_IN_DIES_AFTER") == "0":
            raise RuntimeError("no memory for the cache")
        if "STAND_IN_HANGS" in os.environ:
            subprocess.Popen(["sleep", "600"])
        tokenizer = AutoTokenizer.from_pretrained(arguments.options["model"])
        ids = tokenizer(os.environ["STAND_IN_TEXT"])["input_ids"]
        return cls(letters=[(token, tokenizer.decode([token])) for token in ids])

    def add_request(
        self, name: str, prompt: Mapping[str, Any], _params: SamplingParams, **_: Any
    ) -> None:
        if len(prompt["prompt_token_ids"]) > MAX_PROMPT:
            raise ValueError("the prompt is too long")
        self.requests[name] = 0

    def abort_request(self, names: list[str]) -> None:
        for name in names:
            del self.requests[name]

    def step(self) -> list[RequestOutput]:
        self.num_steps += 1
        if "STAND_IN_HANGS" in os.environ:
            print("hanging", file=sys.stderr, flush=True)
            time.sleep(600)
        if str(self.num_steps) == os.environ.get("STAND_IN_DIES_AFTER"):
            subprocess.Popen(["sleep", "600"], close_fds=False)
            raise RuntimeError("the engine core is gone")
        return [self._advance(name) for name in list(self.requests)[:2]]

    def _advance(self, name: str) -> RequestOutput:
        token, text = self.letters[self.requests[name]]
        self.requests[name] += 1
        finished = self.requests[name] == len(self.letters)
        if finished:
            del self.requests[name]
        output = Output(token_ids=[token], text=text)
        return RequestOutput(request_id=name, outputs=[output], finished=finished)
