"""From a finished pipeline to its report, its summary in the tracker, and the closing screen."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from rich.panel import Panel
from rich.table import Table

from coderl_exp import judging, stages
from coderl_exp.config import GRPOMethodConfig
from coderl_exp.data_health import DataHealth, data_health
from coderl_exp.experiment_data import read_audits
from coderl_exp.method.checkpoints import read_metrics
from coderl_exp.pair_audit import PairAudit
from coderl_exp.pipeline import Pipeline
from coderl_exp.progress import console
from coderl_exp.records import JudgedCandidate, to_json
from coderl_exp.report import LedgerRow, RunReport, RunSummary, write_report
from coderl_exp.statistics import Estimate
from coderl_exp.store import Artefact, digest_of, git_commit, installed_versions
from coderl_exp.training_health import training_warnings

_NUM_SAMPLES = 40

NEXT_COMMANDS = """\
next     python -m coderl_exp seed=43      the same with other samples: does the answer hold?
         python -m coderl_exp plan=true    what would run, what is stored, and what it costs
         python -m coderl_exp --help       datasets, models, methods, recipes"""


def finish_run(pipeline: Pipeline, command: str, config_yaml: str) -> RunSummary:
    """Write the report, put the numbers into the tracker, and show the closing screen."""
    report = assemble_report(pipeline, command, config_yaml)
    folder = pipeline.run_dir / "artifacts" / "reports"
    folder.mkdir(parents=True, exist_ok=True)
    summary = write_report(report, folder)
    link = pipeline.run_dir / "report"
    link.unlink(missing_ok=True)
    link.symlink_to("artifacts/reports")
    _track(pipeline, report, summary)
    show_closing_screen(pipeline, report, summary)
    return summary


def assemble_report(pipeline: Pipeline, command: str, config_yaml: str) -> RunReport:
    """Everything the report shows, from the artefacts of this run."""
    config, artefacts = pipeline.config, pipeline.artefacts
    rl_manifest = _read_json(artefacts.get("rl_build"), stages.RL_MANIFEST)
    counts = rl_manifest.get("counts", {})
    isolation, warnings = _isolation(artefacts)
    curves = read_metrics(artefacts["train"].path) if "train" in artefacts else []
    if config.samples_in_8bit:
        warnings.append("Completions are those of the policy with its weights in 8 bits.")
    if isinstance(config.method, GRPOMethodConfig):
        warnings += training_warnings(curves, config.method.max_heldout_gap)
    return RunReport(
        experiment=config.experiment,
        method=config.method.name,
        model=config.model.name_or_path,
        dataset=config.dataset.name,
        seed=config.seed,
        created_at=time.strftime("%Y-%m-%d %H:%M:%S %z"),
        command=command,
        git_commit=git_commit(),
        ks=tuple(config.evaluation.ks),
        problems=pipeline.steps.problems,
        data=_data_health(pipeline),
        before=_judged(pipeline, "baseline.verdicts"),
        after=_judged(pipeline, "test_after.verdicts"),
        train=_judged(pipeline, "train_gen.verdicts"),
        analyses=(
            stages.read_analyses(artefacts["analyze"].path) if "analyze" in artefacts else {}
        ),
        curves=curves,
        num_pairs={kind: counts[kind] for kind in ("pass_over_fail", "pass_over_pass") if counts},
        dropped=rl_manifest.get("dropped", {}),
        merge=_read_json(artefacts.get("merge"), stages.MERGE_CHECK) or None,
        ledger=[_ledger_row(name, artefact) for name, artefact in artefacts.items()],
        isolation=isolation,
        warnings=warnings,
        versions=installed_versions(),
        config_yaml=config_yaml,
        pairs=_pair_audit(rl_manifest),
        keys=_keys(pipeline),
        validation=_judged(pipeline, "validate.verdicts"),
    )


def _pair_audit(rl_manifest: Mapping[str, Any]) -> PairAudit | None:
    return TypeAdapter(PairAudit).validate_python(rl_manifest["audit"]) if rl_manifest else None


def _keys(pipeline: Pipeline) -> dict[str, str]:
    """What the result follows from, in hashes."""
    stages_done = {name: a.manifest.key.digest for name, a in pipeline.artefacts.items()}
    problems = [to_json(problem) for problem in pipeline.steps.problems.values()]
    return {
        "model": pipeline.steps.base.identity,
        "data": digest_of(problems)[:20],
        **stages_done,
    }


def _data_health(pipeline: Pipeline) -> DataHealth:
    audit = pipeline.artefacts.get("audit")
    audits = read_audits(audit.path) if audit else None
    return data_health(pipeline.data.dataset, audits, list(pipeline.steps.problems.values()))


def _judged(pipeline: Pipeline, step: str) -> list[JudgedCandidate]:
    artefact = pipeline.artefacts.get(step)
    return judging.read_judged(artefact.path) if artefact else []


def _read_json(artefact: Artefact | None, name: str) -> Any:
    return json.loads((artefact.path / name).read_text()) if artefact else {}


def _isolation(artefacts: Mapping[str, Artefact]) -> tuple[list[str], list[str]]:
    """The layers that were on while this run's candidates were judged, and warnings."""
    layers: dict[str, str] = {}
    for artefact in artefacts.values():
        for layer, state in artefact.manifest.summary.isolation.items():
            if layers.get(layer, "on") == "on":
                layers[layer] = state
    lines = [
        f"{layer}: {state if state == 'on' else f'off ({state})'}"
        for layer, state in layers.items()
    ]
    off = [layer for layer, state in layers.items() if state != "on"]
    return lines, [f"Candidates ran without isolation of {layer}." for layer in off]


