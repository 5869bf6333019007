"""The real MBPP files, where they are on this machine."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from coderl_exp.config import PROJECT_ROOT, compose_config
from coderl_exp.contamination import text_overlaps
from coderl_exp.data_audit import audit_problems
from coderl_exp.dataset import load_dataset
from coderl_exp.records import Problem
from coderl_exp.sandbox import make_judge
from tests.conftest import sandbox_config

MBPP = PROJECT_ROOT.parent / "shared" / "data" / "mbpp.jsonl"
SANITIZED = MBPP.with_name("sanitized-mbpp.json")
pytestmark = pytest.mark.skipif(not MBPP.exists(), reason="the MBPP file is not on this machine")


def problems_of(path: Path) -> Sequence[Problem]:
    return load_dataset(compose_config("dataset=mbpp", f"dataset.path='{path}'").dataset).problems


@pytest.mark.parametrize(
    ("path", "sizes"), [(MBPP, (374, 90, 500, 10)), (SANITIZED, (120, 43, 257, 7))]
)
def test_the_official_splits_have_their_sizes(path: Path, sizes: tuple[int, ...]) -> None:
    counts = Counter(problem.split for problem in problems_of(path))
    assert tuple(counts[name] for name in ("train", "validation", "test", "prompt")) == sizes


@pytest.mark.parametrize("path", [MBPP, SANITIZED])
def test_every_entry_point_is_defined_by_its_reference_and_called_by_every_test(path: Path) -> None:
    for problem in problems_of(path):
        defined = {
            node.name
            for node in ast.parse(problem.reference).body
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
        }
        assert problem.entry_point in defined, problem.task_id
        for test in problem.tests:
            names = {n.id for n in ast.walk(ast.parse(str(test))) if isinstance(n, ast.Name)}
            assert problem.entry_point in names, (problem.task_id, test)


@pytest.mark.parametrize("path", [MBPP, SANITIZED])
def test_every_reference_passes_its_own_tests_three_times(path: Path) -> None:
    judge = make_judge(sandbox_config(memory_mb=512))
    audits = audit_problems(problems_of(path), judge)
    judge.close()
    assert [(a.task_id, a.reason) for a in audits if a.status != "solvable"] == []


def test_train_texts_that_come_again_in_test_are_found() -> None:
    problems = problems_of(MBPP)
    train = [p for p in problems if p.split == "train"]
    test = [p for p in problems if p.split == "test"]
    texts = {" ".join(p.text.lower().split()) for p in train}
    again = {p.task_id for p in test if " ".join(p.text.lower().split()) in texts}
    assert again <= {overlap.task_id for overlap in text_overlaps(train, test)}
