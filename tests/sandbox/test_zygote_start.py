"""What a zygote does before its first child: a rehearsal, and keeping memory together."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coderl_exp.config import Lane
from coderl_exp.records import Program
from coderl_exp.sandbox import Judge, syscalls, zygotes

_SANDBOX = Path(zygotes.__file__).parent


def in_fresh_python(code: str) -> Any:
    """What a new process, which finds `inside` as a zygote does, prints as JSON."""
    head = f"import json, sys; sys.path.insert(0, {str(_SANDBOX)!r})\n"
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-c", head + code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_a_rehearsal_leaves_the_process_as_it_was() -> None:
    try:
        child_filter = syscalls.syscall_filters()[1]
    except OSError as error:
        pytest.skip(str(error))
    before, after = in_fresh_python(
        f"""
import os, resource
from inside import confinement, rehearsal
def state():
    limits = [resource.getrlimit(n) for n in (resource.RLIMIT_CPU, resource.RLIMIT_AS)]
    with open("/proc/self/status") as file:
        seccomp = [line for line in file if line.startswith("Seccomp")]
    descriptors = sorted(os.listdir("/proc/self/fd"))
    return sorted(sys.modules), sys.getrecursionlimit(), limits, seccomp, descriptors
import collections, math, gc
first = state()
rehearsal.rehearse(confinement.Confinement({{}}, [], (b"", {child_filter!r})))
print(json.dumps([first, state()]))
"""
    )
    assert after == before


def test_a_rehearsal_takes_every_step_of_a_child() -> None:
    messages = in_fresh_python(
        """
from inside import asserts, child, confinement, rehearsal
said = []
real_send, real_restrict = asserts.Channel.send, confinement.Confinement.restrict
def send(self, text):
    said.append(text)
    real_send(self, text)
def restrict(self, limits, is_rehearsal=False):
    said.append(f"restrict {is_rehearsal}")
asserts.Channel.send, confinement.Confinement.restrict = send, restrict
rehearsal.rehearse(confinement.Confinement({}, [], (b"", b"")))
print(json.dumps(said))
"""
    )
    kinds = [message.split(",")[0] for message in messages]
    once = ["restrict True", '["value"', '["value"', '["value"', '["error"']
    assert kinds
    assert kinds == once * (len(kinds) // len(once))


def test_what_is_made_after_filling_lies_side_by_side() -> None:
    before, after = in_fresh_python(
        """
import ast, typing, dataclasses
from inside.memory import fill_gaps
def num_pages():
    made = [bytes(40) for _ in range(40)]
    return len({id(thing) >> 12 for thing in made})
holes = [bytes(41) for _ in range(4000)]
del holes[::7]
first = num_pages()
fill_gaps()
print(json.dumps([first, num_pages()]))
"""
    )
    assert after <= 2 < before


def test_a_candidate_finds_nothing_of_the_rehearsal(judge: Judge) -> None:
    code = """
import gc
def f(x):
    names = {getattr(thing, "__name__", "") for thing in gc.get_objects()}
    return sorted(names & {"Node", "solve"})
"""
    program = Program(code=code, entry_point="f", tests=("assert f(1) == []",))
    assert next(judge.run([program])).passed


@pytest.mark.parametrize("num_open", [60, 300])
def test_a_judge_with_many_open_files_hands_none_of_its_descriptors_on(
    num_open: int, make: Callable[..., Judge]
) -> None:
    code = """
import os
def f(x):
    found = []
    for descriptor in range(1024):
        try:
            os.fstat(descriptor)
        except OSError:
            continue
        found.append(descriptor)
    return found
"""
    program = Program(code=code, entry_point="f", tests=("assert f(1) == [0, 1, 2, 3]",))
    with contextlib.ExitStack() as stack:
        for _ in range(num_open):
            stack.enter_context(Path(os.devnull).open())
        verdict = next(make(lane=Lane.strict).run([program]))
    assert verdict.passed, verdict
