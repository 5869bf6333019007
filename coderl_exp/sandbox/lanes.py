"""The conversations with a child: one candidate alone, or one run of a program."""

from __future__ import annotations

import base64
import binascii
import re
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from coderl_exp.records import Program, StdinTest, Usage, Verdict, VerdictStatus
from coderl_exp.sandbox.children import ChannelError, Child, Ended, Limits, OutputLimitError
from coderl_exp.sandbox.messages import Judged, Message, parse_message
from coderl_exp.sandbox.outcome import CPU_LIMIT, WALL_LIMIT, Outcome
from coderl_exp.sandbox.splitting import SplitTest
from coderl_exp.sandbox.zygotes import Zygote

Turn = AbstractContextManager[Any]
"""Held while a candidate runs; its process is made ready before and ended after."""
EDGE = 1.25
"""A child is ended at this multiple of its CPU limit; one that ends between is judged again."""
_STARVED = 0.05
"""A child that used more than this share of its wall time was computing, not sleeping."""
_SENT_SIGNALS = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGHUP, -signal.SIGINT)
NO_USAGE = Usage(cpu_s=0, wall_s=0, memory_mb=0)
_HEAVY = re.compile(r"\b(numpy)\b")


@dataclass(frozen=True, kw_only=True)
class Begun:
    """The first runs of a program, which passed in the batch lane before it had to leave."""

    num_passed: int = 0
    usage: Usage = NO_USAGE
    output: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Work:
    """One program on its way to a verdict."""

    program: Program
    splits: tuple[SplitTest | None, ...]
    """Per assert; None: it cannot be split. Empty for a whole program."""
    imports: str
    """The import statements of its setup code."""
    limits: Limits
    """Its own CPU limit, not yet stretched to the edge."""
    fraction: bool
    is_stopped: Callable[[], bool]
    begun: Begun = Begun()

    @property
    def code(self) -> str:
        return self.program.code or ""

    @property
    def needs_test_process(self) -> bool:
        return None in self.splits

    def load_request(self) -> dict[str, Any]:
        """What every process of a candidate with an entry point must know."""
        return {
            "code": self.code,
            "entry_point": self.program.entry_point,
            "setup": self.program.setup_code,
            "imports": self.imports,
            "tests": [list(split.calls) for split in self.splits if split is not None],
        }

    def outcome(self) -> Outcome:
        return Outcome(program=self.program, splits=self.splits, fraction=self.fraction)

    def preload(self) -> tuple[str, ...]:
        return tuple(sorted(set(_HEAVY.findall(self.code) + _HEAVY.findall(self.imports))))

    def edge_limits(self) -> Limits:
        return replace(self.limits, cpu_s=self.limits.cpu_s * EDGE)


@dataclass(frozen=True, kw_only=True)
class Result:
    """A verdict, and whether another look, alone on the machine, could change it."""

    verdict: Verdict
    at_edge: bool


def judge_alone(zygote: Zygote, work: Work, turn: Turn) -> Result:
    """The strict lane: a process of its own per candidate, or per run of a whole program."""
    if work.program.entry_point is None:
        return _judge_runs(zygote, work, turn)
    outcome = work.outcome()
    ended, output = in_child(
        zygote,
        "asserts",
        work,
        outcome,
        lambda child: _converse(child, work, outcome),
        work.edge_limits(),
        turn,
    )
    at_edge = apply_limits(outcome, ended, work.limits)
    return Result(verdict=outcome.verdict(output, usage_of(ended)), at_edge=at_edge)


