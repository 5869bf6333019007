"""Which programs may share a process: what is proven, what is refused, what the guards catch."""

from __future__ import annotations

import ast

import pytest

from coderl_exp.records import Program
from coderl_exp.sandbox import Judge
from coderl_exp.sandbox.inside.nodes import UnprovableError
from coderl_exp.sandbox.inside.provable import prove

PROVEN = [
    "def f(x):\n return sorted(x, key=lambda p: p[1])[::-1]",
    "import math, re as r\nfrom collections import Counter, defaultdict\n"
    "def f(x): return math.gcd(1, 2), r.findall('a', x), Counter(x).most_common(1)",
    "from math import *\ndef f(x): return sqrt(x)",
    "class A:\n total = 0\n def __init__(self, x): self.x = x\n"
    " def __lt__(self, o): return self.x < o.x\n"
    "class B(A):\n def __init__(self, x):\n  super().__init__(x)\n  self._y = x\n"
    "def f(x): return B(x)._y",
    "from dataclasses import dataclass\n@dataclass(order=True)\nclass P:\n x: int\n y: int = 0\n"
    "def f(x): return P(x).x",
    "from functools import lru_cache\n@lru_cache(maxsize=None)\ndef f(n): return n",
    "def f(x):\n try: return int(x)\n except (ValueError, TypeError) as e: return str(e)",
    "def f(n):\n for i in range(n): yield i",
    "def f(x): return type(x).__name__ == 'int' and isinstance(x, int)",
    "def f(x): return '{:>5}|{0!r}|{name}'.format(x, name=x) + f'{x:.2f}' + '%s' % x",
    "def f(x):\n f.calls = 1\n return f.calls",
    "import sys\nsys.setrecursionlimit(10**6)\nn = int(sys.stdin.readline())\n"
    "sys.stdout.write(str(n))",
    "def f(x): return [y := x, y ** 2, *x, {**x}]",
    "if __name__ == '__main__': print(input())",
    "import os, sys\nfrom io import BytesIO, IOBase\nclass In(IOBase):\n"
    " def __init__(self, file): self._fd = file.fileno()\n"
    " def readline(self): return os.read(self._fd, os.fstat(self._fd).st_size).decode()\n"
    "sys.stdin, sys.stdout = In(sys.stdin), sys.stdout\nprint(input())",
]
REFUSED = [
    "import os\nos.system('x')",
    "from os import environ",
    "import os\nx = os",
    "import os\nos.read = x",
    "import io\nio.open('x')",
    "from io import FileIO",
    "import numpy",
    "import collections.abc",
    "from . import x",
    "from re import purge",
    "from collections import abc",
    "from typing import *",
    "import math as m\nx = m",
    "import math\nmath.pi = 3",
    "import math\nf(math)",
    "import math\ndef f(m=math): pass",
    "x.__class__",
    "x.__dict__",
    "().__class__.__bases__",
    "__builtins__",
    "__import__('os')",
    "eval('1')",
    "exec('1')",
    "open('x')",
    "globals()",
    "vars()",
    "getattr(x, 'y')",
    "compile",
    "setattr(x, 'y', 1)",
    "dir(x)",
    "id(x)",
    "memoryview(b'')",
    "breakpoint()",
    "type('A', (), {})",
    "t = type",
    "type(*x)",
    "super(A, b)",
    "isinstance(x, type)",
    "'{0.x}'.format(y)",
    "'{0[x]}'.format(y)",
    "'{:{0.x}}'.format(y)",
    "s.format(y)",
    "str.format",
    "'{x}'.format_map(y)",
    "f.gi_frame",
    "e.tb_frame",
    "f.mro()",
    "c.cr_frame",
    "e.with_traceback(None)",
    "class A(metaclass=B): pass",
    "class A:\n def __del__(self): pass",
    "class A:\n def __getattr__(self, n): pass",
    "class A:\n __slots__ = ()",
    "class A:\n import math",
    "class A:\n if x: y = 1",
    "class A:\n def __init_subclass__(c): pass",
    "class A:\n gi_frame = 1\nx.gi_frame",
    "async def f(): pass",
    "with x: pass",
    "match x:\n case int(real=y): pass",
    "try: pass\nexcept* E: pass",
    "def f():\n try: yield\n finally: print(1)",
    "import random\nrandom._inst",
    "import re\nre._cache",
    "from functools import wraps",
    "import functools\nfunctools.update_wrapper(a, b)",
    "from dataclasses import dataclass\ndataclass(X)",
    "from functools import total_ordering as t\nt(X)",
    "import dataclasses\nd = dataclasses.dataclass",
    "from dataclasses import dataclass\n@dataclass(X)\nclass A: pass",
    "from dataclasses import dataclass\n@dataclass(eq=f(X))\nclass A: pass",
    "import dataclasses\ndataclasses.dataclass(X)",
    "import operator\noperator.attrgetter('x')",
    "import string\nstring.Formatter",
    "import sys\nsys.modules",
    "import sys\nsys.stderr = x",
    "import sys\nsys.maxsize = x",
    "import sys\ndel sys.stdin",
    "import math\nfor math in x: pass",
    "import math\nexcept_ = [math]",
    "import math\ntry: pass\nexcept E as math: pass",
    "import math\nglobal math",
    "import math\nlambda math: 1",
    "ｏｐｅｎ('x')",
    "x.ｇi_frame",
    "del x.__doc__",
    "f(__class__=1)",
    "def f(__x__): pass",
    "lambda: __debug__",
    "import decimal\ndecimal.getcontext()",
    "from random import Random",
    "import calendar\ncalendar.setfirstweekday(1)",
    "import copy as c, math as c",
]


@pytest.mark.parametrize("source", PROVEN)
def test_programs_on_plain_data_are_proven(source: str) -> None:
    prove([ast.parse(source)])


@pytest.mark.parametrize("source", REFUSED)
def test_what_could_reach_further_is_refused(source: str) -> None:
    with pytest.raises(UnprovableError):
        prove([ast.parse(source)])


GUARDED = [
    "from collections import Counter\nclass A:\n def put(self): self.x = 1\n"
    "def f(x):\n A.put(Counter)\n return 2",
    "from fractions import Fraction\ndef change(c): c.numerator = 3\n"
    "def f(x):\n try: change(Fraction)\n except: pass\n return 2",
    "def f(x): return type(type(x))('A', (), {}) and 2",
]


@pytest.mark.parametrize("code", GUARDED)
def test_what_the_guards_catch_does_not_reach_the_next_program(judge: Judge, code: str) -> None:
    probe = (
        "from collections import Counter\nfrom fractions import Fraction\n"
        "def f(x): return 1 if 'x' in vars(Counter) or Fraction(3).numerator != 3 else 2"
    ).replace("'x' in vars(Counter)", "hasattr(Counter, 'x')")
    tests = ("assert f(1) == 2",)
    codes = [code, "def f(x): return 2", code + "\n#", probe, "def f(x): return 3"]
    programs = [Program(code=source, entry_point="f", tests=tests) for source in codes]
    assert [v.passed for v in judge.run(programs)] == [True, True, True, True, False]
