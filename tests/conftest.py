"""Tiny models, built in memory; nothing here or in any test needs a network or a GPU."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["WANDB_MODE"] = "offline"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# A tiny model is no faster on two threads, and many times slower where they share a busy CPU.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from coderl_exp.config import Isolation, Lane, SandboxConfig
from coderl_exp.prompts import build_prompt
from coderl_exp.records import Candidate, JudgedCandidate, Problem, Verdict, VerdictStatus

Processes = Callable[[], list[psutil.Process]]

CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_tokenizer() -> Any:
    """One token per byte, and the chat's three special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2}
    vocabulary |= {character: number for number, character in enumerate(alphabet, start=3)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(vocabulary)[:3])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def tiny_model(seed: int = 0) -> Any:
    """Two layers with grouped heads, random weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=259,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        eos_token_id=2,
        pad_token_id=0,
        bos_token_id=1,
        initializer_range=0.2,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete model folder with random weights."""
    folder = tmp_path_factory.mktemp("tiny-model")
    tiny_model().save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def mbpp_row(task_id: int, /, **columns: Any) -> dict[str, Any]:
    """A row in MBPP's schema whose reference passes."""
    name = f"add_{task_id}"
    return {
        "text": f"Write a function to add {task_id} to a number.",
        "code": f"def {name}(x):\r\n    return x + {task_id}",
        "task_id": task_id,
        "test_setup_code": "",
        "test_list": [f"assert {name}({i}) == {i + task_id}" for i in range(3)],
        "challenge_test_list": [],
        **columns,
    }


@pytest.fixture
def write_dataset(tmp_path: Path) -> Callable[..., Path]:
    """Writes rows as a .jsonl file."""

    def write(rows: list[dict[str, Any]], name: str = "data.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


def make_problem(task_id: str = "mini/1", split: Any = "train", **fields: Any) -> Problem:
    problem = Problem(
        **{
            "task_id": task_id,
            "split": split,
            "text": "Write a function to double a number.",
            "entry_point": "double",
            "signature": "def double(x):",
            "references": ("def double(x):\n    return 2 * x\n",),
            "tests": ("assert double(2) == 4", "assert double(0) == 0", "assert double(-1) == -2"),
            **fields,
        }
    )
    return replace(problem, prompt=build_prompt(problem))


def make_judged(
    code: str | None,
    status: VerdictStatus = VerdictStatus.passed,
    index: int = 0,
    task_id: str = "mini/1",
    **candidate: Any,
) -> JudgedCandidate:
    """A judged candidate whose completion is its code in a fence."""
    fields = {
        "task_id": task_id,
        "index": index,
        "seed": index,
        "completion": f"```python\n{code}```\n",
        "num_prompt_tokens": 10,
        "num_completion_tokens": 20,
        "finish_reason": "eos",
        **candidate,
    }
    return JudgedCandidate(
        candidate=Candidate(**fields),
        code=code,
        extraction_rule="block_with_entry_point" if code else "none",
        verdict=Verdict(status=status, tests=(status,), error=""),
    )


@pytest.fixture(scope="session")
def solver_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny policy that solves a part of its problems; see `solver.py`."""
    from tests.solver import train_solver

    folder = tmp_path_factory.mktemp("solver")
    train_solver(folder)
    return folder


@pytest.fixture(scope="session")
def swept(tmp_path_factory: pytest.TempPathFactory, solver_folder: Path) -> Any:
    """A sweep that has ended; see `Swept`."""
    from tests.experiment import run_sweep

    return run_sweep(tmp_path_factory.mktemp("swept"), solver_folder)


def sandbox_config(**changes: Any) -> SandboxConfig:
    """Small limits, and confinement where the machine offers it."""
    return SandboxConfig(
        **{
            "name": "local",
            "endpoint": None,
            "isolation": Isolation.best_effort,
            "disabled_layers": [],
            "lane": Lane.auto,
            "timeout_s": 1.0,
            "reference_timeout_factor": 10.0,
            "wall_timeout_factor": 3.0,
            "memory_mb": 256,
            "max_output_bytes": 65536,
            "num_workers": 2,
            "fraction": False,
            "max_sandbox_error_rate": 0.01,
            **changes,
        }
    )


@pytest.fixture
def new_processes() -> Processes:
    """Those below this one that the test started; other tests' judges may still be at work."""

    def descendants() -> list[psutil.Process]:
        children = psutil.Process().children(recursive=True)
        return [child for child in children if child.status() != psutil.STATUS_ZOMBIE]

    others = descendants()
    return lambda: [process for process in descendants() if process not in others]