def in_child(
    zygote: Zygote,
    kind: str,
    work: Work,
    outcome: Outcome,
    talk: Callable[[Child], None],
    limits: Limits,
    turn: Turn,
    stdin: bytes | None = None,
) -> tuple[Ended, bytes]:
    """Talk to a child until it has ended; its output, as far as it goes."""
    child: Child | None = None
    try:
        with (
            zygote.child(
                kind, limits, work.is_stopped, preload=work.preload(), stdin=stdin
            ) as child,
            turn,
        ):
            talk(child)
    except OutputLimitError:
        outcome.end(
            VerdictStatus.output_limit, f"more than {limits.max_output_bytes} bytes of output"
        )
    except ChannelError:
        outcome.end(VerdictStatus.runtime_error, "the result channel was written to")
    assert child is not None
    assert child.ended is not None
    return child.ended, bytes(child.output)


def _converse(child: Child, work: Work, outcome: Outcome) -> None:
    child.request(work.load_request())
    while not outcome.is_complete:
        line = child.line()
        if line is None:
            outcome.end_early(child.wait())
            return
        outcome.take(parse_message(line))


def apply_limits(outcome: Outcome, ended: Ended, limits: Limits) -> bool:
    """Turn a pass that took too long into a timeout; whether the end may not have been its own.

    That is so of a timeout that was close, and of a death by a signal that others send: an
    administrator, or the kernel when the machine is out of memory.
    """
    if ended.cause == "wall":
        if outcome.status is None:
            outcome.time_out(WALL_LIMIT)
        return ended.cpu_s > _STARVED * ended.wall_s
    if outcome.status is None and ended.cpu_s > limits.cpu_s:
        outcome.time_out(CPU_LIMIT)
        return True
    return ended.exit_code in _SENT_SIGNALS and not ended.cause


def usage_of(ended: Ended) -> Usage:
    return Usage(cpu_s=ended.cpu_s, wall_s=ended.wall_s, memory_mb=ended.memory_mb)


def with_usage(usage: Usage, run: Ended | Judged) -> Usage:
    """What a program has used when one more run of it is counted."""
    return Usage(
        cpu_s=usage.cpu_s + run.cpu_s,
        wall_s=usage.wall_s + run.wall_s,
        memory_mb=max(usage.memory_mb, run.memory_mb),
        longest_run_s=max(usage.longest_run_s, run.cpu_s),
    )


@dataclass
class _Runs:
    """What the runs of one program have in common, and what they cost together."""

    compiled: bytes = b""
    error: tuple[str, str] | None = None
    output: bytes = b""
    usage: Usage = NO_USAGE


def _judge_runs(zygote: Zygote, work: Work, turn: Turn) -> Result:
    outcome, at_edge = work.outcome(), False
    runs = _Runs(output=work.begun.output, usage=work.begun.usage)
    for number, test in enumerate(work.program.tests):
        assert isinstance(test, StdinTest)
        if number < work.begun.num_passed:
            outcome.add(VerdictStatus.passed)
            continue
        ended, output = in_child(
            zygote,
            "program",
            work,
            outcome,
            lambda child: _listen(child, work, runs, outcome),
            work.edge_limits(),
            turn,
            stdin=test.stdin.encode("utf-8", "surrogateescape"),
        )
        runs.usage = with_usage(runs.usage, ended)
        runs.output = runs.output or output
        if outcome.ran == number:
            if ended.cause:
                outcome.end_early(ended)
            else:
                outcome.take_output(ended.exit_code, output, runs.error)
        at_edge = at_edge or apply_limits(outcome, ended, work.limits)
        if outcome.is_complete:
            break
    return Result(verdict=outcome.verdict(runs.output, runs.usage), at_edge=at_edge)


def _listen(child: Child, work: Work, runs: _Runs, outcome: Outcome) -> None:
    """Let one run of a program end by itself, and note what its process says of it."""
    runs.error = None
    child.request({"code": work.code, "compiled": runs.compiled})
    while (line := child.line()) is not None:
        match parse_message(line):
            case Message(kind="compiled", values=(str(text),)) if not runs.compiled:
                runs.compiled = _decoded(text)
            case Message(kind="error", values=(str(name), str(text))):
                runs.error = name, text
            case message:
                outcome.take(message)
    child.wait()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ChannelError(str(error)) from None
