"""The batch lane: proven programs, one after another in one process.

Each runs in a fresh namespace with the listed builtins only, on streams of its own, under a CPU
timer that kills the process. Afterwards the shared state that it could name is compared with what
it was. What cannot be proved or decided here goes back for a process of its own (`strict`).
"""

import ast
import builtins
import gc
import os
import random
import re
import resource
import signal
import sys
import time
import typing
from collections.abc import Iterable
from operator import is_
from types import CodeType
from typing import Any, NoReturn

from . import allowed
from .asserts import (
    BELOW_EXEC,
    MODULE,
    Namespace,
    evaluate,
    execute,
    fresh_namespace,
    given_recursion_limit,
    match_recursion_limit,
    reset_recursion_limit,
)
from .channel import Channel, described, message
from .encoding import encode
from .guards import Streams, guards, set_give_up
from .provable import Proof, prove, prove_call
from .whole import exit_code_of

Codes = list[list[CodeType]]
"""Per test, its calls."""
_EMPTY = ast.Module([], [])
_MAX_RESULT_BYTES = 1_000_000
_MAX_GROWTH_KB = 32 * 1024
"""A process that has grown by more makes room for a fresh one."""
_IMMUTABLE_TYPE = 1 << 8
"""Py_TPFLAGS_IMMUTABLETYPE"""


class _Shared:
    """What programs of one process share, as it was before the first of them."""

    def __init__(self) -> None:
        self._before = {
            name: [(vars(owner), list(vars(owner).values())) for owner in _changeable(name)]
            for name in ("builtins", *allowed.MODULES)
            if name in sys.modules and name not in allowed.STREAM_MODULES
        }
        names = allowed.BUILTINS & vars(builtins).keys()
        self.builtins = {name: getattr(builtins, name) for name in names}
        allowed.is_absent("no_such_module")  # which fills the importer's caches

    def is_unchanged(self, modules: Iterable[str]) -> bool:
        """Whether the modules that a program named hold the very same objects."""
        return all(
            len(now) == len(before) and all(map(is_, now.values(), before))
            for name in ("builtins", *modules)
            for now, before in self._before.get(name, ())
        )


def _changeable(name: str) -> list[Any]:
    """A module, and the classes that a program may take from it and that could be changed."""
    module = sys.modules[name]
    values = [getattr(module, key) for key in allowed.MODULES.get(name, ())]
    classes = [value for value in values if isinstance(value, type)]
    return [module, *(c for c in classes if not c.__flags__ & _IMMUTABLE_TYPE)]


_shared: list[_Shared] = []


def prepare() -> None:
    """Remember, in the zygote, what no program may change."""
    _shared.append(_Shared())


def run(channel: Channel) -> None:
    """Judge the programs of one request in order, a message each."""
    request = channel.read_request()
    gc.disable()  # so that nothing is finalised while another program runs
    lane = _Lane(channel, request)
    for index, item in enumerate(request["items"]):
        lane.judge(index, item)
        lane.end_if_grown()


