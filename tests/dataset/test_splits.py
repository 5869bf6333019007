"""Splits share no problem, whatever the order and the number of rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from coderl_exp.dataset.splits import drop_near_duplicates, groups_of, seeded_split
from coderl_exp.records import Origin, Problem
from tests.conftest import make_problem
from tests.dataset.taco import loaded

LONG = " ".join(f"word{i}" for i in range(120))


def problem(number: int, text: str, url: str = "", split: str = "train") -> Problem:
    return make_problem(f"taco/{number}", split, text=text, origin=Origin(url=url))


def many(count: int) -> list[Problem]:
    return [problem(n, f"task number {n} is to do {n}") for n in range(count)]


def split_of(problems: list[Problem]) -> dict[str, str]:
    return {p.task_id: p.split for p in problems}


def test_a_seeded_split_has_the_fractions_that_were_asked_for() -> None:
    counts = Counter(p.split for p in seeded_split(many(4000), 0.1, 0.05, seed=0))
    assert 340 <= counts["test"] <= 460
    assert 140 <= counts["validation"] <= 220


def test_a_problems_split_does_not_depend_on_the_others() -> None:
    every = many(200)
    whole = split_of(seeded_split(every, 0.2, 0.1, seed=3))
    part = split_of(seeded_split(every[::-2], 0.2, 0.1, seed=3))
    assert part.items() <= whole.items()
    assert split_of(seeded_split(every, 0.2, 0.1, seed=4)) != whole


def test_the_same_text_or_url_is_never_on_both_sides() -> None:
    pairs = [problem(2 * n + i, f"Sum {n}  NUMBERS{'!' * i}") for n in range(200) for i in (0, 1)]
    split = split_of(seeded_split(pairs, 0.3, 0.0, seed=0))
    assert all(split[f"taco/{2 * n}"] == split[f"taco/{2 * n + 1}"] for n in range(200))
    linked = [problem(2 * n + i, f"text {n} {i}", url=f"u/{n}") for n in range(200) for i in (0, 1)]
    split = split_of(seeded_split(linked, 0.3, 0.0, seed=0))
    assert all(split[f"taco/{2 * n}"] == split[f"taco/{2 * n + 1}"] for n in range(200))
    assert len(set(split.values())) == 2


def test_groups_join_through_texts_and_urls() -> None:
    chain = [problem(0, "a", "x"), problem(1, "b", "x"), problem(2, "B", "y"), problem(3, "c", "z")]
    names = groups_of(chain)
    assert names[0] == names[1] == names[2] != names[3]


def test_near_duplicates_of_test_problems_leave_train_and_only_train() -> None:
    changed = LONG.replace("word7 ", "other ")
    problems = [
        problem(0, LONG, split="test"),
        problem(1, changed),
        problem(2, " ".join(reversed(LONG.split()))),
        problem(3, changed, split="validation"),
    ]
    kept, dropped = drop_near_duplicates(problems, 0.7)
    assert dropped == ["taco/1"]
    assert [p.task_id for p in kept] == ["taco/0", "taco/2", "taco/3"]


def test_examples_and_what_repeats_a_validation_problem_are_looked_at_too() -> None:
    changed = LONG.replace("word7 ", "other ")
    problems = [problem(0, LONG, split="validation"), problem(1, changed, split="prompt")]
    assert drop_near_duplicates(problems, 0.7)[1] == ["taco/1"]


def test_the_page_of_a_test_problem_is_not_trained_on() -> None:
    problems = [
        problem(0, "One text.", url="u/1", split="test"),
        problem(1, "Another wording of it.", url="u/1"),
        problem(2, "Another page.", url="u/2"),
        problem(3, "No page."),
    ]
    assert drop_near_duplicates(problems, 0.7)[1] == ["taco/1"]


def test_what_min_hash_finds_is_looked_at_exactly() -> None:
    words = LONG.split()
    half = " ".join([*words[:90], *(f"new{i}" for i in range(30))])  # 88 of 148 shingles are shared
    problems = [problem(0, LONG, split="test"), problem(1, half)]
    assert drop_near_duplicates(problems, 0.61)[1] == []
    assert drop_near_duplicates(problems, 0.58)[1] == ["taco/1"]


def test_texts_of_twenty_words_are_long_enough_to_be_near_duplicates() -> None:
    words = LONG.split()
    for count, dropped in ((19, []), (20, ["taco/1"])):
        text = " ".join(words[:count])
        problems = [problem(0, text, split="test"), problem(1, f"{text} more")]
        assert drop_near_duplicates(problems, 0.7)[1] == dropped


def test_problems_without_a_text_are_no_group() -> None:
    assert len(set(groups_of([problem(0, "?"), problem(1, "!")]))) == 2


def test_short_tasks_in_the_same_words_are_different_tasks() -> None:
    problems = [
        problem(0, "Write a function to find the sum of a list.", split="test"),
        problem(1, "Write a function to find the product of a list."),
        problem(2, "write a function to find the SUM of a list"),
    ]
    assert drop_near_duplicates(problems, 0.7)[1] == ["taco/2"]


def test_the_near_duplicates_of_the_fixture_are_found() -> None:
    found = {p.task_id: p for p in loaded()}
    pair = [replace(found["taco/49"], split="test"), replace(found["taco/50"], split="train")]
    assert drop_near_duplicates(pair, 0.7)[1] == ["taco/50"]
