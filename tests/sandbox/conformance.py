"""What every sandbox backend must do: one suite, run against each by `test_conformance.py`.

A backend supplies the fixtures `make` (limits changed by keyword → Judge) and `judge` (a shared
one). What is not asked here is isolation: how strong it is differs, see the backends' own tests.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from coderl_exp.errors import DataError
from coderl_exp.records import OutputRule, Program, StdinTest, Verdict, VerdictStatus
from coderl_exp.sandbox import IsolationReport, Judge

Make = Callable[..., Judge]

GOOD = "def f(x): return x + 1"
ECHO = "print(input())"
SECRET = 987654321


def program(code: str | None, *tests: str, setup_code: str = "", entry_point: str = "f") -> Program:
    tests = tests or ("assert f(1) == 2",)
    return Program(code=code, entry_point=entry_point, tests=tests, setup_code=setup_code)


def reader(code: str | None, *tests: tuple[str, str], rule: OutputRule | None = None) -> Program:
    """A program that is judged by what it prints for what it reads."""
    runs = tuple(StdinTest(stdin=stdin, stdout=stdout) for stdin, stdout in tests)
    return Program(
        code=code,
        entry_point=None,
        tests=runs or (StdinTest(stdin="a\n", stdout="a\n"),),
        output_rule=rule or OutputRule(),
    )


def judged(judge: Judge, one: Program) -> Verdict:
    return next(iter(judge.run([one])))


STATUSES = [
    ("passed", GOOD),
    ("passed", "def f(x):\n print('hello')\n return x + 1"),
    ("passed", GOOD + "\nif __name__ == '__main__':\n f(None); input()"),
    ("wrong_answer", "def f(x): return x"),
    ("wrong_answer", "def f(x): return [0] * 10**6"),
    ("wrong_answer", "def f(x): return object()"),
    ("runtime_error", "def f(x): return x / 0"),
    ("runtime_error", "import not_a_module\ndef f(x): return 2"),
    ("runtime_error", "raise SystemExit"),
    ("runtime_error", "import os\ndef f(x): os._exit(0)"),
    ("runtime_error", "import sys\ndef f(x): sys.exit(0)"),
    ("runtime_error", "def f(x): return f(x)"),
    ("timeout", "def f(x):\n while True: pass"),
    ("timeout", "import time\ndef f(x): time.sleep(60)"),
    ("memory_limit", "def f(x): return len(bytearray(10**9))"),
    ("output_limit", "def f(x):\n while True: print('x' * 1000)"),
    ("syntax_error", "def f(x) return 2"),
    ("syntax_error", "def f(x): return '\0'"),
    ("missing_entry_point", "def g(x): return 2"),
    ("missing_entry_point", "f = 3"),
    ("no_code", None),
]
STDIN_STATUSES = [
    ("passed", ECHO),
    ("passed", "import sys\nsys.stdout.write(sys.stdin.read())"),
    ("passed", "import sys\nsys.stdout.buffer.write(sys.stdin.buffer.readline())"),
    ("passed", "import os\nos.write(1, os.read(0, 9))"),
    ("passed", "for line in open(0): print(line)"),
    ("passed", "import sys\nif __name__ == '__main__':\n print(input())\n sys.exit(0)"),
    ("passed", ECHO + "\nexit()"),
    ("wrong_answer", "print('b')"),
    ("wrong_answer", "pass"),
    ("wrong_answer", "import os\nos._exit(0)"),
    ("runtime_error", ECHO + "\nraise SystemExit(1)"),
    ("runtime_error", ECHO + "\nprint(1 / 0)"),
    ("runtime_error", ECHO + "\ninput()"),
    ("runtime_error", ECHO + "\nimport os\nos._exit(3)"),
    ("timeout", "while True: pass"),
    ("timeout", "import time\ntime.sleep(60)"),
    ("memory_limit", "print(len(bytearray(10**9)))"),
    ("output_limit", "while True: print('x' * 1000)"),
    ("syntax_error", "print(input("),
    ("no_code", None),
]


@pytest.mark.parametrize(("status", "code"), STATUSES)
def test_every_status_has_a_candidate(judge: Judge, status: str, code: str | None) -> None:
    verdict = judged(judge, program(code))
    assert verdict.status == status, verdict
    assert verdict.passed == (status == "passed")
    assert len(verdict.tests) == 1


@pytest.mark.parametrize(("status", "code"), STDIN_STATUSES)
def test_every_status_has_a_whole_program(judge: Judge, status: str, code: str | None) -> None:
    verdict = judged(judge, reader(code))
    assert verdict.status == status, verdict
    assert len(verdict.tests) == 1


def test_errors_name_the_exception_and_the_assert(judge: Judge) -> None:
    assert judged(judge, program("def f(x): raise KeyError('k')")).error == "KeyError: 'k'"
    assert judged(judge, program("def f(x): return 0")).error == "does not hold: assert f(1) == 2"
    assert "SyntaxError" in judged(judge, program("def f(")).error
    assert judged(judge, reader("raise ValueError('no')")).error == "ValueError: no"
    assert "'b'" in judged(judge, reader("print('b')")).error


SPLITTING = {
    "the result of a call": ("return x", "return x[:1]", "assert f([1, 2]) == [1, 2]"),
    "two calls": ("return x % 2", "return x", "assert f(1) == f(3)"),
    "a builtin around a call": ("return x", "return 2 * x", "assert sorted(f([2, 1])) == [1, 2]"),
    "a tolerance": ("return 0.1 * x", "return 0.3001", "assert math.isclose(f(3), 0.3)"),
    "a difference": ("return 0.1 * x", "return 0.3001", "assert abs(f(3) - 0.3) < 1e-9"),
    "an attribute": ("return complex(x, 1)", "return 1j", "assert f(3).real == 3"),
    "a call within a call": ("return x + 1", "return 3 * x", "assert f(f(1)) == 3"),
    "a comprehension": ("return x + 1", "return 2", "assert [f(x) for x in [1, 2]] == [2, 3]"),
    "a generator": ("yield x; yield x + 1", "yield x", "assert list(f(1)) == [1, 2]"),
    "a negation": ("return x > 1", "return x > 0", "assert not f(1)"),
    "membership": ("return [x]", "return []", "assert 1 in f(1)"),
    "a message": ("return x", "return 0", "assert f(1) == 1, 'the message'"),
}


@pytest.mark.parametrize("name", SPLITTING)
def test_a_split_assert_means_what_it_says(judge: Judge, name: str) -> None:
    right, wrong, test = SPLITTING[name]
    assert judged(judge, program(f"def f(x): {right}", test)).passed
    verdict = judged(judge, program(f"def f(x): {wrong}", test))
    assert verdict.status is VerdictStatus.wrong_answer, verdict


def test_an_entry_point_named_like_a_builtin_is_the_candidates(judge: Judge) -> None:
    code = "def sum(x): return 'mine'"
    test = "assert sum([1]) == 'mine'"
    assert judged(judge, program(code, test, entry_point="sum")).passed


def test_setup_code_runs_after_the_code_and_its_imports_before(judge: Judge) -> None:
    setup = "import math\nroot = Node(3)"
    code = "base = math.floor(1.5)\nclass Node:\n def __init__(s, v): s.v = v\ndef f(n): return n.v"
    assert judged(judge, program(code, "assert f(root) == 3", setup_code=setup)).passed
    verdict = judged(judge, program(GOOD, "assert f(root) == 3", setup_code=setup))
    assert verdict.status is VerdictStatus.runtime_error
    assert "Node" in verdict.error


def test_the_tests_share_the_candidates_state(judge: Judge) -> None:
    code = "seen = []\ndef f(x):\n seen.append(x)\n return len(seen)"
    assert judged(judge, program(code, "assert f(1) == 1", "assert f(1) == 2")).passed


def test_a_test_that_cannot_be_judged_is_a_data_error_that_names_it(judge: Judge) -> None:
    with pytest.raises(DataError, match=r"assert f\(1\) =="):
        judged(judge, program(GOOD, "assert f(1) =="))


RETURNED = {
    "the plain types": ("(1, [2.5], {3}, {'k': None}, b'x', 1j)",) * 2,
    "the collections": (
        "(__import__('collections').Counter('aab'), __import__('collections').deque([1]))",
        "(Counter('aab'), deque([1]))",
    ),
    "a fraction and a decimal": (
        "(__import__('fractions').Fraction(1, 3), __import__('decimal').Decimal('0.10'))",
        "(Fraction(1, 3), Decimal('0.10'))",
    ),
    "a date": ("__import__('datetime').date(2020, 1, 2)", "date(2020, 1, 2)"),
    "text of all kinds": ("'é\\ud800\\U0001f600\\0'",) * 2,
    "large numbers": ("(2**200, -2**63, 1e308, -0.0)",) * 2,
    "a range": ("range(3)", "range(0, 3)"),
    "numbers of other types": ("[True, 1.0]", "[1, 1]"),
}
NOT_RETURNED = {
    "text for a number": ("'2'", "2"),
    "a list for a tuple": ("[1]", "(1,)"),
    "another order": ("[2, 1]", "[1, 2]"),
    "an iterator for a list": ("iter([1])", "[1]"),
    "an object that equals all": ("type('A', (), {'__eq__': lambda *a: True})()", "2"),
    "a number that equals all": ("type('A', (int,), {'__eq__': lambda *a: True})(1)", "2"),
    "a text that equals all": ("type('A', (str,), {'__eq__': lambda *a: True})('x')", "'y'"),
    "an object in a list": ("[type('A', (), {'__eq__': lambda *a: True})()]", "[2]"),
    "a class that equals all": ("type('A', (type,), {'__eq__': lambda *a: 1})('B', (), {})", "2"),
    "nothing": ("None", "0"),
    "nan": ("float('nan')", "float('nan')"),
    "a list in itself": ("(lambda a: a.append(a) or a)([])", "[]"),
    "a deep list": ("__import__('functools').reduce(lambda a, _: [a], range(999), [])", "[]"),
    "a huge number": ("1 << 10**7", "0"),
    "endless items": ("__import__('itertools').count()", "0"),
}  # fmt: skip


@pytest.mark.parametrize("name", RETURNED)
def test_values_are_compared_by_value(judge: Judge, name: str) -> None:
    returned, expected = RETURNED[name]
    verdict = judged(judge, program(f"def f(x): return {returned}", f"assert f(1) == {expected}"))
    assert verdict.passed, verdict


@pytest.mark.parametrize("name", NOT_RETURNED)
def test_what_is_not_equal_is_a_wrong_answer(judge: Judge, name: str) -> None:
    returned, expected = NOT_RETURNED[name]
    verdict = judged(judge, program(f"def f(x): return {returned}", f"assert f(1) == {expected}"))
    assert verdict.status is VerdictStatus.wrong_answer, verdict


def test_an_array_is_compared_as_numpy_does(make: Make) -> None:
    pytest.importorskip("numpy")
    judge = make(timeout_s=20.0, memory_mb=2048)  # importing NumPy takes both
    code = "import numpy as np\ndef f(x): return np.arange(x)"
    plain = judged(judge, program(code, "assert f(2) == [0, 1]"))
    assert plain.status is VerdictStatus.runtime_error, plain
    assert "truth of an array" in plain.error
    tests = (
        "assert (f(2) == [0, 1]).all()",
        "assert f(2).tolist() == [0, 1]",
        "assert f(3)[1] == 1",
    )
    assert judged(judge, program(code, *tests)).passed


FORGING = {
    "frames": "import sys\ndef f(x):\n fr = sys._getframe()\n while fr:\n"
    "  for d in (fr.f_locals, fr.f_globals):\n"
    "   if str(493827160 * 2 + 1) in repr(d): return 493827160 * 2 + 1\n"
    "  fr = fr.f_back\n return 0",
    "results on all descriptors": "import os\ndef f(x):\n for fd in range(65):\n"
    '  try: os.write(fd, b\'["value",0,1]\\n["value",1,1]\\n\')\n  except OSError: pass\n'
    " os._exit(0)",
    "garbage on all descriptors": "import os\ndef f(x):\n for fd in range(3, 65):\n"
    "  try: os.write(fd, bytes(range(256)))\n  except OSError: pass\n return 987654321",
    "patched builtins": "import builtins\nfor n in ('repr', 'str', 'len', 'callable', 'eval'):\n"
    " setattr(builtins, n, lambda *a: 1)\ndef f(x): return 1",
    "patched os.write": "import os, sys\nos.write = lambda *a: 1\nsys.stdout = None\n"
    "def f(x): return 1",
    "kill the parent": "import os\ndef f(x): os.kill(os.getppid(), 9); os._exit(0)",
}


@pytest.mark.parametrize("name", FORGING)
def test_forging_results_does_not_pass(judge: Judge, name: str) -> None:
    tests = (f"assert f(1) == {SECRET}", f"assert f(2) == {SECRET}")
    verdict = judged(judge, program(FORGING[name], *tests))
    assert not verdict.passed, verdict
    assert verdict.status is not VerdictStatus.sandbox_error, verdict


def test_judging_stops_at_the_first_failing_test_unless_fraction(make: Make) -> None:
    tests = ("assert f(1) == 2", "assert f(2) == 9", "assert f(3) == 4")
    first, every = (judged(make(fraction=f), program(GOOD, *tests)) for f in (False, True))
    assert first.tests == ("passed", "wrong_answer", None)
    assert every.tests == ("passed", "wrong_answer", "passed")
    assert first.status is every.status is VerdictStatus.wrong_answer
    assert first.error == every.error == "does not hold: assert f(2) == 9"


def test_runs_stop_at_the_first_failing_test_unless_fraction(make: Make) -> None:
    tests = (("a", "a"), ("b", "x"), ("c", "c"))
    first, every = (judged(make(fraction=f), reader(ECHO, *tests)) for f in (False, True))
    assert first.tests == ("passed", "wrong_answer", None)
    assert every.tests == ("passed", "wrong_answer", "passed")


def test_an_end_in_the_middle_leaves_the_rest_without_a_result(make: Make) -> None:
    code = "import os\ndef f(x): return x if x < 2 else os._exit(0)"
    tests = tuple(f"assert f({n}) == {n}" for n in range(4))
    assert judged(make(fraction=True), program(code, *tests)).tests == (
        "passed", "passed", "runtime_error", None,
    )  # fmt: skip


def test_nothing_extracted_is_no_code_and_costs_nothing(judge: Judge) -> None:
    verdict = judged(judge, program(None, "assert f(1) == 2", "assert f(2) == 3"))
    assert verdict.status is VerdictStatus.no_code
    assert verdict.tests == (None, None)
    assert verdict.usage is None


def test_every_run_of_a_program_starts_afresh(judge: Judge) -> None:
    code = "import math\nmath.seen = getattr(math, 'seen', 0) + 1\nprint(math.seen)"
    assert judged(judge, reader(code, ("", "1"), ("", "1"), ("", "1"))).passed


@pytest.mark.parametrize(
    ("printed", "expected", "rule", "passes"),
    [("1 2 \n\n", "1 2", OutputRule(), True),
     ("1\n2", "1 2", OutputRule(), True),
     ("Yes", "yes", OutputRule(), False),
     ("Yes", "yes", OutputRule(ignore_case=True), True),
     ("0.3333", "0.33333", OutputRule(), False),
     ("0.3333", "0.33333", OutputRule(float_tolerance=1e-3), True),
     ("é", "é", OutputRule(), True)],
)  # fmt: skip
def test_output_is_compared_by_the_rule_of_the_program(
    judge: Judge, printed: str, expected: str, rule: OutputRule, passes: bool
) -> None:
    verdict = judged(judge, reader(f"print({printed!r})", ("", expected), rule=rule))
    assert verdict.passed == passes, verdict


def test_large_input_and_output_pass_through(judge: Judge) -> None:
    numbers = " ".join(map(str, range(100_000)))
    code = "print(sum(map(int, input().split())))"
    assert judged(judge, reader(code, (numbers, "4999950000"))).passed
    assert judged(judge, reader("print('x' * 60_000)", ("", "x" * 60_000))).passed


def test_an_output_that_is_expected_to_be_large_is_not_cut(judge: Judge) -> None:
    large = "x" * 200_000
    assert judged(judge, reader(f"print('x' * {len(large)})", ("", large))).passed
    over = judged(judge, reader(f"print('x' * {len(large) * 9})", ("", large)))
    assert over.status is VerdictStatus.output_limit


def test_a_program_that_reads_nothing_passes(judge: Judge) -> None:
    big = "x" * 300_000
    assert judged(judge, reader("print(1)", (big, "1"))).passed


def test_what_a_program_says_on_standard_error_is_not_compared(judge: Judge) -> None:
    code = "import sys\nprint('warning', file=sys.stderr)\n" + ECHO
    assert judged(judge, reader(code)).passed


def test_the_time_limit_of_a_program_is_its_own(make: Make) -> None:
    judge = make(timeout_s=20.0)
    endless = "while True: pass"
    for one in (reader(endless), program(f"def f(x):\n {endless}")):
        verdict = judged(judge, replace(one, timeout_s=0.3))
        assert verdict.status is VerdictStatus.timeout
        assert verdict.usage is not None
        assert verdict.usage.wall_s < 10


def test_verdicts_come_in_the_order_of_the_programs(judge: Judge) -> None:
    def one(number: int) -> Program:
        pause = f"import time\ntime.sleep({0.2 if number % 4 == 0 else 0})\n"
        if number % 3 == 0:
            return reader(pause + ECHO, (str(number), str(number if number % 2 else "no")))
        return program(pause + GOOD, f"assert f({number}) % 2 == 0")

    passed = [verdict.passed for verdict in judge.run(map(one, range(16)))]
    assert passed == [number % 2 == 1 for number in range(16)]


def test_programs_are_taken_as_they_are_needed(judge: Judge) -> None:
    taken = itertools.count()

    def programs() -> Iterator[Program]:
        for number in taken:
            yield program(GOOD + f"  # {number}")

    stream = judge.run(programs())
    assert next(stream).passed
    stream.close()  # type: ignore[attr-defined]
    assert next(taken) < 5000


def test_an_error_of_the_programs_comes_through(judge: Judge) -> None:
    def programs() -> Iterator[Program]:
        yield program(GOOD)
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        list(judge.run(programs()))
    assert judged(judge, program(GOOD)).passed


def test_identical_programs_are_judged_once(judge: Judge) -> None:
    code = "import time\ndef f(x):\n print(time.time_ns())\n return 2"
    verdicts = list(judge.run([program(code)] * 3))
    assert len({verdict.output for verdict in verdicts}) == 1


def test_verdicts_are_deterministic_apart_from_usage(judge: Judge) -> None:
    code = (
        "import random\nprint(object(), hash('a'))\n"
        "def f(x):\n print(list({'a', 'b', 'c'}), random.random())\n raise ValueError(object())"
    )
    verdicts = list(judge.run(program(code + f"\n# {i}") for i in range(3)))
    assert len({(v.status, v.error, v.output) for v in verdicts}) == 1
    assert "0x…" in verdicts[0].output


def test_one_candidate_cannot_change_anothers_verdict(judge: Judge) -> None:
    bad = "import builtins, math\nbuiltins.sorted = math.floor = lambda *a: 2\ndef f(x): return 2"
    honest = "import math\ndef f(x): return sorted([math.floor(3.5)])[0]"
    programs = [program(bad + f"  # {n}") for n in range(3)] + [program(honest)]
    passed = [verdict.passed for verdict in judge.run(programs * 2)]
    assert passed == [True, True, True, False] * 2


def test_usage_is_measured(judge: Judge) -> None:
    code = "s = bytearray(10**8)\nt = sum(range(5 * 10**6))\n"
    for one in (program(code + GOOD), reader(code + ECHO)):
        usage: Any = judged(judge, one).usage
        assert 0.05 < usage.cpu_s <= usage.wall_s * 2
        assert 100 < usage.memory_mb < 250


def test_a_closed_judge_can_be_used_again(make: Make) -> None:
    judge = make()
    assert judged(judge, program(GOOD)).passed
    judge.close()
    assert judged(judge, program(GOOD)).passed
    judge.close()


def test_the_isolation_is_described(judge: Judge) -> None:
    report = judge.describe()
    assert isinstance(report, IsolationReport)
    assert report.active or report.missing
