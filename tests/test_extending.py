"""docs/extending.md says what the project really does, word for word."""

from __future__ import annotations

import re

import pytest

from coderl_exp.config import PROJECT_ROOT

PAGE = (PROJECT_ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"^`([\w/.]+)`\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page_quotes_every_place_that_a_dataset_touches() -> None:
    assert {file for file, _ in QUOTED} == {
        "coderl_exp/dataset_schemas.py",
        "coderl_exp/config.py",
        "conf/dataset/humaneval.yaml",
        "coderl_exp/dataset/humaneval.py",
        "coderl_exp/dataset/__init__.py",
        "tests/dataset/test_humaneval.py",
    }
    assert PAGE.count("\n```") == 2 * len(QUOTED) + 2, "a block without its file"


@pytest.mark.parametrize(("file", "quoted"), QUOTED)
def test_what_the_page_quotes_stands_in_the_file(file: str, quoted: str) -> None:
    assert quoted in (PROJECT_ROOT / file).read_text(encoding="utf-8")


def test_the_fixture_that_the_page_names_has_three_rows() -> None:
    [fixture] = re.findall(r"tests/fixtures/\w+\.jsonl", PAGE)
    assert len((PROJECT_ROOT / fixture).read_text().splitlines()) == 3
