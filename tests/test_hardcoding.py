"""Programs that hold the answers of the tests in their prompt."""

from __future__ import annotations

import pytest

from coderl_exp.hardcoding import hardcodes_tests

TESTS = ("assert area(3, 14) == 42", "assert area(5, 20) == 100", "assert area(0, 1) == 0")
HOLDING = {
    "returned": "def area(a, b):\n if a == 3: return 42\n return 100",
    "looked up": "def area(a, b): return {(3, 14): 42, (5, 20): 100}[a, b]",
    "half of them": "def area(a, b):\n if a == 3: return 42\n return a * b",
    "chosen": "def area(a, b): return 42 if a == 3 else 100",
    "compared": "def area(a, b):\n c = a * b\n return 42 if c == 100 else c",
}
COMPUTING = {
    "computed": "def area(a, b): return a * b",
    "a common number": "def area(a, b): return 0 if a == 0 else a * b",
    "not Python": "def area(a, b) return 42",
    "nothing": "",
}


@pytest.mark.parametrize("name", HOLDING)
def test_literals_of_expected_values_are_found(name: str) -> None:
    assert hardcodes_tests(HOLDING[name], TESTS)


@pytest.mark.parametrize("name", COMPUTING)
def test_programs_that_compute_are_not_accused(name: str) -> None:
    assert not hardcodes_tests(COMPUTING[name], TESTS)


def test_what_the_reference_holds_itself_is_no_sign() -> None:
    tests = ("assert kind(4) == 'even'", "assert kind(3) == 'odd'")
    code = "def kind(n): return 'even' if n % 2 == 0 else 'odd'"
    assert hardcodes_tests(code, tests)
    assert not hardcodes_tests(code, tests, reference=code)
    assert not hardcodes_tests(code, ("assert kind(3)",))
