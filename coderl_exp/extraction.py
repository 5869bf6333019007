"""Completion → code: the one way in which every stage, the trainer and the tools read a completion.

Not covered: languages other than Python, and code that a model spreads over several blocks which
only run together.
"""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import dataclass

from coderl_exp.prompts import answer_start
from coderl_exp.records import Problem

EXTRACTION_VERSION = 3
"""Part of every annotation key: change a rule below and raise this."""

_DELIMITERS = re.compile(r"^\[(?:BEGIN|DONE)\]$", re.MULTILINE)
"""Those of MBPP's own prompts, which end a solution with `[DONE]`."""
_FENCE = re.compile(r"^[ \t]*```[ \t]*([\w+-]*)[^\n]*$", re.MULTILINE)
_CLOSING = re.compile(r"^[ \t]*```[ \t]*$", re.MULTILINE)
_PYTHON_TAGS = {"", "py", "python", "python3"}
_INPUT_OR_OUTPUT = re.compile(r"\b(?:print|input|open)\(|\bstd(?:in|out)\b")
_CODE_START = re.compile(r"^(?:(?:async def|def|class|import|from) |@\w|\w+ = )", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """The code and the rule that found it.

    Rules: `block_with_entry_point`, `last_program_block`, `last_python_block`,
    `unterminated_block`, `whole_text`, `code_after_prose`, `none`.
    """

    code: str | None
    rule: str


def code_of(completion: str, problem: Problem) -> Extraction:
    """The program in a completion of the problem's prompt, which may have begun the answer."""
    return extract_code(answer_start(problem.prompt) + completion, problem.entry_point)


@dataclass(frozen=True)
class _Block:
    code: str
    is_python: bool
    closed: bool


def extract_code(completion: str, entry_point: str | None) -> Extraction:
    """Find the program in a completion.

    The first fenced block that defines `entry_point` wins; else the last Python block that
    defines anything; else an unterminated block; else the text before any fence, or its part from
    the first definition on. An output block or a shell block is never taken for code.

    Without an entry point a whole program is wanted: the last Python block that reads or prints
    comes first.
    """
    completion = _undelimited(completion.replace("\r\n", "\n"))
    blocks = [block for block in _blocks(completion) if block.is_python and block.code.strip()]
    if entry_point is None:
        wanted = [b for b in reversed(blocks) if _INPUT_OR_OUTPUT.search(b.code)]
    else:
        wanted = [b for b in blocks if _defines(b.code, entry_point) and not _is_stub(b.code)]
    if wanted:
        rule = "last_program_block" if entry_point is None else "block_with_entry_point"
        rule = rule if wanted[0].closed else "unterminated_block"
        return Extraction(code=wanted[0].code, rule=rule)
    with_definitions = [b for b in blocks if re.search(r"^\s*(def|class)\s", b.code, re.M)]
    if with_definitions:
        last = with_definitions[-1]
        rule = "last_python_block" if last.closed else "unterminated_block"
        return Extraction(code=last.code, rule=rule)
    fence = _FENCE.search(completion)
    return _unfenced(completion[: fence.start()] if fence else completion)


def _undelimited(text: str) -> str:
    """Up to the end of the first solution, where the delimiters of MBPP's prompts stand in it."""
    parts = [part for part in _DELIMITERS.split(text) if part.strip()]
    return parts[0] if parts and _DELIMITERS.search(text) else text


def _blocks(text: str) -> list[_Block]:
    """Fenced blocks in order; a fence without its end runs to the end of the text."""
    blocks: list[_Block] = []
    position = 0
    while opening := _FENCE.search(text, position):
        closing = _closing_fence(text, opening.end())
        body = text[opening.end() + 1 : closing.start() if closing else len(text)]
        is_python = opening.group(1).lower() in _PYTHON_TAGS
        blocks.append(_Block(_dedent(body), is_python, closing is not None))
        position = closing.end() if closing else len(text)
    return blocks


def _closing_fence(text: str, start: int) -> re.Match[str] | None:
    """The first fence after which the block parses (one may stand in a docstring), or the first."""
    fences = list(_CLOSING.finditer(text, start))
    for fence in fences:
        if _parses(_dedent(text[start + 1 : fence.start()])):
            return fence
    return fences[0] if fences else None


def _unfenced(text: str) -> Extraction:
    if _parses(text) and _CODE_START.search(text):
        return Extraction(code=_dedent(text), rule="whole_text")
    start = _CODE_START.search(text)
    code = _longest_program(text[start.start() :]) if start else None
    return Extraction(code=code, rule="code_after_prose" if code else "none")


def _longest_program(text: str) -> str | None:
    """`text` without trailing lines of prose: the longest prefix of whole lines that parses.

    Code that never parses is kept where it defines something, to be judged a syntax error.
    """
    lines = text.splitlines()
    for end in range(len(lines), 0, -1):
        if _parses(prefix := "\n".join(lines[:end])):
            return prefix.rstrip() + "\n"
    return text if re.search(r"^(def|class) \w+", text, re.M) else None


def _defines(code: str, entry_point: str) -> bool:
    name = re.escape(entry_point)
    definition = rf"^\s*(?:(?:async )?def {name}\b|class {name}\b|{name}\s*=(?!=))"
    return re.search(definition, code, re.M) is not None


def _is_stub(code: str) -> bool:
    """The prompt's signature repeated: functions of nothing but a docstring, `...` or `pass`."""
    if not _parses(code):
        return False
    functions = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef)]
    return bool(functions) and all(
        isinstance(statement, ast.Pass)
        or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for function in functions
        for statement in function.body
    )


def _parses(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _dedent(code: str) -> str:
    """Blocks inside list items are indented as a whole; `textwrap.dedent` copes with that."""
    return textwrap.dedent(code).strip("\n") + "\n"
