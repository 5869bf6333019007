"""The prompt is one contract for every stage and every trainer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from coderl_exp.config import DatasetConfig, PromptStyle, compose_config
from coderl_exp.errors import ConfigError
from coderl_exp.extraction import code_of
from coderl_exp.generation.batching import make_requests
from coderl_exp.generation.completions import Completions
from coderl_exp.prompts import build_prompt, with_prompts
from coderl_exp.records import Message, Problem, StdinTest
from tests.conftest import byte_tokenizer, make_judged, make_problem

HUMANEVAL = make_problem(
    "humaneval/1",
    text="",
    signature="def double(x):",
    starter_code='def double(x):\n    """ Twice x. """\n',
    num_visible_tests=0,
)
STDIN = make_problem(
    "taco/1",
    text="Read a number, print its double.",
    entry_point=None,
    signature="",
    tests=(StdinTest(stdin="2", stdout="4"),),
    num_visible_tests=0,
)
METHOD = make_problem(
    "taco/2",
    text="Double a number.",
    entry_point="Solution",
    signature="",
    starter_code="class Solution:\n    def double(self, x: int) -> int:\n",
    tests=("assert Solution().double(2) == 4",),
    num_visible_tests=0,
)


def config(*overrides: str) -> DatasetConfig:
    return compose_config("stages=[baseline]", *overrides).dataset


def only(problem: Problem, style: PromptStyle) -> str:
    [message] = build_prompt(problem, style)
    assert message.role == "user"
    return message.content


def test_the_prompt_shows_the_signature_and_the_visible_tests() -> None:
    content = build_prompt(make_problem(num_visible_tests=2))[0].content
    assert "def double(x):" in content
    assert "assert double(0) == 0" in content
    assert "assert double(-1) == -2" not in content


def test_data_that_the_visible_tests_use_is_shown() -> None:
    problem = make_problem(setup_code="table = {1: 2}", tests=("assert double(table[1]) == 4",))
    assert "table = {1: 2}" in build_prompt(problem)[0].content


@pytest.mark.parametrize("problem", [make_problem(), HUMANEVAL, STDIN, METHOD])
@pytest.mark.parametrize("style", list(PromptStyle))
def test_the_reference_solution_is_never_shown(problem: Problem, style: PromptStyle) -> None:
    shown = "".join(message.content for message in build_prompt(problem, style))
    assert "return 2 * x" not in shown


def test_a_chat_prompt_for_a_function() -> None:
    assert only(make_problem(num_visible_tests=1), PromptStyle.chat) == (
        "Complete this Python function. Answer with one code block.\n\n"
        "```python\ndef double(x):\n"
        '    """Write a function to double a number.\n\n    assert double(2) == 4\n    """\n```'
    )


def test_a_chat_prompt_for_a_whole_program_says_how_it_reads_and_prints() -> None:
    assert only(STDIN, PromptStyle.chat) == (
        "Write a Python program that solves this problem. It reads from standard input and prints "
        "to standard output. Answer with one code block.\n\nRead a number, print its double."
    )


def test_a_chat_prompt_for_a_method_shows_the_starter_code() -> None:
    assert only(METHOD, PromptStyle.chat) == (
        "Solve this problem in Python. Complete the code below. Answer with one code block.\n\n"
        "Double a number.\n\n```python\nclass Solution:\n"
        "    def double(self, x: int) -> int:\n```"
    )


def test_a_function_without_starter_code_is_named_all_the_same() -> None:
    problem = replace(METHOD, starter_code="", entry_point="double")
    assert "def double(*args):" in only(problem, PromptStyle.chat)


def test_a_chat_prompt_for_code_to_go_on_with() -> None:
    assert only(HUMANEVAL, PromptStyle.chat) == (
        "Complete this Python function. Answer with one code block.\n\n"
        '```python\ndef double(x):\n    """ Twice x. """\n```'
    )


def test_the_original_prompt_of_mbpp() -> None:
    assert only(make_problem(), PromptStyle.original) == (
        "You are an expert Python programmer, and here is your task: Write a function to double a "
        "number. Your code should pass these tests:\n\nassert double(2) == 4\n"
        "assert double(0) == 0\nassert double(-1) == -2\n[BEGIN]\n"
    )


@pytest.mark.parametrize(("problem", "how"), [(STDIN, "Standard Input"), (METHOD, "Call-Based")])
def test_the_original_prompt_of_taco(problem: Problem, how: str) -> None:
    starter = f"{problem.starter_code}\n" if problem.starter_code else ""
    assert only(problem, PromptStyle.original) == (
        f"\nQUESTION:\n{problem.text}\n{starter}\nUse {how} format\n\nANSWER:\n"
    )


def test_the_prompt_of_evalplus_begins_the_answer() -> None:
    user, assistant = build_prompt(make_problem(), PromptStyle.evalplus)
    assert user.content == (
        "Please provide a self-contained Python script that solves the following problem in a "
        'markdown code block:\n```\n"""\nWrite a function to double a number.\n'
        'assert double(2) == 4\n"""\n```'
    )
    assert assistant == Message(
        role="assistant",
        content="Below is a Python script with a self-contained function that solves the problem "
        "and passes corresponding tests:\n```python\n",
    )


