"""Ways to sample the same completions: `python -m benchmarks.generation_contenders NAME CASE`."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from coderl_exp.config import Config, HFConfig, compose_config
from coderl_exp.dataset import load_dataset
from coderl_exp.generation.batching import Request, make_batches, make_requests, make_units
from coderl_exp.generation.completions import encode_chat
from coderl_exp.memory import keep_freed_memory, peak_memory_mb
from coderl_exp.memory_estimate import num_parameters
from coderl_exp.model import load_model, load_tokenizer, resolve_model, silence_libraries
from coderl_exp.prompts import with_prompts
from coderl_exp.records import ModelRef


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is sampled."""

    batch_size: int
    num_candidates: int
    num_completions: int
    max_tokens: int
    temperature: float
    top_p: float
    num_threads: int
    gguf: str | None
    """The model's file for llama.cpp."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """By one process."""

    num_tokens: int
    tokens_per_s: float
    peak_memory_mb: float
    num_parameters: int


@dataclass(frozen=True, kw_only=True)
class Task:
    """A case with its requests, in the order in which they are batched."""

    case: Case
    config: Config
    model: ModelRef
    requests: Sequence[Request]

    def prompts(self) -> list[list[int]]:
        tokenizer = load_tokenizer(self.model)
        return [
            encode_chat(tokenizer, [message.as_dict() for message in request.prompt])
            for request in self.requests
        ]


Sample = Callable[[], int]
"""Samples all and returns the number of tokens."""


def make_task(case: Case) -> Task:
    """The case on the default experiment's problems and model."""
    config = compose_config(
        f"generation.batch_size={case.batch_size}",
        f"generation.num_candidates={case.num_candidates}",
        f"generation.max_tokens={case.max_tokens}",
        f"generation.temperature={case.temperature}",
        f"generation.top_p={case.top_p}",
        "generation.stop=[]",
        "evaluation.ks=[1]",
    )
    problems = with_prompts(load_dataset(config.dataset).problems, config.dataset)
    requests = make_requests(problems, case.num_candidates, seed=0)[: case.num_completions]
    return Task(
        case=case,
        config=config,
        model=resolve_model(config.model, config.store_path / "model_digests.json"),
        requests=[r for batch in make_batches(requests, case.batch_size) for r in batch],
    )


def ours(task: Task, *, load_in_8bit: bool = False) -> Sample:
    """As the pipeline does."""
    from coderl_exp.generation.hf import TransformersGenerator

    keep_freed_memory()
    config = task.config.generation
    assert isinstance(config, HFConfig)
    generator = TransformersGenerator(
        replace(config, load_in_8bit=load_in_8bit),
        load_model(task.model),
        load_tokenizer(task.model),
    )
    units = make_units(task.requests, task.config.generation)
    return lambda: sum(c.num_completion_tokens for unit in generator.run(units) for c in unit)


def plain_generate(task: Task) -> Sample:
    """As Transformers' documentation shows batched generation."""
    model, tokenizer = load_model(task.model), load_tokenizer(task.model)
    prompts, case = task.prompts(), task.case

    def sample() -> int:
        count = 0
        for start in range(0, len(prompts), case.batch_size):
            batch = tokenizer.pad(
                {"input_ids": prompts[start : start + case.batch_size]},
                padding_side="left",
                return_tensors="pt",
            )
            output = model.generate(**batch, **_sampling(case))
            length = batch["input_ids"].shape[1]
            count += sum(_length(ids, tokenizer) for ids in output[:, length:].tolist())
        return count

    return sample


def continuous_batching(task: Task) -> Sample:
    """Transformers' `generate_batch`, with its paged cache."""
    from transformers import GenerationConfig

    model, tokenizer = load_model(task.model), load_tokenizer(task.model)
    model.set_attn_implementation("paged|sdpa")
    options = _sampling(task.case)
    config = GenerationConfig(
        **options, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    prompts = task.prompts()

    def sample() -> int:
        outputs = model.generate_batch(inputs=prompts, generation_config=config)
        return sum(_length(o.generated_tokens, tokenizer) for o in outputs.values())

    return sample


def vllm(task: Task) -> Sample:
    """vLLM in this process, with the prompts at once."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # so that its memory is this process's
    os.environ["VLLM_CPU_KVCACHE_SPACE"] = "2"  # GiB; otherwise most of the machine's
    from vllm import LLM, SamplingParams, TokensPrompt

    case = task.case
    engine = LLM(
        task.model.path, dtype="float32", enforce_eager=True, max_num_seqs=case.batch_size,
        max_model_len=1024, disable_log_stats=True,
    )  # fmt: skip
    params = SamplingParams(
        temperature=case.temperature, top_p=case.top_p, max_tokens=case.max_tokens
    )
    prompts = [TokensPrompt(prompt_token_ids=ids) for ids in task.prompts()]

    def sample() -> int:
        outputs = engine.generate(prompts, params, use_tqdm=False)
        return sum(len(o.outputs[0].token_ids) for o in outputs)

    return sample


def llama_cpp(task: Task) -> Sample:
    """llama.cpp's Python binding, which writes one completion at a time, on a GGUF file."""
    from llama_cpp import Llama

    case = task.case
    model = Llama(case.gguf, n_ctx=1024, n_threads=case.num_threads, verbose=False)
    prompts = task.prompts()

    def sample() -> int:
        return sum(
            model.create_completion(
                ids, max_tokens=case.max_tokens, temperature=case.temperature, top_p=case.top_p
            )["usage"]["completion_tokens"]
            for ids in prompts
        )

    return sample


def _sampling(case: Case) -> dict[str, Any]:
    return {
        "do_sample": True,
        "temperature": case.temperature,
        "top_p": case.top_p,
        "top_k": 0,
        "max_new_tokens": case.max_tokens,
    }


def _length(ids: Sequence[int], tokenizer: Any) -> int:
    """Up to the end of the completion, which is counted."""
    end = tokenizer.eos_token_id
    return list(ids).index(end) + 1 if end in ids else len(ids)


EIGHT_BITS = "coderl_exp in 8 bits"
CONTENDERS: Mapping[str, Callable[[Task], Sample]] = {
    "coderl_exp": ours,
    EIGHT_BITS: partial(ours, load_in_8bit=True),
    "generate": plain_generate,
    "generate_batch": continuous_batching,
    "vllm": vllm,
    "llama.cpp": llama_cpp,
}
MEASURED = "measured: "
NEEDED_PACKAGES = {"vllm": "vllm", "llama.cpp": "llama_cpp"}


def main() -> None:
    """Sample once and print what was measured, in a line that begins with `MEASURED`."""
    import torch

    name, case = sys.argv[1], Case(**json.loads(sys.argv[2]))
    silence_libraries()
    torch.set_num_threads(case.num_threads)
    torch.manual_seed(0)
    task = make_task(case)
    sample = CONTENDERS[name](task)
    start = time.perf_counter()
    count = sample()
    elapsed_s = time.perf_counter() - start
    measured = Measured(
        num_tokens=count,
        tokens_per_s=count / elapsed_s,
        peak_memory_mb=peak_memory_mb(),
        num_parameters=num_parameters(Path(task.model.path)),
    )
    print(MEASURED + json.dumps(asdict(measured)), flush=True)


if __name__ == "__main__":
    main()
