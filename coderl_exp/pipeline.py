"""Order, reuse and resume: which steps run, which come from the store, and what a run leaves.

A step runs if its stage is selected and the store does not have its artefact. A stage whose input
is neither selected nor in the store is refused before anything runs.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from coderl_exp import judging, stages
from coderl_exp.attacked_judge import make_attacked_judge
from coderl_exp.config import Config, GRPOMethodConfig, HFConfig, VLLMConfig
from coderl_exp.data_audit import AUDITS
from coderl_exp.errors import ConfigError
from coderl_exp.experiment_data import ExperimentData, split_of
from coderl_exp.generation import Generator
from coderl_exp.generation.vllm import VLLMGenerator, check_vllm, check_vllm_rollouts
from coderl_exp.launch import check_launch, join_training, num_processes
from coderl_exp.meeting import make_meeting
from coderl_exp.memory import return_freed_memory
from coderl_exp.method import check_quantisation, check_trainer_options
from coderl_exp.method.checkpoints import CHECKPOINTS, METRICS_FILE, read_metrics
from coderl_exp.metrics import count_results, pass_at_k_per_problem, verdict_counts
from coderl_exp.model import load_model, load_tokenizer, resolve_model
from coderl_exp.progress import console
from coderl_exp.records import JudgedCandidate, ModelRef
from coderl_exp.sandbox import Judge
from coderl_exp.statistics import mean_interval
from coderl_exp.step import Step
from coderl_exp.steps import ExperimentSteps
from coderl_exp.store import Artefact, StageKey, Store, write_json
from coderl_exp.tracking import Tracker
from coderl_exp.training_step import ROLLOUTS, log_curve, log_rollouts

LINKS = {
    "data/audits.jsonl": ("audit", AUDITS),
    "train/candidates.jsonl": ("train_gen.candidates", stages.CANDIDATES),
    "train/candidates_annotated.jsonl": ("train_gen.verdicts", judging.ANNOTATED),
    "test/candidates_baseline.jsonl": ("baseline.candidates", stages.CANDIDATES),
    "test/candidates_baseline_annotated.jsonl": ("baseline.verdicts", judging.ANNOTATED),
    "validation/candidates.jsonl": ("validate.candidates", stages.CANDIDATES),
    "validation/candidates_annotated.jsonl": ("validate.verdicts", judging.ANNOTATED),
    "test/candidates_after.jsonl": ("test_after.candidates", stages.CANDIDATES),
    "test/candidates_after_annotated.jsonl": ("test_after.verdicts", judging.ANNOTATED),
    "rl/nbest.jsonl": ("rl_build", stages.NBEST),
    "rl/pairs.jsonl": ("rl_build", stages.PAIRS),
    "rl/manifest.json": ("rl_build", stages.RL_MANIFEST),
    "train/metrics.jsonl": ("train", METRICS_FILE),
    "train/rollouts": ("train", ROLLOUTS),
    "adapter": ("train", "adapter"),
    "checkpoints": ("train", CHECKPOINTS),
    "merged_model": ("merge", stages.MERGED_MODEL),
}
"""Names in a run's `artifacts/` folder → step and file."""

EVALUATIONS = {
    "baseline.verdicts": ("baseline", "test/evaluations_baseline.json"),
    "validate.verdicts": ("validation", "validation/evaluations.json"),
    "test_after.verdicts": ("after", "test/evaluations_after.json"),
}
"""Step → what its numbers are called, and their file in a run's `artifacts/` folder."""


