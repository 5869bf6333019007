"""Programs of one batch: nothing that one does reaches another, or the process that runs them.

Each attack here once worked. The probes that follow it in the same batch tell if it still does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from coderl_exp.records import Program, StdinTest
from coderl_exp.sandbox import Judge

CLASS = "class A:\n def f(self):\n"
ATTACKS = {
    "a mangled module alias": CLASS + "  self.modules = 0\n  import sys as __m\n"
    "  return _A__m.modules['os'].getpid()\ndef f(x): return A().f() and 2",
    "a mangled alias from the top": "import sys as _A__m\n" + CLASS + "  self.modules = 0\n"
    "  __m.modules['math'].floor = abs\ndef f(x):\n A().f()\n return 2",
    "a mangled decorator": "from dataclasses import dataclass as __d\n"
    "from collections import Counter\n"
    "class A: pass\n_A__d(Counter)\ndef f(x): return 2",
    "evaluation by typing": "from typing import Union\nclass E:\n"
    " def __init__(self): self._evaluate = 0\n"
    " def __hash__(self): return hash(('1', None))\n def __eq__(self, o):\n"
    "  o._evaluate({}, {}, frozenset())\n  return True\n"
    "def f(x):\n Union[E(), '__import__(\"math\").__dict__.clear()']\n return 2",
    "a metaclass from an exception": "def f(x):\n try: int.foo\n except AttributeError as e:\n"
    "  e.obj('X', (), {'__del__': print})\n return 2",
    "the memo of deepcopy": "import copy\nimport sys\nclass A:\n"
    " def __init__(self): self._give_up = 0\n"
    "def f(x):\n memo = {}\n try: copy.deepcopy(sys.stdout.buffer, memo)\n except Exception: pass\n"
    " return 2",
    "the memo of deepcopy under another name": "from copy import deepcopy\nd = deepcopy\n"
    "def f(x):\n memo = {}\n d(f, memo)\n deepcopy(1)\n return 2",
    "registering with a shared class": "from typing import Mapping\nclass A:\n"
    " def __init__(self): self.register = 0\ndef f(x):\n Mapping.register(list)\n return 2",
    "deriving from a shared abstract class": "from fractions import Fraction\n"
    "class A(Fraction): pass\n"
    "class B:\n def __init__(self): self.register = 0\ndef f(x):\n A.register(str)\n return 2",
    "flags that lie to the cache of re": "import re\nclass I(int):\n def __hash__(self): return 0\n"
    " def __eq__(self, o): return True\ndef f(x):\n re.compile('abc', I(2))\n return 2",
    "a template that lies to the cache of re": "import re\nclass R(str):\n"
    " def __hash__(self): return hash('b')\n def __eq__(self, o): return True\n"
    "def f(x):\n re.sub('a', R('boo'), 'a')\n return 2",
    "keys that lie to the cache of typing": "from typing import Dict\nclass T(tuple):\n"
    " def __eq__(self, o):\n  print('late')\n  exit(3)\n __hash__ = None\n"
    "def f(x):\n Dict[T((str, float))]\n return 2",
    "members of a shared enumeration": "import re\nclass A:\n"
    " def __init__(self): self._value2member_map_ = 0\n"
    "def f(x):\n type(re.I)._value2member_map_[10] = re.S\n return 2",
    "a decorator that swaps the class": "from dataclasses import dataclass\n"
    "from collections import Counter\ndef other(c): return Counter\n"
    "@dataclass\n@other\nclass X: pass\ndef f(x): return 2",
    "code in the fields of a dataclass": "from dataclasses import dataclass, field\n"
    "class F(type(field())):\n reads = 0\n"
    "@dataclass\nclass X:\n x: int = F()\ndef f(x): return 2",
    "memory that is left behind": "a = []\na.append(a)\na.append([0] * 12_000_000)\n"
    "def f(x): return 2",
    "a generator that ends late": "class It:\n def __iter__(self): return self\n"
    " def __next__(self): return 1\n def close(self): print('late')\n"
    "def g(): yield from It()\nkept = g()\nnext(kept)\ndef f(x): return 2",
    "the timer": "import sys\nclass A:\n def __init__(self): self._give_up = 0\n"
    "class R:\n def __getitem__(self, k): raise ValueError\n"
    "def f(x):\n try: sys.stdout.buffer._give_up(R())\n except ValueError: pass\n return 2",
}
PROBE = """
import math, re
from collections import Counter
from fractions import Fraction
from typing import Dict
def f(x):
    big = bytearray(150_000_000)
    found = [
        math.floor(1.5), Counter([1, 1, 2])[1], Counter() == Counter(), isinstance('', Fraction),
        re.search('abc', 'ABC'), re.sub('a', 'b', 'a'), str(Dict[str, float]), str(re.I | re.M),
        len(big), isinstance([], dict),
    ]
    return found == [1, 2, True, False, None, 'b', 'typing.Dict[str, float]',
                     're.IGNORECASE|re.MULTILINE', 150_000_000, False]
