"""A policy of about a million parameters that can learn: it knows how to answer one-line problems,
but picks the right operation in two of five answers only.

The problems are `verb digit` ("Add 3 to x."); which verb means which operation is in its training
data, as a tendency. Held-out problems pair verbs and digits that it is never rewarded for.
"""

from __future__ import annotations

import json
import random
from itertools import product
from pathlib import Path
from typing import Any

from coderl_exp.prompts import build_prompt
from coderl_exp.records import Problem

OPERATIONS = {"Add": "+", "Subtract": "-", "Multiply by": "*", "Take the remainder by": "%"}
DIGITS = range(2, 10)
_RIGHT = 0.4
_NUM_TEST = 12


def learner_rows() -> list[dict[str, Any]]:
    """Rows in MBPP's schema: 20 to train on from id 101, 12 held out from id 1."""
    pairs = list(product(OPERATIONS, DIGITS))
    random.Random(0).shuffle(pairs)
    ids = [*range(1, 1 + _NUM_TEST), *range(101, 101 + len(pairs) - _NUM_TEST)]
    return [_row(task_id, *pair) for task_id, pair in zip(ids, pairs, strict=True)]


def _row(task_id: int, verb: str, digit: int) -> dict[str, Any]:
    code = f"def f(x):\n    return x {OPERATIONS[verb]} {digit}\n"
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    tests = [f"assert f({x}) == {namespace['f'](x)}" for x in (17, 40, 101, 7)]
    return {
        "text": f"{verb} {digit}.",
        "code": code,
        "task_id": task_id,
        "test_setup_code": "",
        "test_list": tests,
        "challenge_test_list": [],
    }


def write_problems(path: Path) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in learner_rows()))


def train_learner(folder: Path, num_steps: int = 250) -> None:
    """Train from scratch and save model and tokenizer: about a minute on two cores."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    texts = _texts()
    tokenizer = _tokenizer(texts)
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=384,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=512,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    choose = random.Random(1)
    for _ in range(num_steps):
        batch = tokenizer(choose.sample(texts, 64), padding=True, return_tensors="pt")
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        loss = model(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels
        ).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _texts() -> list[str]:
    """Every problem with many answers, of which `_RIGHT` are right."""
    choose = random.Random(2)
    return [_chat(row, _answer(row, choose)) for row in learner_rows() for _ in range(40)]


def _answer(row: dict[str, Any], choose: random.Random) -> str:
    right = row["code"]
    if choose.random() < _RIGHT:
        return str(right)
    symbol = right.split()[-2]
    other = choose.choice([s for s in OPERATIONS.values() if s != symbol])
    return str(right.replace(f" {symbol} ", f" {other} "))


def _chat(row: dict[str, Any], code: str) -> str:
    problem = Problem(
        task_id="mini/1",
        split="test",
        text=row["text"],
        entry_point="f",
        signature="def f(x):",
        reference=row["code"],
        tests=tuple(row["test_list"]),
        num_visible_tests=0,
    )
    turns = [(message.role, message.content) for message in build_prompt(problem)]
    turns.append(("assistant", f"```python\n{code}```\n"))
    return "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in turns)


def _tokenizer(texts: list[str]) -> Any:
    """Words where they are frequent, digits one by one."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    from tests.conftest import CHAT_TEMPLATE

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
