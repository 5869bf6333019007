"""The prompt is one contract for every stage and every trainer."""

from __future__ import annotations

from pathlib import Path

from coderl_exp.generation.batching import make_requests
from coderl_exp.prompts import build_prompt
from tests.conftest import byte_tokenizer, make_judged, make_problem


def test_the_prompt_shows_the_signature_and_the_visible_tests() -> None:
    content = build_prompt(make_problem(num_visible_tests=2))[0].content
    assert "def double(x):" in content
    assert "assert double(0) == 0" in content
    assert "assert double(-1) == -2" not in content


def test_data_that_the_visible_tests_use_is_shown() -> None:
    problem = make_problem(setup_code="table = {1: 2}", tests=("assert double(table[1]) == 4",))
    assert "table = {1: 2}" in build_prompt(problem)[0].content


def test_the_reference_solution_is_never_shown() -> None:
    assert "return 2 * x" not in build_prompt(make_problem())[0].content


def test_dpo_trains_on_the_token_ids_that_generation_saw(tmp_path: Path) -> None:
    """TRL tokenises the conversational pair itself; both must agree id for id."""
    from peft import LoraConfig
    from trl import DPOConfig, DPOTrainer

    from coderl_exp.config import RLBuildConfig
    from coderl_exp.generation.hf import TransformersGenerator
    from coderl_exp.method.dpo import as_dataset
    from coderl_exp.preferences import build_preferences
    from coderl_exp.records import VerdictStatus
    from tests.conftest import tiny_model
    from tests.test_generation import sampling

    problem = make_problem()
    judged = [
        make_judged("def double(x):\n    return x + x\n"),
        make_judged("def double(x):\n    return x\n", VerdictStatus.wrong_answer, index=1),
    ]
    config = RLBuildConfig(
        n_best=1,
        max_pairs=1,
        pairs_per_winner=None,
        fails_per_passer=1,
        within_pass_pairs_per_winner=0,
    )
    pairs = build_preferences(judged, {problem.task_id: problem}, config).pairs
    tokenizer = byte_tokenizer()
    engine = TransformersGenerator(sampling(), tiny_model(), tokenizer)
    seen_by_generation = engine.completions.encode(make_requests([problem], 1, 0)[0])
    trainer = DPOTrainer(
        model=tiny_model(),
        args=DPOConfig(output_dir=str(tmp_path), report_to="none", use_cpu=True, bf16=False),
        train_dataset=as_dataset(pairs),
        processing_class=tokenizer,
        peft_config=LoraConfig(target_modules=["q_proj"]),
    )
    row = trainer.train_dataset[0]
    assert row["prompt_ids"] == seen_by_generation
    chosen = tokenizer.decode(row["chosen_ids"])
    assert chosen.startswith(judged[0].candidate.completion)
    assert chosen.rstrip("\n").endswith("<|im_end|>"), "the policy must learn to end its turn"
