"""The judge that has candidates run by a SandboxFusion server (`sandbox=fusion`).

Splitting, comparing and deriving a verdict are those of the local judge; only the process runs
elsewhere. One request holds all calls of a candidate, or one run of a whole program; what follows
the first failure is ignored unless `fraction` is wanted. An answer that is none is tried again and
then a `sandbox_error`, never a verdict.

Not covered: isolation, which is the server's own and is not verified; the lanes; judging again
what came close to its time limit.
"""

from __future__ import annotations

import os
import secrets
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Literal, cast

from coderl_exp.errors import ConfigError, SandboxError
from coderl_exp.records import Program, StdinTest, Verdict, VerdictStatus
from coderl_exp.sandbox import IsolationReport
from coderl_exp.sandbox.children import ChannelError, Ended, Limits, OutputLimitError
from coderl_exp.sandbox.fusion_client import Connection, load_sdk
from coderl_exp.sandbox.fusion_script import Report, Script
from coderl_exp.sandbox.lanes import Work, judge_alone
from coderl_exp.sandbox.outcome import masked
from coderl_exp.sandbox.setup_code import setup_imports
from coderl_exp.sandbox.splitting import SplitTest, UnsplittableTest, split_test
from coderl_exp.sandbox.zygotes import Zygote

if TYPE_CHECKING:
    from collections.abc import Callable

    from coderl_exp.config import SandboxConfig

_MAX_REMEMBERED = 1024
"""Recent programs whose verdicts also serve identical ones."""
_START_S = 10.0
"""How much longer than its process a script may take, to start and to report."""


class FusionJudge:
    """Implements `Judge` on a SandboxFusion server."""

    def __init__(self, config: SandboxConfig) -> None:
        """Raises: ConfigError: the SDK is missing, or strict isolation is asked of the server."""
        if config.isolation.name == "strict":
            raise ConfigError(
                "sandbox.isolation is strict, but the isolation of a SandboxFusion server is its "
                "own and cannot be verified from here: set sandbox.isolation=best_effort."
            )
        self._config = config
        self._endpoint = config.endpoint or ""
        self._num_workers = config.num_workers or os.cpu_count() or 1
        self._sdk = load_sdk()

    def describe(self) -> IsolationReport:
        """Nothing that could be verified: the server has its own."""
        return IsolationReport(active=(f"that of the SandboxFusion server {self._endpoint}",))

    def close(self) -> None:
        """Nothing is kept between runs."""

    def run(self, programs: Iterable[Program]) -> Iterator[Verdict]:
        recent: OrderedDict[Program, Future[Verdict]] = OrderedDict()
        waiting: deque[Future[Verdict]] = deque()
        with (
            Connection(self._sdk, self._endpoint) as connection,
            ThreadPoolExecutor(self._num_workers, thread_name_prefix="fusion") as pool,
        ):
            try:
                for program in programs:
                    if program not in recent:
                        recent[program] = pool.submit(self._judge, program, connection)
                    waiting.append(recent[program])
                    if len(recent) > _MAX_REMEMBERED:
                        recent.popitem(last=False)
                    if len(waiting) >= 2 * self._num_workers:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                connection.stop()
                pool.shutdown(wait=False, cancel_futures=True)

    def _judge(self, program: Program, connection: Connection) -> Verdict:
        none = (None,) * len(program.tests)
        if program.code is None:
            return Verdict(status=VerdictStatus.no_code, tests=none)
        work = self._work(program, connection)
        try:
            return judge_alone(cast(Zygote, RemoteZygote(connection)), work, nullcontext()).verdict
        except SandboxError as error:
            status = VerdictStatus.sandbox_error
            return Verdict(status=status, tests=none, error=masked(str(error)))

    def _work(self, program: Program, connection: Connection) -> Work:
        cpu_s = program.timeout_s or self._config.timeout_s
        return Work(
            program=program,
            splits=_splits(program),
            imports=setup_imports(program.setup_code),
            limits=Limits(
                cpu_s=cpu_s,
                wall_s=cpu_s * self._config.wall_timeout_factor + 1,
                memory_mb=self._config.memory_mb,
                max_output_bytes=max(self._config.max_output_bytes, _room(program)),
            ),
            fraction=self._config.fraction,
            is_stopped=connection.is_stopped,
        )


def _room(program: Program) -> int:
    """At least twice the longest expected output: room to be wrong in.

    A power of two, because the request holds it and so would give that length away.
    """
    lengths = [len(test.stdout) for test in program.tests if isinstance(test, StdinTest)]
    return 2 << max(lengths, default=0).bit_length()


def _splits(program: Program) -> tuple[SplitTest, ...]:
    if program.entry_point is None:
        return ()
    try:
        return tuple(
            split_test(str(test), program.entry_point, program.setup_code) for test in program.tests
        )
    except UnsplittableTest as error:
        raise UnsplittableTest(
            f"{error} A SandboxFusion server is asked only once, so that all calls must be known "
            "beforehand: use sandbox=local for such tests."
        ) from None


class RemoteZygote:
    """Has the interface of a zygote, whose children here run on the server."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextmanager
    def child(
        self,
        kind: Literal["asserts", "program"],
        limits: Limits,
        _is_stopped: Callable[[], bool],
        *,
        preload: tuple[str, ...] = (),
        stdin: bytes | None = None,
    ) -> Iterator[RemoteChild]:
        """Nothing is preloaded: every script starts from nothing."""
        del preload
        yield RemoteChild(self._connection, kind, limits, stdin)


class RemoteChild:
    """A child that gets its request at once and whose lines are read from its report."""

    def __init__(
        self,
        connection: Connection,
        kind: Literal["asserts", "program"],
        limits: Limits,
        stdin: bytes | None,
    ) -> None:
        self.output = b""
        self.ended: Ended | None = None
        self._connection, self._kind, self._limits = connection, kind, limits
        self._stdin = None if stdin is None else stdin.decode("utf-8", "replace")
        self._lines: deque[str] = deque()

    def request(self, data: Mapping[str, Any]) -> None:
        """Have the server do it, to the end.

        Raises:
            SandboxError, JudgeStoppedError: see `Connection.run_code`.
        """
        marker = secrets.token_hex(16)
        script = Script(kind=self._kind, request=data, limits=self._limits, marker=marker)
        run_s = self._limits.wall_s + _START_S
        self._take(
            self._connection.run_code(
                script.text(), self._stdin, script.file, run_s, read=script.report
            )
        )

    def _take(self, report: Report) -> None:
        self.ended = report.ended()
        self.output = report.printed()[: self._limits.max_output_bytes + 1]
        self._lines.extend(report.results)

    def line(self) -> bytes | None:
        """The next line, or None after the last.

        Raises:
            OutputLimitError, ChannelError: the process was ended for it after the last.
        """
        if self._lines:
            return self._lines.popleft().encode("utf-8", "replace")
        if self.wait().cause == "output":
            raise OutputLimitError
        if self.wait().cause == "results":
            raise ChannelError("the results are over the cap")
        return None

    def wait(self) -> Ended:
        assert self.ended is not None
        return self.ended
