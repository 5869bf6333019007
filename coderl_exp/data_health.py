"""What is known of an experiment's data: how much of it can be solved, what was left out, and what
of the test split the train split gives away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coderl_exp.contamination import Overlap, solution_overlaps, text_overlaps
from coderl_exp.data_audit import ProblemAudit, count_statuses
from coderl_exp.dataset import Dataset
from coderl_exp.records import Problem

MAX_LISTED = 20


@dataclass(frozen=True, kw_only=True)
class SplitHealth:
    """One split, as it was read and audited."""

    split: str
    num_problems: int
    num_references: int
    num_passing: int
    """Reference solutions that pass each time."""
    solvable: int
    flaky: int
    quarantined: int


@dataclass(frozen=True, kw_only=True)
class Unsolvable:
    """A problem that no reference solution solves reliably."""

    task_id: str
    split: str
    status: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class DataHealth:
    """The data of one experiment."""

    is_audited: bool
    splits: tuple[SplitHealth, ...]
    unsolvable: tuple[Unsolvable, ...]
    num_reread: int
    """Problems whose tests mean something else than they say."""
    left_out: Mapping[str, int]
    """Reason → problems that were read and not taken."""
    num_train: int
    """Problems that train and train_gen have, after the audit."""
    ceiling: float | None
    """The share of test problems that a reference solves; None without an audit."""
    text_overlaps: tuple[Overlap, ...]
    solution_overlaps: tuple[Overlap, ...]

    @property
    def unsolvable_test(self) -> frozenset[str]:
        """Task ids of the test problems that no solution solves."""
        return frozenset(row.task_id for row in self.unsolvable if row.split == "test")


def data_health(
    dataset: Dataset, audits: Mapping[str, ProblemAudit] | None, problems: Sequence[Problem]
) -> DataHealth:
    """Of the data as it was read, its audit (None: there was none), and the problems in use."""
    found = [audits[p.task_id] for p in dataset.problems] if audits else []
    train = [p for p in problems if p.split == "train"]
    test = [p for p in problems if p.split == "test"]
    splits = _split_health(dataset.problems, found)
    return DataHealth(
        is_audited=audits is not None,
        splits=tuple(splits),
        ceiling=_ceiling(splits) if found else None,
        unsolvable=tuple(
            Unsolvable(task_id=a.task_id, split=a.split, status=a.status, reason=a.reason)
            for a in found
            if a.status != "solvable"
        ),
        num_reread=sum(audit.reading > 0 for audit in found),
        left_out=dict(dataset.left_out),
        num_train=len(train),
        text_overlaps=tuple(text_overlaps(train, test)),
        solution_overlaps=tuple(solution_overlaps(train, test)),
    )


def _ceiling(splits: Sequence[SplitHealth]) -> float | None:
    shares = [s.solvable / s.num_problems for s in splits if s.split == "test"]
    return shares[0] if shares else None


def _split_health(problems: Sequence[Problem], audits: Sequence[ProblemAudit]) -> list[SplitHealth]:
    rows = []
    for split in dict.fromkeys(problem.split for problem in problems):
        own = [audit for audit in audits if audit.split == split]
        rows.append(
            SplitHealth(
                split=split,
                num_problems=sum(problem.split == split for problem in problems),
                num_references=sum(len(p.references) for p in problems if p.split == split),
                num_passing=sum(len(audit.passing) for audit in own),
                **count_statuses(own),
            )
        )
    return rows