class Pipeline:
    """One experiment from its config; also the `Resources` of its steps."""

    def __init__(self, config: Config, run_dir: Path, tracker: Tracker) -> None:
        """Checks everything that can be checked before work starts.

        Raises:
            ConfigError, DataError, ModelError: bad input; nothing was run or written.
        """
        self.config, self.run_dir, self.tracker = config, run_dir, tracker
        self.store = Store(config.store_path)
        self._selected = config.selected_stages()
        check_trainer_options(config.method)
        check_quantisation(config.method)
        if config.samples_in_8bit:
            from coderl_exp.generation.int8 import check_int8

            check_int8()
        if isinstance(config.generation, VLLMConfig) or config.rolls_out_with_vllm:
            check_vllm()
        if config.rolls_out_with_vllm and "train" in self._selected:
            check_vllm_rollouts()
        if isinstance(config.method, GRPOMethodConfig):
            config.method.check_groups(num_processes(config.accelerate))
        check_launch(config.accelerate)
        self.data = ExperimentData(config)
        self._base = resolve_model(config.model, self.store.root / "model_digests.json")
        self.steps = self._make_steps()
        training = self.store.path(self._step("train").key)
        self.meeting = make_meeting(config.accelerate, training)
        self.artefacts: dict[str, Artefact] = {}
        self._loaded: tuple[ModelRef, Generator] | None = None
        self._judge: Judge | None = None
        self._check_inputs()

    def _make_steps(self) -> ExperimentSteps:
        """With the data as the audit left it; before the audit, as it was read."""
        key = self.data.audit_key
        audit = self.store.path(key) if key and self.store.contains(key) else None
        problems = self.data.problems(audit)
        return ExperimentSteps(self.config, problems, self.data.digests, self._base)

    def _audit(self) -> None:
        """Judge the reference solutions, unless that was done or is not wanted."""
        artefact = self.data.audit(self.store, self.judge)
        if artefact is not None:
            self._publish("audit", artefact)
            self.steps = self._make_steps()

    def run(self) -> None:
        """Run the selected steps, in order; log and link what they make."""
        self._audit()
        self.store.note_use(self.run_dir, self._used_keys())
        for step in self.selected_steps():
            for name in step.inputs:
                if name not in self.artefacts:
                    self._publish(name, self.store.open(self._step(name).key))
            artefact = self.store.get_or_compute(
                step.key, partial(step.run, self), on_wait=console.print
            )
            if artefact.was_reused:
                console.print(f"{step.name}: reused from the store", style="dim")
            self._publish(step.name, artefact)
        self.release_model()

    def join(self) -> None:
        """What a machine other than the first does: take part in the training, if there is one.

        Raises:
            TrainingError: it failed, here or on another machine.
        """
        if "train" not in self._selected:
            return
        machines, key = self.meeting.machines, self._step("train").key
        console.print(f"machine {machines.rank} of {machines.count}: waiting for the training")
        job_file = self.meeting.wait_for_job(partial(self.store.contains, key))
        if job_file is not None:
            console.print(f"machine {machines.rank}: training")
            log_file = self.run_dir / f"train.machine{machines.rank}.log"
            join_training(job_file, self.config.accelerate, log_file, self.meeting)

    def selected_steps(self) -> list[Step]:
        return [step for step in self.steps.all if step.stage in self._selected]

    def generator(self, model: ModelRef) -> Generator:
        if self._loaded is None or self._loaded[0] != model:
            self.release_model()
            with console.status(f"loading {model.path}"):
                self._loaded = model, self._make_generator(model)
        return self._loaded[1]

    def _make_generator(self, model: ModelRef) -> Generator:
        config = self.config.generation
        if isinstance(config, VLLMConfig):
            return VLLMGenerator(config, model, self.run_dir / "vllm.log")
        from coderl_exp.generation.hf import TransformersGenerator

        assert isinstance(config, HFConfig)
        return TransformersGenerator(config, load_model(model), load_tokenizer(model))

    def release_model(self) -> None:
        if self._loaded is not None:
            self._loaded[1].close()
            self._loaded = None
            return_freed_memory()

    def judge(self) -> Judge:
        if self._judge is None:
            folder = self.store.root / "redteam"
            self._judge = make_attacked_judge(self.config.sandbox, folder)
        return self._judge

    def close(self) -> None:
        """End the processes of the engine and of the judge."""
        self.release_model()
        if self._judge is not None:
            self._judge.close()

    def path(self, step: str) -> Path:
        return self.artefacts[step].path

    def _used_keys(self) -> list[StageKey]:
        steps = self.selected_steps()
        inputs = [self._step(name) for step in steps for name in step.inputs]
        audit = [self.artefacts["audit"].manifest.key] if "audit" in self.artefacts else []
        return [*audit, *(step.key for step in (*steps, *inputs))]

    def _step(self, name: str) -> Step:
        return next(step for step in self.steps.all if step.name == name)

    def _check_inputs(self) -> None:
        selected = {step.name for step in self.selected_steps()}
        for step in self.selected_steps():
            if self.store.contains(step.key):
                continue
            for name in step.inputs:
                needed = self._step(name)
                if name not in selected and not self.store.contains(needed.key):
                    nearest = self.store.nearest(needed.key)
                    differing = f" (the nearest one differs: {nearest})" if nearest else ""
                    raise ConfigError(
                        f"stages: {step.stage} needs {needed.stage}, which is neither selected nor "
                        f"in the store for this configuration{differing}: add {needed.stage} to "
                        "stages."
                    )

    def _publish(self, name: str, artefact: Artefact) -> None:
        self.artefacts[name] = artefact
        link_artefacts(self.run_dir / "artifacts", name, artefact)
        self._track(name, artefact)
        if name == "train":
            log_rollouts(self.tracker, artefact.path)
            for row in read_metrics(artefact.path) if artefact.was_reused else ():
                log_curve(self.tracker, row)
        if name in EVALUATIONS:
            self._evaluate(*EVALUATIONS[name], artefact)

    def _track(self, name: str, artefact: Artefact) -> None:
        """As an artefact whose inputs lead to others by their keys: the run's lineage."""
        manifest = artefact.manifest
        key, counts = manifest.key, manifest.summary.counts
        if key.stage == "generate":
            data = key.inputs["data"]
            split = split_of(name.partition(".")[0])
            dataset = {"key": data, "name": self.config.dataset.name, "split": split}
            self.tracker.log_artefact(f"dataset-{data[:12]}", "dataset", None, dataset)
        metadata = {"key": key.digest, "step": name, "inputs": dict(key.inputs), **counts}
        self.tracker.log_artefact(
            f"{key.stage}-{key.digest[:12]}", key.stage, artefact.path, metadata
        )

    def _evaluate(self, when: str, name: str, artefact: Artefact) -> None:
        judged = judging.read_judged(artefact.path)
        evaluation = evaluate(judged, self.config.evaluation.ks)
        file = self.run_dir / "artifacts" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, evaluation)
        values = {
            f"{when}/{name}": entry["mean"] for name, entry in evaluation["pass_at_k"].items()
        }
        self.tracker.log(values)
        annotation = artefact.manifest.key
        self.tracker.log_artefact(
            f"evaluation-{annotation.digest[:12]}",
            "evaluation",
            file,
            {"inputs": {"verdicts": annotation.digest}, **values},
        )


def evaluate(judged: list[JudgedCandidate], ks: list[int]) -> dict[str, Any]:
    """pass@k with intervals, verdicts, and how many candidates of each problem passed.

    A k for which sandbox errors left a problem too few candidates is left out; the report says so.
    """
    results = count_results(judged)
    return {
        "pass_at_k": {
            f"pass@{k}": asdict(mean_interval(pass_at_k_per_problem(results, k)))
            for k in ks
            if all(result.num_candidates >= k for result in results)
        },
        "verdicts": dict(verdict_counts(judged)),
        "problems": [asdict(result) for result in results],
    }


def link_artefacts(folder: Path, step: str, artefact: Artefact) -> None:
    """Relative links under the names that people know, so that a run folder can be moved along
    with the project."""
    for name, (owner, file) in LINKS.items():
        if owner == step and (artefact.path / file).exists():
            link = folder / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(os.path.relpath(artefact.path / file, link.parent.resolve()))
