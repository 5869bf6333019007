"""Generation: the same tokens as Transformers' own `generate`, and independence of the batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from transformers import GenerationConfig

from coderl_exp.config import HFConfig
from coderl_exp.generation.batching import Request, candidate_seed, make_batches, make_requests
from coderl_exp.generation.completions import find_stop
from coderl_exp.generation.hf import TransformersGenerator
from coderl_exp.generation.sampling import random_streams, sample_tokens
from coderl_exp.records import Candidate
from tests.conftest import byte_tokenizer, make_problem, tiny_model


def sampling(**options: Any) -> HFConfig:
    defaults = {
        "name": "hf",
        "num_candidates": 2,
        "batch_size": 8,
        "temperature": 1.0,
        "top_p": 0.9,
        "max_tokens": 24,
        "stop": [],
        "load_in_8bit": False,
    }
    return HFConfig(**{**defaults, **options})


def generator(**options: Any) -> TransformersGenerator:
    return TransformersGenerator(sampling(**options), tiny_model(), byte_tokenizer())


def decoded(requests: list[Request], **options: Any) -> list[Candidate]:
    """The candidates of one batch."""
    [candidates] = generator(**options).run([requests])
    return candidates


def requests_of(num_problems: int = 3, num_candidates: int = 2, seed: int = 0) -> list[Request]:
    problems = [
        make_problem(f"mini/{i}", text=f"Write {'a very ' * i}short function {i}.")
        for i in range(num_problems)
    ]
    return make_requests(problems, num_candidates, seed)


def by_name(candidates: list[Candidate]) -> dict[tuple[str, int], str]:
    return {(c.task_id, c.index): c.completion for c in candidates}


def test_greedy_completions_equal_those_of_generate() -> None:
    engine = generator(temperature=0.0)
    model = tiny_model()
    [candidates] = engine.run([requests_of(3, 1)])
    for request, candidate in zip(requests_of(3, 1), candidates, strict=True):
        ids = torch.tensor([engine.completions.encode(request)])
        config = GenerationConfig(
            do_sample=False, max_new_tokens=24, eos_token_id=2, pad_token_id=0
        )
        expected = model.generate(ids, generation_config=config)[0, ids.shape[1] :]
        text = byte_tokenizer().decode(expected, skip_special_tokens=True)
        assert candidate.completion == text


def test_a_candidate_does_not_depend_on_its_neighbours_in_the_batch() -> None:
    requests = requests_of(4, 3)
    together = by_name(decoded(requests))
    alone = by_name([row for request in requests for row in decoded([request])])
    assert together == alone


def test_another_seed_gives_other_candidates() -> None:
    first = by_name(decoded(requests_of(seed=1)))
    second = by_name(decoded(requests_of(seed=2)))
    assert all(first[name] != second[name] for name in first)


def test_a_stop_string_ends_a_completion_and_stays_in_it() -> None:
    free = decoded(requests_of(), max_tokens=64)
    stop = free[0].completion[10:12]
    stopped = decoded(requests_of(), max_tokens=64, stop=[stop])[0]
    assert stopped.finish_reason == "stop"
    assert stopped.completion == free[0].completion[: free[0].completion.index(stop) + len(stop)]


def test_a_fence_as_stop_string_ends_a_block_but_never_opens_one() -> None:
    stop = "\n```\n"
    assert find_stop("Here it is:\n```\ndef f():\n    pass", stop) is None
    closed = "```python\nx = 1\n```\n"
    assert find_stop(closed + "More", stop) == len(closed)
    untagged = "So:\n```\nx = 1\n```\n"
    assert find_stop(untagged + "More", stop) == len(untagged)


def test_eos_is_counted_but_is_not_part_of_the_text() -> None:
    rows = decoded(requests_of(4, 8), max_tokens=200, temperature=1.5, top_p=1.0)
    ended = [row for row in rows if row.finish_reason == "eos"]
    assert ended, "no completion ended within 200 tokens"
    assert all("<|im_end|>" not in row.completion for row in ended)
    assert all(1 <= row.num_completion_tokens < 200 for row in ended)


def test_a_completion_without_end_is_cut_at_max_tokens() -> None:
    rows = decoded(requests_of(), max_tokens=3, temperature=0.0)
    assert {(row.finish_reason, row.num_completion_tokens) for row in rows} == {("length", 3)}


def test_the_model_sees_the_chat_template() -> None:
    request = requests_of(1, 1)[0]
    text = byte_tokenizer().decode(generator().completions.encode(request))
    assert text.startswith("<|im_start|>user\n")
    assert text.endswith("<|im_end|>\n<|im_start|>assistant\n")


@pytest.mark.parametrize("top_p", [1.0, 0.8])
def test_sampled_frequencies_are_those_of_nucleus_sampling(top_p: float) -> None:
    logits = torch.linspace(0, 3, 12)
    probabilities = (logits / 0.7).softmax(-1).double().numpy()
    order = np.argsort(-probabilities)
    kept = order[: int((np.cumsum(probabilities[order]) < top_p).sum()) + 1]
    expected = np.zeros(12)
    expected[kept] = probabilities[kept] / probabilities[kept].sum()
    uniform = random_streams([7], 20_000)[0]
    drawn = sample_tokens(logits.expand(20_000, -1), uniform, 0.7, top_p)
    counts = np.bincount(drawn.numpy(), minlength=12)
    assert counts[expected == 0].sum() == 0
    used = expected > 0
    assert stats.chisquare(counts[used], 20_000 * expected[used]).pvalue > 1e-3


def test_top_p_is_exact_where_the_preselected_tokens_do_not_reach_it() -> None:
    logits = torch.zeros(1, 5_000)
    drawn = [
        int(sample_tokens(logits, torch.tensor([u], dtype=torch.float64), 1.0, 0.95))
        for u in np.linspace(0, 0.999, 50)
    ]
    assert len(set(drawn)) == 50


def test_a_seed_depends_on_run_problem_and_candidate_only() -> None:
    seeds = {
        candidate_seed(seed, task_id, index)
        for seed in (0, 1)
        for task_id in ("mini/1", "mini/2")
        for index in (0, 1)
    }
    assert len(seeds) == 8
    assert candidate_seed(0, "mini/1", 0) == candidate_seed(0, "mini/1", 0)


def test_batches_hold_every_request_once_and_similar_lengths_together() -> None:
    requests = requests_of(5, 3)
    batches = make_batches(requests, 4)
    assert [len(batch) for batch in batches] == [4, 4, 4, 3]
    assert sorted((r.task_id, r.index) for b in batches for r in b) == sorted(
        (r.task_id, r.index) for r in requests
    )
    lengths = [len(r.prompt[-1].content) for b in batches for r in b]
    assert lengths == sorted(lengths, reverse=True)
