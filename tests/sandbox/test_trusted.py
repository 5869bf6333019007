"""Tests that cannot be split run in a trusted process, where the entry point is a stub."""

from __future__ import annotations

import pytest

from coderl_exp.errors import DataError
from coderl_exp.records import VerdictStatus
from coderl_exp.sandbox.trusted import plan_test

from .conftest import JudgeOne

MUTATES = "x = [3, 1, 2]\nf(x)\nassert x == [1, 2, 3]"
HUMAN_EVAL = "def check(candidate):\n assert candidate(1) == 2\n assert candidate(5) == 6\ncheck(f)"
RAISES = "try:\n f(-1)\nexcept ValueError:\n pass\nelse:\n assert False"
HELD = [
    ("def f(x): x.sort()", MUTATES),
    ("def f(x): return x + 1", HUMAN_EVAL),
    ("def f(x): raise ValueError('negative')", RAISES),
    ("class E(ValueError): pass\ndef f(x): raise E('negative')", RAISES),
    ("def f(x): x['a'] = x['a'] + [2]", "x = {'a': [1]}\nf(x)\nassert x == {'a': [1, 2]}"),
    ("def f(x): x.add(2)", "x = {1}\nf(x)\nassert x == {1, 2}"),
    ("def f(x): return x + 1", "assert f(1) == 2 or f(2) == 9"),
    ("def f(x): return (i for i in range(x))", "assert [*f(3)] == [0, 1, 2]\nassert f(0) is not f"),
    ("def f(x): return [*range(x)]", "whole = f(10 ** 5)\nassert whole[-1] == 10 ** 5 - 1"),
    ("def f(x, *, y=1): return x + y", "import math\nassert math.isclose(f(1, y=2), 3)\nf(2)"),
    (
        "import numpy as np\ndef f(x): return np.array([x])",
        "import numpy as np\nassert (f(1) == np.array([1])).all()",
    ),
]
FAILED = [
    ("def f(x): return sorted(x)", MUTATES, "wrong_answer"),
    ("def f(x): return 2", HUMAN_EVAL, "wrong_answer"),
    ("def f(x): raise KeyError('negative')", RAISES, "runtime_error"),
    (
        "def f(x): raise AssertionError",
        "try:\n f(1)\nexcept AssertionError:\n pass",
        "runtime_error",
    ),
    ("class A:\n def __eq__(s, o): return True\ndef f(x): return A()", HUMAN_EVAL, "wrong_answer"),
    (
        "class A(list):\n def __eq__(s, o): return True\ndef f(x): x[:] = A([3])",
        MUTATES,
        "wrong_answer",
    ),
    ("import os\ndef f(x): os._exit(0)", HUMAN_EVAL, "runtime_error"),
    ("def f(x):\n while True: pass", HUMAN_EVAL, "timeout"),
    ("def f(x) return", HUMAN_EVAL, "syntax_error"),
    ("g = 1", HUMAN_EVAL, "missing_entry_point"),
    ("def f(x): return 10 ** 6", "assert [0] * f(1) * f(1) == []", "memory_limit"),
    ("def f(x): return '(a+)+$'", "import re\nassert re.match(f(1), 'a' * 99 + 'b')", "timeout"),
]


@pytest.mark.parametrize(("code", "test"), HELD)
def test_an_unsplittable_test_holds(judge_one: JudgeOne, code: str, test: str) -> None:
    assert plan_test(test, "f", "") is None
    verdict = judge_one(code, test)
    assert verdict.passed, verdict


@pytest.mark.slow
@pytest.mark.parametrize(("code", "test", "status"), FAILED)
def test_an_unsplittable_test_fails(judge_one: JudgeOne, code: str, test: str, status: str) -> None:
    verdict = judge_one(code, test)
    assert verdict.status == status, verdict


def test_split_and_whole_tests_share_one_candidate(judge_one: JudgeOne) -> None:
    code = "seen = []\ndef f(x):\n seen.append(x)\n return len(seen)"
    assert judge_one(code, "assert f(0) == 1", "x = f(0)\nassert x == 2", "assert f(0) == 3").passed


def test_the_expected_value_never_enters_the_candidates_process(judge_one: JudgeOne) -> None:
    code = (
        "import gc, sys\ndef f(x):\n"
        " fr = sys._getframe()\n found = []\n"
        " while fr:\n  found += [repr(fr.f_locals), repr(fr.f_code.co_consts)]\n  fr = fr.f_back\n"
        " found += [repr(o) for o in gc.get_objects() if type(o) in (list, tuple, dict, str)]\n"
        " print(any('98765' + str(4321) in text for text in found))\n return 0"
    )
    verdict = judge_one(code, "x = f(1)\nassert x == 987654321")
    assert verdict.status is VerdictStatus.wrong_answer
    assert verdict.output == "False\n"


def test_a_test_that_passes_a_function_on_is_no_verdict(judge_one: JudgeOne) -> None:
    verdict = judge_one("def f(x): return x(1)", "y = f(lambda x: x + 1)\nassert y == 2")
    assert verdict.status is VerdictStatus.sandbox_error
    assert "object or function, which cannot be sent" in verdict.error


@pytest.mark.parametrize("test", ["assert 1 == 1", "assert f(1) ==", "x = 3"])
def test_a_test_that_is_no_python_or_never_calls_the_entry_point_is_a_data_error(
    test: str,
) -> None:
    with pytest.raises(DataError):
        plan_test(test, "f", "")