def _ledger_row(name: str, artefact: Artefact) -> LedgerRow:
    manifest = artefact.manifest
    return LedgerRow(
        stage=name,
        wall_s=manifest.wall_s,
        cpu_s=manifest.cpu_s,
        num_prompt_tokens=manifest.summary.num_prompt_tokens,
        num_generated_tokens=manifest.summary.num_generated_tokens,
        num_trained_tokens=manifest.summary.num_trained_tokens,
        sandbox_cpu_s=manifest.summary.sandbox_cpu_s,
        was_reused=artefact.was_reused,
    )


def _track(pipeline: Pipeline, report: RunReport, summary: RunSummary) -> None:
    tracker = pipeline.tracker
    tracker.summarize(_summary_values(summary))
    columns = ["split", "task_id", "index", "verdict", "completion", "error"]
    rows = [
        [
            when,
            row.candidate.task_id,
            row.candidate.index,
            row.verdict.status.value,
            row.candidate.completion,
            row.verdict.error,
        ]
        for when, judged in (("before", report.before), ("after", report.after))
        for row in judged[:: max(1, len(judged) // _NUM_SAMPLES)]
    ]
    if rows:
        tracker.log_table("completions", columns, rows)
    tracker.log_html("report", html_path(pipeline))
    tracker.save_file(html_path(pipeline).with_suffix(".json"))


def _summary_values(summary: RunSummary) -> dict[str, float | str]:
    values: dict[str, float | str] = {"answer": summary.answer}
    groups = (
        ("baseline", summary.before),
        ("validation", summary.validation),
        ("after", summary.after),
    )
    for when, estimates in groups:
        for k, estimate in estimates.items():
            values |= _interval(f"{when}/pass@{k}", estimate)
    for k, comparison in summary.comparisons.items():
        values |= _interval(f"delta/pass@{k}", comparison.difference)
        values[f"delta/pass@{k}/p_value"] = comparison.p_value
    for when, counts in (
        ("baseline", summary.verdicts_before),
        ("after", summary.verdicts_after),
    ):
        total = sum(counts.values())
        values |= {f"{when}/verdict/{name}": count / total for name, count in counts.items()}
    return values


def _interval(name: str, estimate: Estimate) -> dict[str, float | str]:
    return {name: estimate.mean, f"{name}/low": estimate.low, f"{name}/high": estimate.high}


def html_path(pipeline: Pipeline) -> Path:
    """The report that people open."""
    name = f"{pipeline.config.experiment}_summary.html"
    return pipeline.run_dir / "artifacts" / "reports" / name


def show_closing_screen(pipeline: Pipeline, report: RunReport, summary: RunSummary) -> None:
    """pass@k before and after, where the report is, and what to run next."""
    table = Table(box=None, pad_edge=False)
    for column in ("", "before", "after", "difference"):
        table.add_column(column, justify="left" if not column else "right")
    for k in report.ks:
        comparison = summary.comparisons.get(k)
        table.add_row(
            f"pass@{k}",
            _percent(summary.before.get(k)),
            _percent(summary.after.get(k)),
            _percent(comparison.difference if comparison else None, signed=True),
        )
    console.print()
    if summary.before or summary.after:
        console.print(table)
        console.print()
    console.print(Panel(summary.answer, width=98))
    console.print(f"report   {_relative(html_path(pipeline))}", soft_wrap=True)
    console.print(f"run      {_relative(pipeline.run_dir)}", soft_wrap=True)
    console.print(NEXT_COMMANDS)


def _percent(estimate: Estimate | None, signed: bool = False) -> str:
    if estimate is None:
        return "–"
    form = "{:+.1f}" if signed else "{:.1f}"
    mean, low, high = (
        form.format(100 * value) for value in (estimate.mean, estimate.low, estimate.high)
    )
    return f"{mean} [{low}, {high}] {'points' if signed else '%'}"


def _relative(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
