"""The process that runs vLLM: `python -m coderl_exp.generation.vllm_engine REQUESTS RESULTS`.

Both arguments are descriptors of pipes with one JSON object per line. The first line in is the
`EngineJob`, every further one a list of requests; a line out is a `Finished`. When standard input
closes, the process and all that vLLM has started are killed.

Stop strings are matched here, with the rule of all backends, as vLLM would stop at a fence that
opens a block too.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import psutil
from pydantic import TypeAdapter

from coderl_exp.config import VLLMConfig
from coderl_exp.errors import GenerationError
from coderl_exp.generation.batching import Request
from coderl_exp.generation.completions import Completions, eos_ids
from coderl_exp.process_group import die_with_starter
from coderl_exp.records import Candidate, ModelRef, to_json

_CPU_CACHE_GIB = "2"
_WATCH_S = 1.0
_REQUESTS = TypeAdapter(list[Request])


@dataclass(frozen=True, kw_only=True)
class EngineJob:
    """What the engine is started for."""

    config: VLLMConfig
    model: ModelRef


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A line of the engine: a candidate, or why there is none, or neither when it has started."""

    candidate: Candidate | None = None
    error: str | None = None


@dataclass(kw_only=True)
class _Running:
    """One completion while it is decoded."""

    request: Request
    num_prompt_tokens: int
    ids: list[int] = field(default_factory=list)
    tail: str = ""


def main() -> None:
    requests, results = os.fdopen(int(sys.argv[1])), os.fdopen(int(sys.argv[2]), "w")
    die_with_starter()
    job = TypeAdapter(EngineJob).validate_json(requests.readline())
    try:
        engine = Engine(job)
        threading.Thread(target=_die_with_children, daemon=True).start()
        _say(results, Finished())
        for line in requests:
            for candidate in engine.run(_REQUESTS.validate_json(line)):
                _say(results, Finished(candidate=candidate))
    except GenerationError as error:
        _say(results, Finished(error=str(error)))


def _die_with_children() -> None:
    """vLLM's client would wait for ever for a core that the kernel has killed."""
    children = psutil.Process().children()
    while all(c.is_running() and c.status() != psutil.STATUS_ZOMBIE for c in children):
        time.sleep(_WATCH_S)
    time.sleep(_WATCH_S)  # for the main thread to say what it knows
    print("one of vLLM's processes has ended early", file=sys.stderr, flush=True)
    os._exit(1)


def _say(results: TextIO, finished: Finished) -> None:
    results.write(to_json(finished) + "\n")
    results.flush()


class Engine:
    """vLLM's engine, with the contract of all backends around it."""

    def __init__(self, job: EngineJob) -> None:
        from transformers import AutoTokenizer
        from vllm import EngineArgs, LLMEngine
        from vllm.platforms import current_platform

        if current_platform.is_cpu():
            os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", _CPU_CACHE_GIB)
        config, model = job.config, job.model
        tokenizer = AutoTokenizer.from_pretrained(model.path, revision=model.revision)
        self._completions = Completions(
            tokenizer, eos_ids(_generation_config(model), tokenizer), config.stop
        )
        self._config = config
        self._tail = max(map(len, config.stop), default=0)
        self._adapter = _lora_request(model)
        self._engine = LLMEngine.from_engine_args(
            EngineArgs(
                model=model.path,
                revision=model.revision,
                dtype=model.dtype,
                seed=0,
                tensor_parallel_size=config.tensor_parallel_size,
                gpu_memory_utilization=config.gpu_memory_utilization,
                max_model_len=config.max_model_len,
                max_num_seqs=config.batch_size,
                enforce_eager=config.enforce_eager,
                enable_prefix_caching=True,
                enable_lora=self._adapter is not None,
                max_lora_rank=_lora_rank(model),
                generation_config="vllm",
            )
        )

    def run(self, requests: Iterable[Request]) -> Iterator[Candidate]:
        """Candidates as they are finished, in any order.

        Raises:
            GenerationError: a prompt is too long.
        """
        running = {str(number): self._add(str(number), r) for number, r in enumerate(requests)}
        while running:
            for output in self._engine.step():
                state = running.get(output.request_id)
                if state is None:
                    continue  # it was stopped here while the engine had gone on
                if self._has_ended(state, output):
                    del running[output.request_id]
                    yield self._completions.candidate(
                        state.request, state.num_prompt_tokens, state.ids
                    )

    def _add(self, name: str, request: Request) -> _Running:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        ids = self._completions.encode(request)
        sampling = SamplingParams(
            temperature=self._config.temperature,
            top_p=self._config.top_p,
            max_tokens=self._config.max_tokens,
            seed=request.seed,
            stop_token_ids=sorted(self._completions.eos_ids),
            output_kind=RequestOutputKind.DELTA,
        )
        try:
            self._engine.add_request(
                name, {"prompt_token_ids": ids}, sampling, lora_request=self._adapter
            )
        except ValueError as error:
            raise GenerationError(
                f"vLLM refuses the prompt of {request.task_id}: {error}"
            ) from None
        return _Running(request=request, num_prompt_tokens=len(ids))

    def _has_ended(self, state: _Running, output: Any) -> bool:
        """Take what was decoded; end the request at a stop string."""
        [new] = output.outputs
        state.ids += new.token_ids
        text = state.tail + new.text
        state.tail = text[-self._tail :] if self._tail else ""
        if output.finished:
            return True
        has_stop = any(stop in text for stop in self._completions.stop)
        if has_stop and self._completions.is_stopped(state.ids, state.request):
            self._engine.abort_request([output.request_id])
            return True
        return False


def _generation_config(model: ModelRef) -> Any:
    """The model's; its main config where it has none, as Transformers does."""
    from transformers import AutoConfig, GenerationConfig

    try:
        return GenerationConfig.from_pretrained(model.path, revision=model.revision)
    except OSError:
        return AutoConfig.from_pretrained(model.path, revision=model.revision)


def _lora_request(model: ModelRef) -> Any:
    if model.adapter is None:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest("adapter", 1, model.adapter)


def _lora_rank(model: ModelRef) -> int:
    if model.adapter is None:
        return 16
    config = Path(model.adapter, "adapter_config.json").read_text(encoding="utf-8")
    return int(json.loads(config)["r"])


if __name__ == "__main__":
    main()
