"""Linear layers in 8 bits: close to what they were, row by row, and only where it was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from coderl_exp.errors import ConfigError, GenerationError
from coderl_exp.generation import int8
from coderl_exp.generation.int8 import Int8Linear, check_int8, has_vnni, load_in_8bit, quantised
from coderl_exp.steps import sampling_settings
from tests.conftest import make_problem, tiny_model
from tests.experiment import make_experiment
from tests.test_conf import composed
from tests.test_generation import decoded, generator, make_requests


def layer(bias: bool = True) -> torch.nn.Linear:
    torch.manual_seed(0)
    return torch.nn.Linear(48, 40, bias=bias)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_is_close_to_what_it_was(bias: bool, dtype: torch.dtype) -> None:
    linear, states = layer(bias).to(dtype), torch.randn(3, 7, 48, dtype=dtype)
    output = Int8Linear(linear)(states)
    expected = linear(states)
    assert (output.shape, output.dtype) == (expected.shape, dtype)
    assert (output - expected).norm() / expected.norm() < 0.02


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_integer_is_off_by_more_than_half(dtype: torch.dtype) -> None:
    rows = torch.randn(5, 100) * torch.tensor([[1e-6], [1.0], [1e6], [3.0], [0.1]])
    rows = rows.to(dtype)
    integers, scale = quantised(rows)
    assert integers.int().abs().amax(-1).tolist() == [127] * 5
    assert ((integers * scale - rows.float()).abs() <= 0.5001 * scale).all()


def test_a_row_of_zeros_stays_zero() -> None:
    output = Int8Linear(layer(bias=False))(torch.zeros(2, 48))
    assert torch.equal(output, torch.zeros(2, 40))


def test_a_row_does_not_depend_on_the_others() -> None:
    quantised_layer, states = Int8Linear(layer()), torch.randn(6, 48)
    states[3] *= 1000
    together = quantised_layer(states)
    alone = torch.cat([quantised_layer(row[None]) for row in states])
    assert torch.equal(together, alone)


def test_a_model_keeps_its_embeddings_and_most_of_its_logits() -> None:
    ids = torch.arange(3, 60)[None]
    model = tiny_model()
    expected, embeddings = model(ids).logits, model.get_input_embeddings().weight
    logits = load_in_8bit(model)(ids).logits
    assert model.get_input_embeddings().weight is embeddings
    assert not any(isinstance(module, torch.nn.Linear) for module in model.modules())
    assert (logits - expected).norm() / expected.norm() < 0.05


def test_a_model_that_would_stay_in_float_is_refused() -> None:
    config = GPT2Config(n_layer=2, n_embd=32, n_head=4, vocab_size=64)
    with pytest.raises(GenerationError, match="most weights of this gpt2 model"):
        load_in_8bit(GPT2LMHeadModel(config))


def test_a_choice_that_is_not_made_leaves_no_trace_in_the_key() -> None:
    names = [
        sampling_settings(composed(*options).generation).keys()
        for options in ((), ("generation.load_in_8bit=true",))
    ]
    assert names[1] - names[0] == {"load_in_8bit"}


def test_completions_in_8_bits_do_not_depend_on_the_batch() -> None:
    requests = make_requests([make_problem(task_id=f"mini/{n}") for n in range(4)], 3, seed=1)
    together = decoded(requests, load_in_8bit=True)
    assert [c for r in requests for c in decoded([r], load_in_8bit=True)] == together
    assert together != decoded(requests)


def test_nothing_is_in_8_bits_unless_it_was_asked_for() -> None:
    assert not composed().samples_in_8bit
    assert not composed("generation=vllm").samples_in_8bit
    assert composed("generation.load_in_8bit=true").samples_in_8bit
    assert not any(isinstance(module, Int8Linear) for module in generator()._model.modules())


def test_a_cpu_without_the_instructions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8.torch.cpu, "get_capabilities", lambda: {"avx512_vnni": False})
    with pytest.raises(ConfigError, match=r"VNNI.*load_in_8bit=false"):
        check_int8()


def test_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ConfigError, match="is for CPUs"):
        check_int8()


@pytest.mark.skipif(not has_vnni(), reason="needs a CPU with VNNI")
def test_the_report_says_that_the_policy_was_quantised(tmp_path: Path, solver_folder: Path) -> None:
    experiment = make_experiment(tmp_path, solver_folder)
    done = experiment.run(
        "generation.load_in_8bit=true", "stages=[baseline]", "tracking=none", run="run"
    )
    assert done.returncode == 0, done.stderr
    [page] = (experiment.root / "run").rglob("*_summary.md")
    assert "with its weights in 8 bits" in page.read_text(encoding="utf-8")
