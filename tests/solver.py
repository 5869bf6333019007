"""A tiny policy that solves some of its problems: trained in seconds, so that every stage has work.

All its problems are alike and are answered by one of four programs, of which one passes; the
policy learns them in equal shares, so that its pass@1 starts near a quarter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coderl_exp.prompts import build_prompt
from coderl_exp.records import Problem
from tests.conftest import byte_tokenizer

BODIES = ("x+1", "x-1", "x[0]", "x*2")
TEXT = "Add one."


def solver_row(task_id: int) -> dict[str, Any]:
    """A row in MBPP's schema."""
    return {
        "text": TEXT,
        "code": "def f(x):\n    return x + 1\n",
        "task_id": task_id,
        "test_setup_code": "",
        "test_list": ["assert f(1) == 2", "assert f(5) == 6", "assert f(-1) == 0"],
        "challenge_test_list": [],
    }


def solver_problem() -> Problem:
    row = solver_row(1)
    return Problem(
        task_id="mini/1",
        split="test",
        text=row["text"],
        entry_point="f",
        signature="def f(x):",
        references=(row["code"],),
        tests=tuple(row["test_list"]),
    )


def completion(body: str) -> str:
    return f"```python\ndef f(x):\n    return {body}\n```\n"


def train_solver(folder: Path, head_dim: int = 16) -> None:
    """Train on the four answers and save model and tokenizer; vLLM on a CPU needs 32 or more."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = byte_tokenizer()
    messages = [message.as_dict() for message in build_prompt(solver_problem())]
    texts = [
        tokenizer.apply_chat_template(
            [*messages, {"role": "assistant", "content": completion(body)}], tokenize=False
        )
        for body in BODIES
    ]
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    batch = tokenizer(texts, padding=True, return_tensors="pt", add_special_tokens=False)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    labels[:, : len(tokenizer(prompt, add_special_tokens=False)["input_ids"])] = -100
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=259,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=head_dim,
            max_position_embeddings=1024,
            eos_token_id=2,
            pad_token_id=0,
            bos_token_id=1,
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for _ in range(150):
        loss = model(**batch, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    import sys

    train_solver(Path(sys.argv[1]))
