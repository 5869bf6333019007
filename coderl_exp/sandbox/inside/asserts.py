"""Loading a candidate and evaluating the calls of its tests; for one candidate, one process.

All that is reported is the candidate's own claim: the judge derives every status from it and from
what the kernel measured.
"""

import sys
from types import CodeType
from typing import Any

from .channel import Channel, Flusher, described, message
from .encoding import UnencodableValueError

MODULE = "solution"
_SCRIPT_FRAMES = 1000
BELOW_EXEC, BELOW_EVAL = 2, 3
"""Frames that these take themselves, as the interpreter counts.

It counts one less where it has specialised the call of a built-in, which it does after some, but
not of one with unpacked arguments.
"""
Namespace = dict[str, Any]


def run(channel: Channel) -> None:
    """Serve one request: load, then one message per test until the judge ends the process."""
    request = channel.read_request()
    flush = Flusher()
    seed_random(request["code"], request["setup"])
    namespace = fresh_namespace(MODULE)
    failure = load(request, namespace)
    if failure is not None:
        flush()
        channel.send(failure)
        return
    for index, calls in enumerate(request["tests"]):
        text = evaluate(index, calls, namespace)
        flush()
        channel.send(text)


def fresh_namespace(name: str) -> Namespace:
    """The names of a new module, which can be imported under its name."""
    module = type(sys)(name)
    sys.modules[name] = module
    return module.__dict__


def seed_random(*sources: str) -> None:
    """Make `random` repeatable where it is used and no zygote has seeded it already."""
    if "random" not in sys.modules and any("random" in source for source in sources):
        import random

        random.seed(0)


_given_limit = [sys.getrecursionlimit()]


def match_recursion_limit(num_hidden: int) -> None:
    """Give code that is run from the caller as many frames as a script has.

    A limit that the candidate has set itself stays.
    """
    if sys.getrecursionlimit() == _given_limit[0]:
        depth, frame = 0, sys._getframe(1)
        while frame.f_back is not None:
            depth, frame = depth + 1, frame.f_back
        set_recursion_limit(_SCRIPT_FRAMES + depth + num_hidden)


def set_recursion_limit(limit: int) -> None:
    """Give code that many frames in all, this process's own included."""
    _given_limit[0] = limit
    sys.setrecursionlimit(limit)


def given_recursion_limit() -> int:
    """What `match_recursion_limit` has set last."""
    return _given_limit[0]


def reset_recursion_limit() -> None:
    """Undo what a candidate has set."""
    sys.setrecursionlimit(_given_limit[0])


def load(request: dict[str, Any], namespace: Namespace) -> str | None:
    """Run the candidate's code and the setup; the message that says why not, or None."""
    try:
        code = compile(request["code"], "<candidate>", "exec", dont_inherit=True)
    except BaseException as error:
        return message("failed", "syntax_error", *described(error))
    imports, setup = (
        [compile(request[part], "<setup>", "exec", dont_inherit=True)] if request[part] else []
        for part in ("imports", "setup")
    )
    return execute([*imports, code, *setup], request["entry_point"], namespace)


def execute(codes: list[CodeType], entry_point: str, namespace: Namespace) -> str | None:
    """Run compiled code in order; the message that says why it failed, or None."""
    match_recursion_limit(BELOW_EXEC)
    try:
        for code in codes:
            exec(*(code, namespace))
    except BaseException as error:
        return message("failed", "runtime_error", *described(error))
    if not callable(namespace.get(entry_point)):
        reason = f"{entry_point} is not defined as a function"
        return message("failed", "missing_entry_point", "NameError", reason)
    return None


def evaluate(index: int, calls: list[Any], namespace: Namespace) -> str:
    """The message of one test, whose calls are source or compiled."""
    match_recursion_limit(BELOW_EVAL)
    try:
        codes = [
            compile(call, "<test>", "eval", dont_inherit=True) if isinstance(call, str) else call
            for call in calls
        ]
        return message("value", index, *[eval(*(code, namespace)) for code in codes])
    except UnencodableValueError as error:
        return message("unreadable", index, str(error))
    except BaseException as error:
        return message("error", index, *described(error))