class _Lane:
    def __init__(self, channel: Channel, request: dict[str, Any]) -> None:
        self._channel = channel
        self._slot_cpu_s: float = request["slot_cpu_s"]
        self._fraction: bool = request["fraction"]
        self._calls: dict[tuple[tuple[str, ...], ...], tuple[frozenset[str], Codes]] = {}
        self._streams = sys.stdin, sys.stdout
        self._index = 0
        self._max_memory_kb = _peak_memory_kb() + _MAX_GROWTH_KB
        set_give_up(self._give_up)

    def judge(self, index: int, item: dict[str, Any]) -> None:
        """Judge one program, and send what came of it."""
        self._index = index
        self._started = time.perf_counter(), time.thread_time()
        self._start_timer()
        try:
            trees = [_parsed(item[part]) for part in ("imports", "code", "setup")]
        except (SyntaxError, ValueError) as error:
            self._report("", [message("failed", "syntax_error", *described(error))])
            return
        except (MemoryError, RecursionError) as error:
            self._undecided(repr(error))
            return
        try:
            names, calls = self._proven_calls(item["tests"])
            proof = prove(trees, names)
            codes = [compile(t, "<candidate>", "exec", dont_inherit=True) for t in trees if t.body]
        except SyntaxError as error:
            self._report("", [message("failed", "syntax_error", *described(error))])
            return
        except BaseException as error:
            self._undecided(str(error))
            return
        if "random" in proof.modules:
            random.seed(0)
        if item["stdin"]:
            self._judge_program(codes, item, proof)
        else:
            self._judge_calls(codes, calls, item, proof)

    def _start_timer(self) -> None:
        """The default action of SIGPROF ends the process, whatever code it is in."""
        signal.setitimer(signal.ITIMER_PROF, self._slot_cpu_s)

    def _proven_calls(self, tests: list[list[str]]) -> tuple[frozenset[str], Codes]:
        """The names that the tests' calls use, and the calls compiled; made once for a problem."""
        key = tuple(map(tuple, tests))
        if key not in self._calls:
            calls = ",".join(call for calls in tests for call in calls)
            tree = ast.parse(f"[{calls},]" if calls else "[]", "<test>", "eval")
            assert isinstance(tree.body, ast.List)
            names, parts = prove_call(tree), iter(tree.body.elts)
            codes = [[_expression(next(parts)) for _ in calls] for calls in tests]
            self._calls[key] = names, codes
        return self._calls[key]

    def _judge_calls(
        self, codes: list[CodeType], calls: Codes, item: dict[str, Any], proof: Proof
    ) -> None:
        streams = self._open_streams("", item["max_output_bytes"]) if proof.has_streams else None
        namespace = self._namespace(MODULE, streams)
        failure = execute(codes, item["entry_point"], namespace)
        messages = [failure] if failure else self._evaluated(calls, namespace)
        limit = sys.getrecursionlimit()
        output = self._clear(MODULE, namespace, streams, proof.modules)
        if any(_is_undecided(text, limit) for text in messages):
            self._undecided("it ran out of memory or frames")
        elif sum(map(len, messages)) > _MAX_RESULT_BYTES:
            self._undecided("its results are large")
        elif not _shared[0].is_unchanged(proof.modules):
            self._give_up("it changed what programs share")
        else:
            self._report(output.decode("utf-8", "replace"), messages)

    def _evaluated(self, tests: Codes, namespace: Namespace) -> list[str]:
        """The messages of all tests, up to the first that raises unless all are wanted."""
        messages = []
        for index, calls in enumerate(tests):
            text = evaluate(index, calls, namespace)
            messages.append(text)
            if not (self._fraction or text.startswith('["value"')):
                break
        return messages

    def _judge_program(self, codes: list[CodeType], item: dict[str, Any], proof: Proof) -> None:
        """Run it on one input after the other while the judge says to go on."""
        for text in item["stdin"]:
            self._started = time.perf_counter(), time.thread_time()
            self._start_timer()
            if "random" in proof.modules:
                random.seed(0)
            streams = self._open_streams(text, item["max_output_bytes"])
            namespace = self._namespace("__main__", streams)
            ended = _run_program(codes, namespace)
            limit = sys.getrecursionlimit()
            output = self._clear("__main__", namespace, streams, proof.modules)
            if _is_undecided(message("ran", *ended), limit):
                self._undecided("it ran out of memory or frames")
                return
            if not _shared[0].is_unchanged(proof.modules):
                self._give_up("it changed what programs share")
            self._report(output, [message("ran", *ended)])
            if self._channel.reply() != b"g":
                return

    def _namespace(self, name: str, streams: Streams | None) -> Namespace:
        self._main = sys.modules["__main__"]
        namespace = fresh_namespace(name)
        namespace["__builtins__"] = {**_shared[0].builtins, **guards(namespace, streams)}
        reset_recursion_limit()
        return namespace

    def _open_streams(self, text: str, max_output_bytes: int) -> Streams:
        streams = Streams(text, max_output_bytes)
        sys.stdin, sys.stdout = streams.stdin, streams.stdout
        return streams

    def _clear(
        self, name: str, namespace: Namespace, streams: Streams | None, modules: frozenset[str]
    ) -> bytes:
        """Drop all that the program had, while its timer still runs; what it printed."""
        output = streams.printed() if streams else b""
        namespace.clear()
        sys.stdin, sys.stdout = self._streams
        del sys.modules[name]
        sys.modules["__main__"] = self._main
        reset_recursion_limit()
        _empty_tables(modules)
        return output

    def _report(self, output: str | bytes, messages: list[str]) -> None:
        wall, cpu = self._started
        measured = time.thread_time() - cpu, time.perf_counter() - wall
        cpu_us, wall_us = (int(seconds * 1e6) for seconds in measured)
        head = f'"judged",{self._index},{cpu_us},{wall_us},{_peak_memory_kb()},{encode(output)}'
        signal.setitimer(signal.ITIMER_PROF, 0)
        self._channel.send(f"[{head},[{','.join(messages)}]]")

    def end_if_grown(self) -> None:
        """So that the next program has the memory that it would have alone."""
        if _peak_memory_kb() > self._max_memory_kb:
            self._channel.send(message("full"))
            os._exit(0)

    def _undecided(self, reason: str) -> None:
        text = message("strict", self._index, str.__str__(reason)[:200])
        signal.setitimer(signal.ITIMER_PROF, 0)
        self._channel.send(text)

    def _give_up(self, reason: str) -> NoReturn:
        """End the process, as no exception would surely get past the program's handlers."""
        self._undecided(reason)
        os._exit(0)


def _expression(node: ast.expr) -> CodeType:
    return compile(ast.Expression(node), "<test>", "eval", dont_inherit=True)


def _parsed(source: str) -> ast.Module:
    flags = ast.PyCF_ONLY_AST
    return compile(source, "<candidate>", "exec", flags, dont_inherit=True) if source else _EMPTY


def _empty_tables(modules: frozenset[str]) -> None:
    """Forget what modules keep of what they were given."""
    if "re" in modules:
        re.purge()
    if "typing" in modules:
        for clear in typing._cleanups:  # type: ignore[attr-defined]
            clear()


def _peak_memory_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _is_undecided(text: str, recursion_limit: int) -> bool:
    """Whether what was raised can depend on what ran before in this process."""
    is_own_limit = recursion_limit != given_recursion_limit()
    return '"MemoryError"' in text or (is_own_limit and '"RecursionError"' in text)


def _run_program(codes: list[CodeType], namespace: Namespace) -> tuple[int, str, str]:
    """Exit code, and the type and last line of the exception that ended it."""
    match_recursion_limit(BELOW_EXEC)
    try:
        for code in codes:
            exec(*(code, namespace))
    except SystemExit as error:
        return exit_code_of(error), "", ""
    except BaseException as error:
        return (1, *described(error))
    return 0, "", ""
