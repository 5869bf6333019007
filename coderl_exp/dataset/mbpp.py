"""Problems in MBPP's schema (https://arxiv.org/abs/2108.07732).

Reads the full and the sanitized version, whose columns differ: `text`/`prompt` and
`test_setup_code`/`test_imports`. The splits follow from the task ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from coderl_exp.config import MBPPDatasetConfig
from coderl_exp.dataset.mbpp_plus import plus_tests
from coderl_exp.dataset.rows import dataset_rows
from coderl_exp.dataset.selection import choose_tests
from coderl_exp.entry_points import find_entry_point
from coderl_exp.errors import DataError
from coderl_exp.json_rows import Row
from coderl_exp.problem_files import mbpp_problem
from coderl_exp.records import Problem


def load_mbpp(config: MBPPDatasetConfig) -> list[Problem]:
    """The problems of all splits, in the order of their ids.

    Raises:
        DataError: a file or a row that is not MBPP's schema, named with its line.
    """
    problems = sorted(_problems(config), key=lambda p: int(p.task_id.split("/")[1]))
    return problems if config.plus is None else _with_plus(problems, config.plus)


def _problems(config: MBPPDatasetConfig) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for row in dataset_rows(config):
        number = row.column("task_id", int)
        ranges = config.id_ranges().items()
        split = next((name for name, ids in ranges if ids[0] <= number <= ids[1]), None)
        if split is None:
            continue
        problem = _problem(row, split, config)
        if problem.task_id in seen:
            raise DataError(f"{row.where} repeats {problem.task_id} of {seen[problem.task_id]}.")
        seen[problem.task_id] = row.where
        yield problem


def _problem(row: Row, split: str, config: MBPPDatasetConfig) -> Problem:
    parsed = mbpp_problem(row, config.use_challenge_tests, config.name)
    reference = row.column("code", str).replace("\r\n", "\n")
    shown = [str(test) for test in parsed.tests[: len(row.column("test_list", list))]]
    entry_point, signature = find_entry_point(reference, shown, row.where)
    kept = choose_tests([len(str(t).encode()) for t in parsed.tests], config, parsed.task_id)
    return Problem(
        task_id=parsed.task_id,
        split=split,  # type: ignore[arg-type]  # a key of id_ranges
        text=row.column("text" if "text" in row.columns else "prompt", str),
        entry_point=entry_point,
        signature=signature,
        references=(reference,),
        tests=tuple(str(parsed.tests[i]) for i in kept),
        setup_code=parsed.setup_code,
        num_visible_tests=sum(i < min(config.num_visible_tests, len(shown)) for i in kept),
    )


def _with_plus(problems: list[Problem], source: str) -> list[Problem]:
    """The test split as MBPP+ has it; other splits as they are.

    Raises:
        DataError: MBPP+ has no problem of the test split.
    """
    wanted = {p.task_id: p for p in problems if p.split == "test"}
    more = plus_tests(source, wanted)
    if not more:
        raise DataError(f"dataset.plus={source} has no problem of the test split.")
    return [
        replace(problem, tests=(*problem.tests, *more[problem.task_id]))
        if problem.task_id in more
        else problem
        for problem in problems
        if problem.split != "test" or problem.task_id in more
    ]
