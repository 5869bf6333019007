"""The problems of an experiment: read, audited before their first use, and given their prompts.

What the steps are keyed by is known from the data as it was read: the audit's result follows from
it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path

from coderl_exp.config import Config, SandboxConfig
from coderl_exp.data_audit import (
    AUDIT_VERSION,
    AUDITS,
    ProblemAudit,
    apply_audit,
    run_audit,
)
from coderl_exp.dataset import Dataset, check_split, load_dataset
from coderl_exp.dataset.selection import SPLITS
from coderl_exp.errors import DataError
from coderl_exp.progress import console
from coderl_exp.prompts import with_prompts
from coderl_exp.records import Problem, read_jsonl, to_json
from coderl_exp.sandbox import Judge
from coderl_exp.sandbox.setup_code import setup_imports
from coderl_exp.sandbox.trusted import plan_test
from coderl_exp.store import Artefact, StageKey, Store, digest_of

_STAGES_OF = {
    "test": {"baseline", "test_after"},
    "validation": {"validate"},
    "train": {"train_gen", "rl_build", "train"},
}
"""Split → the stages that need it."""


def split_of(stage: str) -> str:
    """The split whose problems a stage samples."""
    return next(split for split, stages in _STAGES_OF.items() if stage in stages)


class ExperimentData:
    """The data of one experiment."""

    def __init__(self, config: Config) -> None:
        """Raises: DataError: the data cannot be read, or lacks a split that a stage needs."""
        self._config = config
        self.dataset: Dataset = load_dataset(config.dataset)
        self._check_splits(self.dataset)
        for problem in self.dataset.problems:
            _check_tests(problem)

    @cached_property
    def digests(self) -> dict[str, str]:
        """Split → digest of its problems as they were read, and of how they are audited.

        With few-shot prompts also of the problems that their examples come from.
        """
        audit = self._audit_settings() if self._config.dataset.audit else None
        rows = {split: self._rows(split) for split in SPLITS}
        examples = [*rows["prompt"], *rows["train"]] if self._config.dataset.num_shots else []
        return {split: digest_of([audit, *examples, *rows[split]]) for split in SPLITS}

    def _rows(self, split: str) -> list[str]:
        return [to_json(problem) for problem in self.dataset.problems if problem.split == split]

    @cached_property
    def audit_key(self) -> StageKey | None:
        """None where the configuration wants no audit."""
        if not self._config.dataset.audit:
            return None
        settings = self._audit_settings()
        return StageKey(stage="audit", version=AUDIT_VERSION, config=settings, inputs=self.digests)

    def audit(self, store: Store, make_judge: Callable[[], Judge]) -> Artefact | None:
        """Judge the reference solutions, unless the store has it; None where it is not wanted."""
        if self.audit_key is None:
            return None
        compute = partial(run_audit, self.dataset.problems, make_judge)
        return store.get_or_compute(self.audit_key, compute, on_wait=console.print)

    def problems(self, audit: Path | None) -> list[Problem]:
        """With their prompts, after the audit in that folder; None: as they were read.

        Raises:
            DataError: the audit leaves nothing of a split that is needed.
        """
        found: Sequence[Problem] = self.dataset.problems
        if audit is not None:
            found = apply_audit(found, read_audits(audit), self._config.sandbox)
            left_out = {
                **self.dataset.left_out,
                "not solvable": len(self.dataset.problems) - len(found),
            }
            self._check_splits(Dataset(problems=found, left_out=left_out))
        return with_prompts(found, self._config.dataset)

    def _check_splits(self, dataset: Dataset) -> None:
        selected = set(self._config.selected_stages())
        for split, stages in _STAGES_OF.items():
            if stages & selected:
                check_split(dataset, self._config.dataset, split)

    def _audit_settings(self) -> dict[str, object]:
        return {"version": AUDIT_VERSION, **_audit_limits(self._config.sandbox)}


def _audit_limits(config: SandboxConfig) -> dict[str, object]:
    """What can make a solution fail."""
    return {
        "sandbox": config.name,
        "memory_mb": config.memory_mb,
        "max_output_bytes": config.max_output_bytes,
        "isolation": config.isolation.value,
        "disabled_layers": list(config.disabled_layers),
    }


def _check_tests(problem: Problem) -> None:
    """Raises: DataError: its setup code or a test is nothing that the judge could run."""
    setup_imports(problem.setup_code)
    for test in problem.tests:
        if isinstance(test, str) and problem.entry_point is not None:
            try:
                plan_test(test, problem.entry_point, problem.setup_code)
            except DataError as error:
                raise DataError(f"{problem.task_id}: {error}") from None


def read_audits(folder: Path) -> Mapping[str, ProblemAudit]:
    """Task id → what `run_audit` wrote."""
    return {audit.task_id: audit for audit in read_jsonl(folder / AUDITS, ProblemAudit)}
