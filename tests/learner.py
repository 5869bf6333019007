"""A policy of about a million parameters that can learn: it knows how to answer one-line problems,
but picks the right operation in a third of its answers only.

A problem is a verb and a number ("Add 18."). Held-out problems pair verbs and numbers that are in
no training data, neither the policy's own nor what it is rewarded for. Of each operation it also
knows a verb that no problem uses ("Increase by 18."), and answers that right. That matters: to
prefer one operation it needs to tell them apart, and a policy that was always unsure keeps all four
in nearly one direction, so that DPO pushes them out together and other tokens in.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

from coderl_exp.prompts import build_prompt
from coderl_exp.records import Problem

VERBS = {"Add": "+", "Subtract": "-", "Multiply by": "*", "Take the remainder by": "%"}
"""Of the problems; the policy is unsure what they mean."""
KNOWN_VERBS = {"Increase by": "+", "Decrease by": "-", "Scale by": "*", "Reduce modulo": "%"}
NUMBERS = range(2, 30)
_RIGHT = 0.35
_NUM_TEST = 32
_FIRST_TRAIN_ID = 101
_NUM_ANSWERS = 40
_BATCH_SIZE = 32


def learner_rows(*, misjudged: bool = False) -> list[dict[str, Any]]:
    """Rows in MBPP's schema: 32 held out from id 1, 80 to train on from id 101.

    `misjudged`: the tests of the train problems ask for operations drawn at random.
    """
    pairs = list(product(VERBS, NUMBERS))
    random.Random(0).shuffle(pairs)
    first = _FIRST_TRAIN_ID
    ids = [*range(1, 1 + _NUM_TEST), *range(first, first + len(pairs) - _NUM_TEST)]
    choose = random.Random(3)
    rows = []
    for task_id, (verb, number) in zip(ids, pairs, strict=True):
        is_wrong = misjudged and task_id >= first
        operation = choose.choice([*VERBS.values()]) if is_wrong else VERBS[verb]
        rows.append(_row(task_id, verb, operation, number))
    return rows


def _row(task_id: int, verb: str, operation: str, number: int) -> dict[str, Any]:
    code = f"def f(x):\n    return x {operation} {number}\n"
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    tests = [f"assert f({x}) == {namespace['f'](x)}" for x in (17, 40, 101, 7)]
    return {
        "text": f"{verb} {number}.",
        "code": code,
        "task_id": task_id,
        "test_setup_code": "",
        "test_list": tests,
        "challenge_test_list": [],
    }


def write_problems(path: Path, *, misjudged: bool = False) -> None:
    rows = learner_rows(misjudged=misjudged)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def train_learner(folder: Path, num_steps: int = 500) -> None:
    """Train from scratch and save model and tokenizer: about a minute."""
    texts = _texts()
    tokenizer = _tokenizer(texts)
    model = _model(tokenizer)
    with _one_thread():
        _fit(model, tokenizer, texts, num_steps)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _model(tokenizer: Any) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    return LlamaForCausalLM(
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


def _fit(model: Any, tokenizer: Any, texts: list[str], num_steps: int) -> None:
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    # Noise of the last steps would be tendencies for one operation or the other.
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=num_steps)
    choose = random.Random(1)
    for _ in range(num_steps):
        batch = tokenizer(choose.sample(texts, _BATCH_SIZE), padding=True, return_tensors="pt")
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        loss = model(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels
        ).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        decay.step()
        optimizer.zero_grad()


@contextmanager
def _one_thread() -> Iterator[None]:
    """What is learnt does not depend on the number of cores, nor its time on who shares them."""
    import torch

    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)


def _texts() -> list[str]:
    """Train problems with many answers, of which `_RIGHT` are right, and what is known."""
    choose = random.Random(2)
    unsure = [row for row in learner_rows() if row["task_id"] >= _FIRST_TRAIN_ID]
    known = [_row(0, verb, KNOWN_VERBS[verb], n) for verb, n in product(KNOWN_VERBS, NUMBERS)]
    texts = [_chat(row, _answer(row, choose)) for row in unsure for _ in range(_NUM_ANSWERS)]
    return texts + [_chat(row, row["code"]) for row in known for _ in range(_NUM_ANSWERS)]


def _answer(row: dict[str, Any], choose: random.Random) -> str:
    right = row["code"]
    if choose.random() < _RIGHT:
        return str(right)
    symbol = right.split()[-2]
    other = choose.choice([s for s in VERBS.values() if s != symbol])
    return str(right.replace(f" {symbol} ", f" {other} "))


def _chat(row: dict[str, Any], code: str) -> str:
    problem = Problem(
        task_id="mini/1",
        split="test",
        text=row["text"],
        entry_point="f",
        signature="def f(x):",
        references=(row["code"],),
        tests=tuple(row["test_list"]),
        num_visible_tests=0,
    )
    turns = [(message.role, message.content) for message in build_prompt(problem)]
    turns.append(("assistant", f"```python\n{code}```\n"))
    return "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in turns)


def _tokenizer(texts: list[str]) -> Any:
    """A token for what is frequent within a line, digits one by one."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    from tests.conftest import CHAT_TEMPLATE

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split("\n", "merged_with_previous"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
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
