"""The batch lane, seen from the judge: what may be tried there, and what becomes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from coderl_exp.records import StdinTest, Verdict
from coderl_exp.sandbox.children import ChannelError, Child, Limits, OutputLimitError
from coderl_exp.sandbox.lanes import NO_USAGE, Begun, Turn, Work, with_usage
from coderl_exp.sandbox.messages import Judged, Message, parse_batch_message
from coderl_exp.sandbox.outcome import Outcome
from coderl_exp.sandbox.zygotes import Zygote

SLOT_CPU_S = 0.05
"""What a program may use in the batch lane; who needs more gains little from it."""
_MAX_SLOT_S = 2 * SLOT_CPU_S
"""The slot's timer is that coarse; who used more got around it."""
_PAUSE_S = 0.0001
"""Less than any program takes."""
_MAX_BATCH_CODE = 50_000
_MAX_BATCH_STDIN = 1_000_000


def is_small(work: Work) -> bool:
    """Whether a program may be tried in the batch lane; whether it stays there is shown there."""
    stdin = sum(len(t.stdin) for t in work.program.tests if isinstance(t, StdinTest))
    return len(work.code) <= _MAX_BATCH_CODE and stdin <= _MAX_BATCH_STDIN


@dataclass(kw_only=True)
class BatchResult:
    """What became of a batch, by position; a position in neither was not reached."""

    verdicts: dict[int, Verdict]
    strict: set[int]
    begun: dict[int, Begun] = field(default_factory=dict)
    """Of programs that have to go on elsewhere."""
    is_full: bool = False
    """The process ended because it had grown, through no fault of the next program."""


def judge_batch(
    zygote: Zygote,
    works: Sequence[Work],
    turn: Turn,
    take_verdict: Callable[[int, Verdict], None],
) -> BatchResult:
    """The batch lane: provable programs one after another in one process.

    `take_verdict` gets the position and verdict of each as soon as it is known.
    """
    result = BatchResult(verdicts={}, strict=set())
    limits = _batch_limits(works)
    try:
        with zygote.child("batch", limits, works[0].is_stopped) as child, turn:
            child.request(_batch_request(works))
            for position, work in enumerate(works):
                if work.program.entry_point is not None:
                    _let_results_gather(child, len(works) - position)
                if not _take_result(child, position, work, result):
                    break
                if position in result.verdicts:
                    take_verdict(position, result.verdicts[position])
    except (OutputLimitError, ChannelError):
        pass  # the one that was running goes to the strict lane, as after any other end
    _blame_next(works, result)
    return result


def _let_results_gather(child: Child, num_due: int) -> None:
    """Wait for less than the rest will take: to be woken for each result would cost more."""
    if not child.has_line:
        time.sleep(_PAUSE_S * num_due)


def _blame_next(works: Sequence[Work], result: BatchResult) -> None:
    """The program after the last result, if there is one, ended the process."""
    reached = max((*result.verdicts, *result.strict), default=-1) + 1
    gave_up = result.is_full or reached - 1 in result.strict
    if reached < len(works) and not gave_up:
        result.strict.add(reached)


def _take_result(child: Child, position: int, work: Work, result: BatchResult) -> bool:
    """The result of one program; False when the process has ended."""
    outcome, usage, output = work.outcome(), NO_USAGE, b""
    while True:
        line = child.line()
        if line is None:
            return False
        match parse_batch_message(line):
            case Message(kind="strict", values=(int(index), str())) if index == position:
                result.strict.add(position)
                return True
            case Message(kind="full", values=()):
                result.is_full = True
                return False
            case Judged() as judged if judged.index == position and judged.cpu_s < _MAX_SLOT_S:
                usage, output = with_usage(usage, judged), output or judged.output
                if work.program.entry_point is not None:
                    _take_messages(outcome, judged)
                elif _take_run(outcome, judged):
                    if outcome.status is None:
                        begun = Begun(num_passed=outcome.ran, usage=usage, output=output)
                        result.begun[position] = begun
                    child.answer(b"n" if outcome.is_complete else b"g")
            case _:
                raise ChannelError("not the result that is due")
        if outcome.is_complete:
            result.verdicts[position] = outcome.verdict(output, usage)
            return True


def _take_messages(outcome: Outcome, judged: Judged) -> None:
    for message in judged.messages:
        if not outcome.is_complete:
            outcome.take(message)
    if not outcome.is_complete:
        raise ChannelError("not all tests have a result")


def _take_run(outcome: Outcome, judged: Judged) -> bool:
    """Account for one run; whether the process waits to hear if another is wanted."""
    match judged.messages:
        case (Message(kind="ran", values=(int(exit_code), str(name), str(line))),):
            outcome.take_output(exit_code, judged.output, (name, line) if name else None)
            return True
        case (Message(kind="failed") as message,):
            outcome.take(message)
            return False
    raise ChannelError("not the result of a run")


def _batch_limits(works: Sequence[Work]) -> Limits:
    """A backstop: the process has a timer for each program."""
    num_runs = sum(max(1, len(w.program.tests)) for w in works)
    return Limits(
        cpu_s=SLOT_CPU_S * num_runs + 1,
        wall_s=(SLOT_CPU_S * num_runs + 1) * 10,
        memory_mb=max(w.limits.memory_mb for w in works),
        max_output_bytes=max(w.limits.max_output_bytes for w in works),
    )


def _batch_request(works: Sequence[Work]) -> dict[str, Any]:
    return {
        "slot_cpu_s": min(SLOT_CPU_S, *(w.limits.cpu_s for w in works)),
        "fraction": works[0].fraction,
        "items": [
            {
                **w.load_request(),
                "max_output_bytes": w.limits.max_output_bytes,
                "stdin": [t.stdin for t in w.program.tests if isinstance(t, StdinTest)],
            }
            for w in works
        ],
    }
