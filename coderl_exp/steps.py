"""The experiment as a graph: every step with its key, its inputs and the function that does it.

All keys follow from the configuration, the data and the model's identity, so that what would run
and what is in the store is known before anything runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from coderl_exp import judging, stages
from coderl_exp.config import Config, SamplingConfig, VLLMConfig
from coderl_exp.experiment_data import read_audits
from coderl_exp.extraction import EXTRACTION_VERSION
from coderl_exp.generation.batching import make_requests
from coderl_exp.judging_ahead import JudgingAhead
from coderl_exp.records import ModelRef, Problem
from coderl_exp.step import VERSIONS, Resources, Step
from coderl_exp.store import StageKey, Summary
from coderl_exp.training_step import prompt_settings, sandbox_limits, training_step

_NUM_GATE_PROMPTS = 4
_LATER = ""
"""In place of a path that is not known before the step that makes it has finished."""


class ExperimentSteps:
    """All steps of one experiment, in order."""

    def __init__(
        self, config: Config, problems: list[Problem], digests: Mapping[str, str], base: ModelRef
    ) -> None:
        """`digests` name the data of each split in the steps' keys."""
        self._config = config
        self._digests = digests
        self.base = base
        self.problems = {problem.task_id: problem for problem in problems}

    @cached_property
    def all(self) -> tuple[Step, ...]:
        config = self._config
        baseline = self._sample_and_judge("baseline", "test", self.base, ())
        train_gen = self._sample_and_judge("train_gen", "train", self.base, ())
        rl_build = self._rl_build(train_gen[1])
        train = training_step(
            config, self.base, self.split("train"), self._digests["train"], rl_build, train_gen[1]
        )
        merge = self._merge(train)
        trained, origin = self._trained(train, merge)
        validate = self._sample_and_judge("validate", "validation", trained, (origin.name,))
        after = self._sample_and_judge("test_after", "test", trained, (origin.name,))
        judged = {"before": baseline[1], "train": train_gen[1], "after": after[1]}
        if "train_gen" not in config.method.default_stages():
            del judged["train"]
        analyze = self._analyze(judged)
        return (*baseline, *train_gen, rl_build, train, merge, *validate, *after, analyze)

    def _trained(self, train: Step, merge: Step) -> tuple[ModelRef, Step]:
        """What test_after evaluates, and the step that makes it; `located` says where it is."""
        sampling = self._config.generation
        if isinstance(sampling, VLLMConfig) and sampling.use_adapter:
            identity = f"{self.base.identity}+{train.key.digest}"
            return replace(self.base, identity=identity, adapter=_LATER), train
        return replace(self.base, path=_LATER, revision=None, identity=merge.key.digest), merge

    def split(self, name: str) -> list[Problem]:
        return [problem for problem in self.problems.values() if problem.split == name]

    def _sample_and_judge(
        self, stage: str, split: str, model: ModelRef, inputs: tuple[str, ...]
    ) -> tuple[Step, Step]:
        problems = self.split(split)
        data = self._digests[split]
        ahead = JudgingAhead(problems, self._config.sandbox)
        generation = self._generate(stage, problems, model, data, inputs, ahead)
        key = StageKey(
            stage="annotate",
            version=VERSIONS["annotate"],
            config={"extraction": EXTRACTION_VERSION, **sandbox_limits(self._config.sandbox)},
            inputs={"candidates": generation.key.digest, "data": data},
        )

        def annotate(resources: Resources, work: Path) -> Summary:
            return judging.annotate(
                f"{stage}: judge",
                resources.path(generation.name) / stages.CANDIDATES,
                self.problems,
                resources.judge,
                self._config.sandbox,
                ahead.result(),
                work,
            )

        annotation = Step(
            name=f"{stage}.verdicts",
            stage=stage,
            key=key,
            inputs=(generation.name,),
            run=annotate,
            num_completions=generation.num_completions,
        )
        return generation, annotation

    def _generate(
        self,
        stage: str,
        problems: list[Problem],
        model: ModelRef,
        data: str,
        inputs: tuple[str, ...],
        ahead: JudgingAhead,
    ) -> Step:
        config = self._config
        is_test = stage != "train_gen"
        count = config.num_test_candidates if is_test else config.generation.num_candidates
        sampling = {**sampling_settings(config.generation), "num_candidates": count}
        requests = make_requests(problems, count, config.seed)

        def generate(resources: Resources, work: Path) -> Summary:
            ref = located(model, resources)
            with ahead.following(resources.judge) as judge_meanwhile:
                return stages.generate(
                    f"{stage}: sample",
                    requests,
                    config.generation,
                    partial(resources.generator, ref),
                    judge_meanwhile,
                    work,
                )

        key = StageKey(
            stage="generate",
            version=VERSIONS["generate"],
            config={**sampling, "seed": config.seed, "prompt": prompt_settings(config)},
            inputs={"data": data, "model": model.identity, "dtype": model.dtype},
        )
        return Step(
            name=f"{stage}.candidates",
            stage=stage,
            key=key,
            inputs=inputs,
            run=generate,
            num_completions=len(requests),
        )

    def _rl_build(self, verdicts: Step) -> Step:
        config = self._config

        def build(resources: Resources, work: Path) -> Summary:
            ks = config.evaluation.ks
            folder = resources.path(verdicts.name)
            return stages.build_rl(
                folder, self.problems, config.rl_build, ks, resources.judge, config.sandbox, work
            )

        key = StageKey(
            stage="rl_build",
            version=VERSIONS["rl_build"],
            config={**asdict(config.rl_build), "ks": config.evaluation.ks},
            inputs={"verdicts": verdicts.key.digest},
        )
        return Step(name="rl_build", stage="rl_build", key=key, inputs=(verdicts.name,), run=build)

    def _merge(self, train: Step) -> Step:
        prompts = [p.prompt[-1].content for p in self.split("test")[:_NUM_GATE_PROMPTS]]

        def merge(resources: Resources, work: Path) -> Summary:
            resources.release_model()
            return stages.merge(self.base, resources.path("train") / "adapter", prompts, work)

        key = StageKey(
            stage="merge",
            version=VERSIONS["merge"],
            config={"dtype": self.base.dtype},
            inputs={"adapter": train.key.digest, "model": self.base.identity},
        )
        return Step(name="merge", stage="merge", key=key, inputs=("train",), run=merge)

    def _analyze(self, judged: Mapping[str, Step]) -> Step:
        def analyze(resources: Resources, work: Path) -> Summary:
            folders = {name: resources.path(step.name) for name, step in judged.items()}
            is_audited = self._config.dataset.audit
            audits = read_audits(resources.path("audit")) if is_audited else {}
            return stages.analyze_sets(folders, audits, work)

        key = StageKey(
            stage="analyze",
            version=VERSIONS["analyze"],
            config={},
            inputs={name: step.key.digest for name, step in judged.items()},
        )
        inputs = tuple(step.name for step in judged.values())
        return Step(name="analyze", stage="analyze", key=key, inputs=inputs, run=analyze)


def located(model: ModelRef, resources: Resources) -> ModelRef:
    """With the paths that are known once the steps before have finished."""
    if model.adapter == _LATER:
        return replace(model, adapter=str(resources.path("train") / "adapter"))
    if model.path == _LATER:
        return replace(model, path=str(resources.path("merge") / stages.MERGED_MODEL))
    return model


def sampling_settings(config: SamplingConfig) -> dict[str, Any]:
    """What can change a completion: not how much memory the engine takes."""
    settings = asdict(config)
    for irrelevant in ("gpu_memory_utilization", "use_adapter"):  # the model's identity has it
        settings.pop(irrelevant, None)
    if not settings.get("load_in_8bit"):
        settings.pop("load_in_8bit", None)  # as all were before there was a choice
    return settings
