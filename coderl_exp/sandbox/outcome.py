"""From a candidate's messages and its end to a verdict. Every status is derived here."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass, field

from coderl_exp.records import Program, StdinTest, Usage, Verdict, VerdictStatus
from coderl_exp.sandbox.children import ChannelError, Ended
from coderl_exp.sandbox.comparison import compare
from coderl_exp.sandbox.messages import Message
from coderl_exp.sandbox.output import output_matches
from coderl_exp.sandbox.splitting import SplitTest
from coderl_exp.sandbox.syscalls import refused_syscall

_MAX_ERROR = 300
_MAX_OUTPUT = 2000
CPU_LIMIT = "the CPU limit was reached"
WALL_LIMIT = "the wall limit was reached"
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")
_REFUSED_BY_CONFINEMENT = re.compile(r"\[Errno (?:1|13|27|30)\]")
"""EPERM, EACCES, EFBIG, EROFS: nothing else in the sandbox raises them."""
_LOAD_FAILURES = {
    status.value: status
    for status in (
        VerdictStatus.syntax_error,
        VerdictStatus.missing_entry_point,
        VerdictStatus.runtime_error,
    )
}


@dataclass
class Outcome:
    """What is known about a candidate so far."""

    program: Program
    splits: tuple[SplitTest | None, ...]
    """Per assert; None: it cannot be split. Empty for a whole program."""
    fraction: bool
    tests: list[VerdictStatus | None] = field(init=False)
    status: VerdictStatus | None = None
    error: str = ""
    ran: int = 0
    """How many tests have a result."""

    def __post_init__(self) -> None:
        self.tests = [None] * len(self.program.tests)

    @property
    def is_complete(self) -> bool:
        """Nothing that the child could still say would change the verdict."""
        failed = self.status is not None and not self.fraction
        return failed or self.ran == len(self.tests)

    def take(self, message: Message) -> None:
        """Account for the message of the next test.

        Raises:
            ChannelError: it is not one that is due; the candidate wrote it.
        """
        match message.kind, message.values:
            case "failed", (str(kind), str(name), str(line)) if self.ran == 0:
                failure = _LOAD_FAILURES.get(kind, VerdictStatus.runtime_error)
                self._fail(*_of_error(name, line, failure))
                self.ran = len(self.tests)
            case "value", (got, *results) if self._is_due(got, len(results)):
                self._compare(results)
            case "unreadable", (got, str(reason)) if self._is_next(got):
                self.add(VerdictStatus.wrong_answer, reason)
            case "error", (got, str(name), str(line)) if self._is_next(got):
                self.add_error(name, line)
            case _:
                raise ChannelError("not the message that is due")

    def _is_due(self, index: object, num_results: int) -> bool:
        split = self.splits[self.ran] if self.ran < len(self.splits) else None
        return self._is_next(index) and split is not None and num_results == len(split.calls)

    def _is_next(self, index: object) -> bool:
        return type(index) is int and index == self.ran < len(self.tests)

    def _compare(self, results: list[object]) -> None:
        split = self.splits[self.ran]
        assert split is not None
        found = compare(split.comparison, results)
        status = VerdictStatus.runtime_error if found.raised else _of_comparison(found.held)
        self.add(status, found.reason or self.not_held())

    def not_held(self) -> str:
        """What to say of the next test when its comparison is false."""
        return "does not hold: " + " ".join(str(self.program.tests[self.ran]).split())

    def take_output(self, exit_code: int, printed: bytes, error: tuple[str, str] | None) -> None:
        """Account for one run of a whole program."""
        test = self.program.tests[self.ran]
        assert isinstance(test, StdinTest)
        if exit_code or error:
            name, line = error or ("", _ending(exit_code))
            self.add(*_of_error(name, line, VerdictStatus.runtime_error))
            return
        matches, reason = output_matches(printed, test.stdout, self.program.output_rule)
        self.add(_of_comparison(matches), reason)

    def add(self, status: VerdictStatus, error: str = "") -> None:
        """The result of the next test."""
        self.tests[self.ran] = status
        self.ran += 1
        if status is not VerdictStatus.passed:
            self._fail(status, error)

    def add_error(self, name: str, line: str) -> None:
        """The next test ended in an exception."""
        self.add(*_of_error(name, line, VerdictStatus.runtime_error))

    def end(self, status: VerdictStatus, error: str) -> None:
        """The process ended or was ended during the next test, or after the last."""
        if self.ran < len(self.tests):
            self.add(status, error)
        else:
            self.tests[-1:] = [status] if self.tests else []
            self._fail(status, error)

    def time_out(self, limit: str) -> None:
        """The last result came too late."""
        if self.ran:
            self.tests[self.ran - 1] = VerdictStatus.timeout
        self._fail(VerdictStatus.timeout, limit)

    def end_early(self, ended: Ended) -> None:
        """The process is gone before everything was said."""
        if ended.cause == "wall":
            self.end(VerdictStatus.timeout, WALL_LIMIT)
        elif ended.cause == "cpu" or ended.exit_code == -signal.SIGXCPU:
            self.end(VerdictStatus.timeout, CPU_LIMIT)
        else:
            self.end(VerdictStatus.runtime_error, _ending(ended.exit_code))

    def _fail(self, status: VerdictStatus, error: str) -> None:
        """Keep the first failure."""
        if self.status is None:
            self.status, self.error = status, error

    def verdict(self, output: bytes, usage: Usage) -> Verdict:
        return Verdict(
            status=self.status or VerdictStatus.passed,
            tests=tuple(self.tests),
            error=masked(self.error, _MAX_ERROR),
            output=masked(output.decode("utf-8", "replace"), _MAX_OUTPUT),
            usage=usage,
        )


def masked(text: str, limit: int = _MAX_ERROR) -> str:
    """Truncated, and without addresses, which differ from run to run."""
    return _ADDRESS.sub("0x…", text[: 2 * limit])[:limit]


def _of_comparison(held: bool) -> VerdictStatus:
    return VerdictStatus.passed if held else VerdictStatus.wrong_answer


def _of_error(name: str, line: str, otherwise: VerdictStatus) -> tuple[VerdictStatus, str]:
    text = f"{name}: {line}" if name else line
    if name == "MemoryError":
        return VerdictStatus.memory_limit, text
    syscall = refused_syscall(line)
    if syscall is not None:
        return VerdictStatus.blocked, f"{name}: the system call {syscall} is not allowed"
    if name in ("PermissionError", "OSError") and _REFUSED_BY_CONFINEMENT.match(line):
        return VerdictStatus.blocked, text
    return otherwise, text


def _ending(exit_code: int) -> str:
    if exit_code < 0:
        try:
            return f"exited early: {signal.Signals(-exit_code).name}"
        except ValueError:
            pass
    return f"exited early with code {exit_code}"
