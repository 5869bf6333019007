"""Problem → chat messages: the one prompt that every stage and every trainer sees.

`with_prompts` writes it into the problem, once; nothing else builds one. Three styles:

- `chat`: short and plain. It always shows the signature: a model that has to guess the function's
  name is measured on its guessing.
- `original`: the wording of the dataset's own paper, for comparison with published numbers.
- `evalplus`: EvalPlus' wording for chat models (https://github.com/evalplus/evalplus), which begins
  the assistant's turn. For evaluation only: trainers have no such turn.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace

from coderl_exp.dataset_schemas import DatasetConfig, PromptStyle
from coderl_exp.errors import ConfigError
from coderl_exp.records import Message, Problem

PROMPT_VERSION = 2
"""Part of every generation key: change the text below and raise this."""

_STDIN = (
    "Write a Python program that solves this problem. It reads from standard input and prints to "
    "standard output. Answer with one code block.\n\n"
)
_STARTER = "Solve this problem in Python. Complete the code below. Answer with one code block.\n\n"
_EVALPLUS_REQUEST = (
    "Please provide a self-contained Python script that solves the following problem in a markdown "
    "code block:\n```\n{}\n```"
)
_EVALPLUS_ANSWER = (
    "Below is a Python script with a self-contained function that solves the problem and passes "
    "corresponding tests:\n```python\n"
)


def with_prompts(problems: Sequence[Problem], config: DatasetConfig) -> list[Problem]:
    """The problems with their `prompt`; examples taken from train leave it for the split `prompt`.

    Raises:
        ConfigError: there are fewer examples than `num_shots`.
    """
    shots = _shots(problems, config)
    names = {shot.task_id for shot in shots}
    return [
        replace(
            problem,
            split="prompt" if problem.task_id in names else problem.split,
            prompt=build_prompt(problem, config.prompt_style, shots),
        )
        for problem in problems
    ]


def _shots(problems: Sequence[Problem], config: DatasetConfig) -> list[Problem]:
    if config.num_shots == 0:
        return []
    solved = [p for p in problems if p.reference and p.split in ("prompt", "train")]
    if config.shot_ids is not None:
        by_id = {p.task_id: p for p in solved}
        wanted = [f"{config.name}/{number}" for number in config.shot_ids[: config.num_shots]]
        found = [by_id[task_id] for task_id in wanted if task_id in by_id]
    else:
        found = [p for p in solved if p.split == "prompt"] or solved
        found = found[: config.num_shots]
    if len(found) < config.num_shots:
        raise ConfigError(
            f"dataset.num_shots is {config.num_shots}, but the splits prompt and train have "
            f"{len(found)} solved examples for it: lower it, or correct dataset.shot_ids."
        )
    return found


def build_prompt(
    problem: Problem, style: PromptStyle = PromptStyle.chat, shots: Sequence[Problem] = ()
) -> tuple[Message, ...]:
    """The chat messages for one problem; `shots` are solved before it."""
    match style:
        case PromptStyle.chat:
            turns = [turn for shot in shots for turn in _solved(shot)]
            return (*turns, _user(_chat(problem)))
        case PromptStyle.original:
            return _original(problem, shots)
        case PromptStyle.evalplus:
            request = _user(_EVALPLUS_REQUEST.format(_evalplus(problem)))
            return (request, Message(role="assistant", content=_EVALPLUS_ANSWER))


def answer_start(prompt: Sequence[Message]) -> str:
    """What the prompt says of the assistant's turn already: a completion goes on from there."""
    return prompt[-1].content if prompt and prompt[-1].role == "assistant" else ""


def _user(content: str) -> Message:
    return Message(role="user", content=content)


def _solved(shot: Problem) -> tuple[Message, Message]:
    answer = f"```python\n{shot.reference.strip()}\n```"
    return _user(_chat(shot)), Message(role="assistant", content=answer)


def _chat(problem: Problem) -> str:
    text = problem.text.strip()
    if problem.entry_point is None:
        return f"{_STDIN}{text}"
    if problem.starter_code and not text:
        code = problem.starter_code.strip("\n")
        return (
            f"Complete this Python function. Answer with one code block.\n\n```python\n{code}\n```"
        )
    if not problem.signature:
        return f"{_STARTER}{text}\n\n```python\n{_starter(problem)}\n```{_examples(problem)}"
    lines = [text]
    if visible := _visible(problem):
        lines += ["", *problem.setup_code.strip().splitlines(), *visible]
    docstring = textwrap.indent("\n".join(lines), "    ").strip()
    return (
        "Complete this Python function. Answer with one code block.\n\n"
        f'```python\n{problem.signature}\n    """{docstring}\n    """\n```'
    )


def _starter(problem: Problem) -> str:
    """The dataset's, or what says the name at least."""
    return problem.starter_code.strip() or f"def {problem.entry_point}(*args):"


def _examples(problem: Problem) -> str:
    visible = _visible(problem)
    return "\n\nYour code should pass these tests:\n\n" + "\n".join(visible) if visible else ""


def _visible(problem: Problem) -> list[str]:
    return [str(test) for test in problem.tests[: problem.num_visible_tests]]


def _original(problem: Problem, shots: Sequence[Problem]) -> tuple[Message, ...]:
    """MBPP's few-shot text, TACO's question, or HumanEval's code to go on with."""
    if problem.signature and problem.text:
        solved = "".join(f"{_mbpp(shot)}{shot.reference.strip()}\n[DONE]\n\n" for shot in shots)
        return (_user(f"{solved}{_mbpp(problem)}"),)
    if not problem.text:
        start = f"```python\n{problem.starter_code}"
        return (_user("Complete this function."), Message(role="assistant", content=start))
    return (_user("\n".join([_taco(shot, shot.reference) for shot in shots] + [_taco(problem)])),)


def _mbpp(problem: Problem) -> str:
    """Section 3.1 of https://arxiv.org/abs/2108.07732, with the delimiters of its prompts."""
    tests = "\n".join(_visible(problem))
    return (
        f"You are an expert Python programmer, and here is your task: {problem.text.strip()} Your "
        f"code should pass these tests:\n\n{tests}\n[BEGIN]\n"
    )


def _taco(problem: Problem, solution: str = "") -> str:
    """The text that TACO's and APPS' own scripts build."""
    how = "Standard Input" if problem.entry_point is None else "Call-Based"
    starter = f"{problem.starter_code}\n" if problem.starter_code else ""
    return f"\nQUESTION:\n{problem.text}\n{starter}\nUse {how} format\n\nANSWER:\n{solution}"


def _evalplus(problem: Problem) -> str:
    """The problem as EvalPlus writes it: a docstring with the first test, or HumanEval's code."""
    if problem.starter_code and not problem.text:
        return problem.starter_code.strip()
    first = "".join(f"{test}\n" for test in problem.tests[:1] if isinstance(test, str))
    return f'"""\n{problem.text.strip()}\n{first}"""'