def test_a_completion_goes_on_from_what_the_prompt_has_begun() -> None:
    problem = make_problem()
    problem = replace(problem, prompt=build_prompt(problem, PromptStyle.evalplus))
    found = code_of("def double(x):\n    return x + x\n```\nThat is it.", problem)
    assert found.code == "def double(x):\n    return x + x\n"
    whole = replace(HUMANEVAL, prompt=build_prompt(HUMANEVAL, PromptStyle.original))
    assert code_of("    return x + x\n```", whole).code == (
        'def double(x):\n    """ Twice x. """\n    return x + x\n'
    )


def test_the_model_goes_on_with_the_turn_that_the_prompt_has_begun() -> None:
    problem = make_problem()
    problem = replace(problem, prompt=build_prompt(problem, PromptStyle.evalplus))
    [request] = make_requests([problem], 1, 0)
    tokenizer = byte_tokenizer()
    completions = Completions(tokenizer, frozenset(), ["\n```\n"])
    text = tokenizer.decode(completions.encode(request))
    assert text.endswith("```python\n") or text.endswith("```python")
    block = list(tokenizer("x = 1\n```\n")["input_ids"])
    assert completions.is_finished(block, request)
    plain = make_requests([make_problem()], 1, 0)[0]
    assert not completions.is_finished(block, plain), "there it would open a block"


def test_training_on_begun_answers_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"prompt_style=evalplus begins the answer"):
        compose_config("dataset.prompt_style=evalplus")
    assert config("dataset.prompt_style=evalplus").begins_answers


def test_examples_in_a_style_that_has_none_are_refused() -> None:
    with pytest.raises(ConfigError, match="evalplus has no examples"):
        config("dataset.prompt_style=evalplus", "dataset.num_shots=1")


def three() -> list[Problem]:
    return [
        make_problem("mini/2", "prompt", text="Shot two."),
        make_problem("mini/3", "prompt", text="Shot three."),
        make_problem("mini/101", "train", text="To train on."),
        make_problem("mini/1", "test", text="The question."),
    ]


def test_examples_are_solved_before_the_problem() -> None:
    prompt = with_prompts(three(), config("dataset.num_shots=2"))[-1].prompt
    assert [m.role for m in prompt] == ["user", "assistant"] * 2 + ["user"]
    assert "Shot two." in prompt[0].content
    assert prompt[1].content == "```python\ndef double(x):\n    return 2 * x\n```"
    assert "The question." in prompt[-1].content


def test_the_original_examples_of_mbpp_are_in_one_text() -> None:
    options = config("dataset.num_shots=1", "dataset.prompt_style=original")
    [message] = with_prompts(three(), options)[-1].prompt
    assert message.content.count("[BEGIN]") == 2
    assert message.content.count("[DONE]") == 1
    assert code_of("def f(x):\n    return 1\n[DONE]\n\nYou are", three()[0]).code == (
        "def f(x):\n    return 1\n"
    )


def test_examples_can_be_named() -> None:
    options = config("dataset.num_shots=1", 'dataset.shot_ids=["3","2"]')
    assert "Shot three." in with_prompts(three(), options)[-1].prompt[0].content


def test_examples_from_train_are_not_trained_on() -> None:
    problems = [p for p in three() if p.split != "prompt"]
    found = with_prompts(problems, config("dataset.num_shots=1"))
    assert [p.split for p in found] == ["prompt", "test"]


def test_a_problem_without_a_solution_is_no_example() -> None:
    unsolved, *others = three()
    found = with_prompts([replace(unsolved, references=()), *others], config("dataset.num_shots=1"))
    assert "Shot three." in found[-1].prompt[0].content


def test_too_few_examples_are_refused() -> None:
    with pytest.raises(ConfigError, match="have 2 solved examples"):
        with_prompts(three()[:2] + three()[3:], config("dataset.num_shots=3"))


def test_a_test_problem_is_never_an_example() -> None:
    with pytest.raises(ConfigError, match="have 0 solved examples"):
        with_prompts(three()[3:], config("dataset.num_shots=1"))


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
