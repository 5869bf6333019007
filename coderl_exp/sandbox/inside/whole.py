"""Running a whole program that reads standard input, on real descriptors: one test, one process."""

import atexit
import base64
import marshal
import os
import sys
from types import CodeType
from typing import Any

from .asserts import BELOW_EXEC, fresh_namespace, match_recursion_limit, seed_random
from .channel import Channel, described, message

_BROKEN_STREAM = 120
"""Python's own exit code where standard output cannot be flushed."""


def run(channel: Channel) -> None:
    """Serve one request and end the process with the program's exit code."""
    request = channel.read_request()
    seed_random(request["code"])
    code = compiled(request, channel)
    namespace = fresh_namespace("__main__")
    finish, stdout = os._exit, sys.stdout
    status = exit_status(code, namespace, channel)
    finish(finalised(status, stdout))


def compiled(request: dict[str, Any], channel: Channel) -> CodeType:
    """The program's code; the first process of a program hands it on for the others."""
    if request["compiled"]:
        code: CodeType = marshal.loads(request["compiled"])
        return code
    try:
        code = compile(request["code"], "<candidate>", "exec", dont_inherit=True)
    except BaseException as error:
        channel.send(message("failed", "syntax_error", *described(error)))
        os._exit(1)
    channel.send(message("compiled", base64.b64encode(marshal.dumps(code)).decode()))
    return code


def exit_status(code: CodeType, namespace: dict[str, Any], channel: Channel) -> int:
    """Run the program; its exit code, as Python would give it."""
    match_recursion_limit(BELOW_EXEC)
    try:
        exec(*(code, namespace))
    except SystemExit as error:
        return exit_code_of(error)
    except BaseException as error:
        channel.send(message("error", *described(error)))
        return 1
    return 0


def exit_code_of(error: SystemExit) -> int:
    code = error.code
    if code is None:
        return 0
    return int.__and__(code, 0xFF) if isinstance(code, int) else 1


def finalised(status: int, stdout: Any) -> int:
    """What Python does at the end of a script: join threads, run exit handlers, flush."""
    try:
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()
        atexit._run_exitfuncs()
    except BaseException:
        status = status or 1
    try:
        flush_open(sys.stdout, stdout)
    except BaseException:
        return status or _BROKEN_STREAM
    return status


def flush_open(*streams: Any) -> None:
    """Flush the streams that are there and open, as Python does before it ends."""
    for stream in streams:
        if stream is not None and not getattr(stream, "closed", False):
            stream.flush()