"""


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_reaches_the_next_program(judge: Judge, name: str) -> None:
    wrong = "def f(x): return 3"
    probes = [
        Program(code=code, entry_point="f", tests=(f"assert f(1) == {expected}",))
        for code, expected in ((PROBE, True), (wrong, 2), ("def f(x): return 2", 2))
    ]
    attack = Program(code=ATTACKS[name], entry_point="f", tests=("assert f(1) == 2",))
    attacks = [attack, Program(code=attack.code + "\n#", entry_point="f", tests=attack.tests)]
    _, _, *verdicts = judge.run([*attacks, *probes])
    assert [verdict.passed for verdict in verdicts] == [True, False, True], verdicts
    assert all(verdict.output == "" for verdict in verdicts)


def test_a_closed_judge_tells_who_still_waits(make: Callable[..., Judge]) -> None:
    judge = make(num_workers=1, timeout_s=30.0)
    sleeper = "import time\ndef f(x): time.sleep({n})"
    programs = [
        Program(code=sleeper.format(n=n), entry_point="f", tests=("assert f(1)",))
        for n in (0.1, 0.5, 0.6)
    ]
    stream: Iterator[object] = judge.run(programs)
    next(stream)
    judge.close()
    with pytest.raises(Exception, match="closed"):
        list(stream)


SAME_AS_ALONE = {
    "carriage returns": ("s = input()\nprint(s == s[::-1])", "aba\r\n", "False"),
    "a lone carriage return": ("print(len(input()))", "a\rb\n", "3"),
    "an exit code of an odd kind": (
        "class I(int):\n def __and__(self, o): return 0\nprint(1)\nraise SystemExit(I(5))",
        "", None,
    ),
    "writing to the input": ("import sys\nsys.stdin.write('x')\nprint(1)", "", None),
    "reading from the output": ("import sys\nsys.stdout.read()\nprint(1)", "", None),
    "a descriptor": ("import sys\nprint(sys.stdin.fileno())", "", "0"),
    "recursion to the limit": (
        "n = 0\ndef g():\n global n\n n += 1\n g()\ntry: g()\nexcept RecursionError: print(n)", "",
        "999",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME_AS_ALONE)
def test_a_program_behaves_as_it_does_alone(judge: Judge, name: str) -> None:
    code, stdin, expected = SAME_AS_ALONE[name]
    tests = (StdinTest(stdin=stdin, stdout=expected or "1"),)
    verdict = next(judge.run([Program(code=code, entry_point=None, tests=tests)]))
    assert verdict.passed is (expected is not None), verdict


@pytest.mark.parametrize(
    "line",
    [
        b'["error",["nd",["t",2],1,2],"",""]', b'["value",["?","object",null],1]', b'["value",0]',
        b'["value",0,1,1]', b'["failed",1,2,3]', b'["unreadable",true,"x"]', b"[]", b"{}", b"\xff",
        b'["judged",0,1]', b'["value",0,["nd",["t",1],["nd",["t",2],1,2]]]',
        b'["value",0,' + b"1," * 9999 + b"1]",
    ],
)  # fmt: skip
def test_a_hostile_line_fails_its_writer_and_nobody_else(judge: Judge, line: bytes) -> None:
    forger = (
        f"import os, time\nos.write(3, {line + bytes([10])!r})\ntime.sleep(0.2)\ndef f(x): return 2"
    )
    tests = ("assert f(1) == 2",)
    programs = [
        Program(code=code, entry_point="f", tests=tests) for code in (forger, "def f(x): return 2")
    ]
    forged, honest = judge.run(programs)
    assert not forged.passed
    assert honest.passed


_COUNT_FRAMES = "n = 0\ndef g():\n global n\n n += 1\n g()\n"
_MANY = 40
"""More calls than it takes until the interpreter makes them in another way."""


def test_calls_have_as_many_frames_as_in_a_script_however_many_came_before(judge: Judge) -> None:
    code = f"{_COUNT_FRAMES}def f(x):\n try: g()\n except RecursionError: return n\nnumber = "
    programs = [
        Program(code=f"{code}{number}", entry_point="f", tests=("assert f(1) == 998",))
        for number in range(_MANY)
    ]
    assert all(verdict.passed for verdict in judge.run(programs))


def test_programs_have_as_many_frames_as_a_script_however_many_came_before(judge: Judge) -> None:
    code = f"{_COUNT_FRAMES}try: g()\nexcept RecursionError: print(n)\nnumber = "
    tests = (StdinTest(stdin="", stdout="999"),)
    programs = [
        Program(code=f"{code}{number}", entry_point=None, tests=tests) for number in range(_MANY)
    ]
    assert all(verdict.passed for verdict in judge.run(programs))


def test_limits_of_the_zygote_stay_what_they_are(judge: Judge) -> None:
    code = "import resource\ndef f(x): resource.prlimit(1, resource.RLIMIT_DATA, (10**6, 10**6))"
    program = Program(code=code, entry_point="f", tests=("assert f(1) == 2",))
    assert next(judge.run([program])).status == "blocked"
