"""Tests that cannot be split: the test runs in a trusted process of its own, the entry point being
a stub there whose calls go to the candidate's process. The judge carries the messages.

Covered so: several statements, helper functions, changed arguments, `try`/`except`, HumanEval's
`check(candidate)`. Not covered: a test that hands objects or functions to the candidate, or uses a
class of the candidate's; such a test is reported as one that cannot be run.
"""

from __future__ import annotations

import ast
from dataclasses import replace
from functools import lru_cache

from coderl_exp.errors import DataError, SandboxError
from coderl_exp.records import Verdict, VerdictStatus
from coderl_exp.sandbox.children import Child, Limits
from coderl_exp.sandbox.lanes import Result, Turn, Work, apply_limits, in_child, usage_of
from coderl_exp.sandbox.messages import Message, parse_message
from coderl_exp.sandbox.outcome import Outcome
from coderl_exp.sandbox.splitting import SplitTest, UnsplittableTest, split_test
from coderl_exp.sandbox.zygotes import Zygote

_TEST_CPU_S = 3.0
"""What a test process may use itself, beside the candidate's own limit."""
_TEST_WALL_S = 4 * _TEST_CPU_S


class ImpossibleTest(Exception):  # noqa: N818  reads as what it is
    """The test asks for something that the split between processes does not allow."""


@lru_cache(maxsize=8192)
def plan_test(test: str, entry_point: str, setup_code: str) -> SplitTest | None:
    """How to split a test; None: it runs whole in a trusted process.

    Raises:
        DataError: it is not Python, or has nothing to do with the entry point.
    """
    try:
        return split_test(test, entry_point, setup_code)
    except UnsplittableTest as error:
        reason = str(error)
    try:
        tree = ast.parse(test.strip())
    except (SyntaxError, ValueError, RecursionError) as error:
        raise DataError(f"The test {test.strip()[:200]!r} is not Python: {error}.") from None
    if not any(isinstance(node, ast.Name) and node.id == entry_point for node in ast.walk(tree)):
        raise DataError(f"{reason} It must call {entry_point}.")
    return None


def judge_with_tests(zygote: Zygote, tests: Zygote, work: Work, turn: Turn) -> Result:
    """One candidate in `zygote`, its unsplittable tests in children of `tests`."""
    outcome, limits = work.outcome(), work.edge_limits()
    waits = replace(limits, wall_s=limits.wall_s + _TEST_WALL_S * work.splits.count(None))
    try:
        ended, output = in_child(
            zygote,
            "serve",
            work,
            outcome,
            lambda child: _serve(child, tests, work, outcome),
            waits,
            turn,
        )
    except ImpossibleTest as error:
        status, tests_ = VerdictStatus.sandbox_error, (None,) * len(work.program.tests)
        return Result(verdict=Verdict(status=status, tests=tests_, error=str(error)), at_edge=False)
    at_edge = apply_limits(outcome, ended, work.limits)
    return Result(verdict=outcome.verdict(output, usage_of(ended)), at_edge=at_edge)


def _serve(child: Child, tests: Zygote, work: Work, outcome: Outcome) -> None:
    child.request(work.load_request())
    line = child.line()
    if line is not None:
        message = parse_message(line)
        if message.kind != "loaded":
            outcome.take(message)
    while line is not None and not outcome.is_complete:
        split = work.splits[outcome.ran]
        if split is None:
            line = _run_test(child, tests, work, outcome)
            continue
        child.request(("evaluate", outcome.ran, list(split.calls)))
        line = child.line()
        if line is not None:
            outcome.take(parse_message(line))
    if line is None:
        outcome.end_early(child.wait())


def _run_test(child: Child, tests: Zygote, work: Work, outcome: Outcome) -> bytes | None:
    """Run the next test whole; None when the candidate's process ended meanwhile."""
    limits = Limits(
        cpu_s=_TEST_CPU_S,
        wall_s=work.limits.wall_s + _TEST_WALL_S,
        memory_mb=max(1024, work.limits.memory_mb),
        max_output_bytes=1 << 20,
    )
    with tests.child("test", limits, work.is_stopped, preload=work.preload()) as test:
        test.request({**work.load_request(), "test": str(work.program.tests[outcome.ran])})
        while (line := test.line()) is not None:
            if not line.startswith(b'["call",'):
                _take_end(parse_message(line), outcome)
                return line
            child.request(("call", outcome.ran, line))
            reply = child.line()
            if reply is None:
                return None
            if test.is_late:
                break
            test.request(reply)
    ended = test.ended
    if ended is not None and ended.cause in ("cpu", "wall"):
        outcome.add(VerdictStatus.timeout, "comparing the results took too long")
        return b""
    raise SandboxError(f"A test process ended early: {ended}.")


def _take_end(message: Message, outcome: Outcome) -> None:
    match message.kind, message.values:
        case "held", ():
            outcome.add(VerdictStatus.passed)
        case "failed", (str(name), str(line)):
            reason = f"{name}: {line}" if line else outcome.not_held()
            outcome.add(VerdictStatus.wrong_answer, reason)
        case "error", (str(name), str(line)):
            outcome.add_error(name, line)
        case "impossible", (str(reason),):
            raise ImpossibleTest(f"A test cannot be run: {reason}.")
        case _:
            raise SandboxError(f"A test process said {message.kind!r}.")
