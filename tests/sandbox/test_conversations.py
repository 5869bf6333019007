"""Whatever a child says, in whatever order, the judge makes a verdict of it and goes on.

Messages are well-formed here and mean anything; `test_encoding_properties` sends what is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from coderl_exp.errors import SandboxError
from coderl_exp.records import Program, StdinTest, VerdictStatus
from coderl_exp.sandbox.batches import judge_batch
from coderl_exp.sandbox.children import Ended, Limits
from coderl_exp.sandbox.inside.answers import CAUSES
from coderl_exp.sandbox.inside.channel import message
from coderl_exp.sandbox.lanes import Work, judge_alone
from coderl_exp.sandbox.trusted import judge_with_tests, plan_test
from coderl_exp.sandbox.zygotes import Zygote

LIMITS = Limits(cpu_s=1, wall_s=5, memory_mb=64, max_output_bytes=100)
FUNCTION = Program(code="c", entry_point="f", tests=("assert f(1) == 2", "assert f(2) == f(3)"))
UNSPLIT = Program(code="c", entry_point="f", tests=("y = f(1)\nassert y == 2", "assert f(2) == 3"))
WHOLE = Program(
    code="c",
    entry_point=None,
    tests=(StdinTest(stdin="1", stdout="1"), StdinTest(stdin="2", stdout="2")),
)

values = st.one_of(
    st.integers(-1, 3), st.sampled_from(["", "f", "MemoryError", "passed", "YQ=="]), st.booleans(),
    st.lists(st.integers(0, 3), max_size=2), st.dictionaries(st.text(max_size=1), st.none()),
)  # fmt: skip
KINDS = """value error unreadable failed loaded returned raised compiled ran judged strict full call
held impossible nonsense""".split()  # noqa: SIM905
anything = st.builds(
    lambda kind, rest: message(kind, *rest), st.sampled_from(KINDS), st.lists(values, max_size=4)
)
RESULTS = {
    "value": (2,),
    "two": (5, 5),
    "error": ("E", "x"),
    "unreadable": ("x",),
    "failed": ("x",),
}
in_order = st.lists(st.sampled_from(list(RESULTS)), max_size=4).map(
    lambda kinds: [
        message(kind.replace("two", "value"), n, *RESULTS[kind]) for n, kind in enumerate(kinds)
    ]
)
conversations = st.one_of(in_order, st.lists(anything, max_size=6))
judged = st.builds(
    lambda index, printed, said: f'["judged",{index},1,1,1,"{printed}",[{",".join(said)}]]',
    st.integers(-1, 2),
    st.sampled_from(["", "1", "2"]),
    st.one_of(in_order, st.lists(anything, max_size=3)),
)
ends = st.builds(
    Ended,
    exit_code=st.sampled_from([0, 1, 120, -9, -11, -64]),
    cause=st.sampled_from([*CAUSES, "wall"]),
    cpu_s=st.sampled_from([0.1, 1.1]),
    wall_s=st.just(2.0),
    memory_mb=st.just(10.0),
)
outputs = st.sampled_from([b"", b"1\n", b"2", b"\xff"])


class StandIn:
    """A zygote whose children say what is given, whatever they are asked."""

    def __init__(self, lines: list[str], ended: Ended, output: bytes = b"") -> None:
        self.lines, self.ended, self.output = [line.encode() for line in lines], ended, output

    @contextmanager
    def child(self, *_: object, **__: object) -> Iterator[Any]:
        lines = iter(self.lines)
        yield SimpleNamespace(
            request=lambda _: None,
            answer=lambda _: None,
            line=lambda: next(lines, None),
            wait=lambda: self.ended,
            has_line=True,
            is_late=False,
            ended=self.ended,
            output=self.output,
        )


def stand_in(*given: Any) -> Zygote:
    return cast(Zygote, StandIn(*given))


def work_of(program: Program, fraction: bool) -> Work:
    entry_point = program.entry_point
    return Work(
        program=program,
        splits=tuple(plan_test(str(t), entry_point, "") for t in program.tests)
        if entry_point is not None
        else (),
        imports="",
        limits=LIMITS,
        fraction=fraction,
        is_stopped=lambda: False,
    )


@given(conversations, ends, outputs, st.booleans())
def test_a_process_of_its_own(lines: list[str], end: Ended, output: bytes, fraction: bool) -> None:
    for program in (FUNCTION, WHOLE):
        result = judge_alone(
            stand_in(lines, end, output), work_of(program, fraction), nullcontext()
        )
        assert len(result.verdict.tests) == 2
        assert result.verdict.status is not VerdictStatus.sandbox_error


@given(st.lists(st.one_of(judged, anything), max_size=6), ends, st.booleans())
def test_a_batch(lines: list[str], end: Ended, fraction: bool) -> None:
    works = [work_of(FUNCTION, fraction), work_of(WHOLE, fraction)]
    for order in (works, works[::-1]):
        result = judge_batch(stand_in(lines, end), order, nullcontext(), lambda *_: None)
        assert not result.strict & set(result.verdicts)
        assert set(result.verdicts) | result.strict <= {0, 1}


@given(conversations, conversations, ends, ends, st.booleans())
def test_a_trusted_test_process(
    lines: list[str], of_test: list[str], end: Ended, end_of_test: Ended, fraction: bool
) -> None:
    """It is trusted: only what it says itself may be a failure of the judge."""
    tests, work = stand_in(of_test, end_of_test), work_of(UNSPLIT, fraction)
    for said in (lines, [message("loaded"), *lines]):
        with suppress(SandboxError):
            result = judge_with_tests(stand_in(said, end), tests, work, nullcontext())
            assert len(result.verdict.tests) == 2


def test_who_says_what_is_right_passes() -> None:
    ended = Ended(exit_code=0, cause="", cpu_s=0.1, wall_s=0.1, memory_mb=10)
    lines = [message("value", 0, 2), message("value", 1, 5, 5)]
    result = judge_alone(stand_in(lines, ended), work_of(FUNCTION, False), nullcontext())
    assert result.verdict.passed
