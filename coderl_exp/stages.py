"""One short function per stage: typed inputs in, files in a work folder and a summary out.

Each continues what an interrupted run left in its folder. Nothing here knows of keys, order or
reuse: that is `pipeline.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter

from coderl_exp.analysis import SetAnalysis, analyze
from coderl_exp.config import AccelerateConfig, RLBuildConfig, SamplingConfig, SandboxConfig
from coderl_exp.data_audit import ProblemAudit
from coderl_exp.errors import TrainingError
from coderl_exp.generation import Generator
from coderl_exp.generation.batching import Request, make_units
from coderl_exp.judging import read_judged
from coderl_exp.label_checks import check_labels
from coderl_exp.launch import MetricsFollower, launch_training
from coderl_exp.meeting import Meeting
from coderl_exp.method import AnyJob, DPOJob, TrainingResult
from coderl_exp.method.checkpoints import METRICS_FILE, forget_metrics_after, resume_point
from coderl_exp.metrics import count_results, pass_at_k
from coderl_exp.model import merge_adapter
from coderl_exp.pair_audit import audit_pairs
from coderl_exp.preferences import build_preferences
from coderl_exp.progress import progress_bar
from coderl_exp.records import (
    Candidate,
    ModelRef,
    PreferencePair,
    Problem,
    read_jsonl,
    to_json,
    write_jsonl,
)
from coderl_exp.sandbox import Judge
from coderl_exp.store import Summary, resume_jsonl, write_json
from coderl_exp.worker import RESULT_FILE

CANDIDATES = "candidates.jsonl"
NBEST = "nbest.jsonl"
PAIRS = "pairs.jsonl"
RL_MANIFEST = "rl_manifest.json"
MERGE_CHECK = "merge_check.json"
TRAIN_PROBLEMS = "problems.jsonl"
MERGED_MODEL = "model"
ANALYSES = "analyses.json"
_UNORDERED = "candidates.partial.jsonl"


def generate(
    label: str,
    requests: Sequence[Request],
    config: SamplingConfig,
    make_generator: Callable[[], Generator],
    on_candidates: Callable[[Sequence[Candidate]], None],
    work: Path,
) -> Summary:
    """Write one candidate per request, in the order of the requests.

    Whole units (`make_units`) are appended as they finish, and `on_candidates` is given them; after
    an interruption the others go on.
    """
    if (work / CANDIDATES).exists() and not (work / _UNORDERED).exists():
        return _generation_summary(list(read_jsonl(work / CANDIDATES, Candidate)))
    units = make_units(requests, config)
    candidates, remaining = _completed_units(work / _UNORDERED, units)
    num_done = len(candidates)
    on_candidates(candidates)
    with (
        (work / _UNORDERED).open("a", encoding="utf-8") as file,
        progress_bar(label, len(requests), "candidates", done=num_done) as bar,
    ):
        num_tokens = 0

        def count(tokens: int) -> None:
            nonlocal num_tokens
            num_tokens += tokens
            bar.advance(1, f"{num_tokens} tokens")

        for rows in make_generator().run(remaining, count) if remaining else ():
            file.write("".join(to_json(row) + "\n" for row in rows))
            file.flush()
            candidates += rows
            on_candidates(rows)
    order = {(r.task_id, r.index): position for position, r in enumerate(requests)}
    candidates.sort(key=lambda row: order[row.task_id, row.index])
    write_jsonl(work / CANDIDATES, candidates)
    (work / _UNORDERED).unlink()
    return _generation_summary(candidates)


def _completed_units(
    path: Path, units: Sequence[list[Request]]
) -> tuple[list[Candidate], list[list[Request]]]:
    """The rows of whole units that were written, and the units that are still to do.

    A unit that was cut in the middle is decoded again as a whole.
    """
    rows = {(row.task_id, row.index): row for row in resume_jsonl(path, Candidate)}
    kept: list[Candidate] = []
    remaining: list[list[Request]] = []
    for unit in units:
        found = [row for r in unit if (row := rows.get((r.task_id, r.index)))]
        if len(found) == len(unit):
            kept += found
        else:
            remaining.append(unit)
    if len(kept) < len(rows):
        write_jsonl(path, kept)
    return kept, remaining


def _generation_summary(candidates: Sequence[Candidate]) -> Summary:
    prompts = {row.task_id: row.num_prompt_tokens for row in candidates}
    return Summary(
        counts={"problems": len(prompts), "candidates": len(candidates)},
        num_prompt_tokens=sum(prompts.values()),
        num_generated_tokens=sum(row.num_completion_tokens for row in candidates),
    )


def build_rl(
    annotation: Path,
    problems: Mapping[str, Problem],
    config: RLBuildConfig,
    ks: Sequence[int],
    make_judge: Callable[[], Judge],
    sandbox: SandboxConfig,
    work: Path,
) -> Summary:
    """n-best lists, pairs, and a manifest that accounts for every candidate and audits the pairs.

    Pairs whose label does not hold when their programs are judged again are left out.
    """
    judged = read_judged(annotation)
    preferences = build_preferences(judged, problems, config)
    checked = check_labels(
        preferences.pairs, judged, problems, make_judge, sandbox, config.label_repeats
    )
    pairs = checked.kept if checked else preferences.pairs
    dropped = dict(preferences.dropped)
    if num_flipped := len(preferences.pairs) - len(pairs):
        dropped["pair: label did not hold"] = num_flipped
    write_jsonl(work / NBEST, preferences.nbest)
    write_jsonl(work / PAIRS, pairs)
    audit = audit_pairs(pairs, judged, problems, checked.checks if checked else None)
    counts = {
        "candidates": len(judged),
        "nbest": len(preferences.nbest),
        "problems_with_pairs": audit.num_problems,
        "pass_over_fail": audit.by_kind.get("pass_over_fail", 0),
        "pass_over_pass": audit.by_kind.get("pass_over_pass", 0),
    }
    results = count_results(judged)
    manifest = {
        "counts": counts,
        "dropped": dropped,
        "audit": asdict(audit),
        "train_pass_at_k": {
            str(k): sum(pass_at_k(r.num_candidates, r.num_passed, k) for r in results)
            / len(results)
            for k in ks
            if all(r.num_candidates >= k for r in results)
        },
    }
    write_json(work / RL_MANIFEST, manifest)
    return Summary(counts=counts)


def train(
    label: str,
    job: AnyJob,
    accelerate: AccelerateConfig,
    log_file: Path,
    on_metrics: Callable[[Mapping[str, float]], None],
    meeting: Meeting,
) -> Summary:
    """Train the adapter in processes of its own; curves arrive while it runs.

    Raises:
        TrainingError: there is nothing to train on, or the processes failed.
    """
    if isinstance(job, DPOJob):
        _check_pairs(job.pairs)
    checkpoint = resume_point(job.work)
    forget_metrics_after(job.work, checkpoint.step if checkpoint else 0)
    follower = MetricsFollower(job.work / METRICS_FILE)
    shown = 0.0
    with progress_bar(label, 100, "%") as bar:

        def poll() -> None:
            nonlocal shown
            for row in follower.new_rows():
                on_metrics(row)
                percent = 100 * row["step"] / row["max_steps"]
                note = f"step {row['step']:.0f}/{row['max_steps']:.0f}"
                shown_values = (
                    f", {key} {row[key]:.3f}" for key in ("reward", "loss") if key in row
                )
                bar.advance(percent - shown, note + "".join(shown_values))
                shown = percent

        launch_training(job, accelerate, log_file, poll, meeting)
    result = TypeAdapter(TrainingResult).validate_json((job.work / RESULT_FILE).read_text())
    return Summary(
        counts={"steps": result.num_steps, **result.counts},
        num_trained_tokens=result.num_tokens,
    )


def _check_pairs(path: Path) -> None:
    num_pairs = sum(1 for _ in read_jsonl(path, PreferencePair))
    if num_pairs < 2:
        raise TrainingError(
            f"{path} has {num_pairs} preference pairs: the policy solves too few or too many "
            "train problems. Raise generation.num_candidates or take other problems."
        )


def select_problems(
    problems: Sequence[Problem], annotation: Path | None, pass_rates: Sequence[float] | None
) -> list[Problem]:
    """The problems whose pass rate in the annotation is within `pass_rates`, both ends included.

    Raises:
        TrainingError: none is.
    """
    if annotation is None or pass_rates is None:
        return list(problems)
    lowest, highest = pass_rates
    results = count_results(read_judged(annotation))
    rates = {r.task_id: r.num_passed / r.num_candidates for r in results if r.num_candidates}
    kept = [p for p in problems if lowest <= rates.get(p.task_id, -1.0) <= highest]
    if not kept:
        raise TrainingError(
            f"none of {len(problems)} train problems has a pass rate in {list(pass_rates)}: widen "
            "method.pass_rate_range or raise generation.num_candidates."
        )
    return kept


def merge(base: ModelRef, adapter: Path, prompts: Sequence[str], work: Path) -> Summary:
    """The merged model, and the gate that it passed."""
    check = merge_adapter(base, adapter, work / MERGED_MODEL, prompts)
    write_json(work / MERGE_CHECK, asdict(check))
    return Summary(counts={"max_logit_difference": check.max_logit_difference})


def analyze_sets(
    annotations: Mapping[str, Path], audits: Mapping[str, ProblemAudit], work: Path
) -> Summary:
    """One analysis per set of candidates ("before", "after", "train"). `audits` may be empty."""
    reference_s = {name: audit.cpu_s for name, audit in audits.items() if audit.passing}
    analyses = {
        name: analyze(read_judged(folder), reference_s) for name, folder in annotations.items()
    }
    write_json(work / ANALYSES, {name: asdict(a) for name, a in analyses.items()})
    return Summary(counts={"sets": len(analyses)})


def read_analyses(folder: Path) -> dict[str, SetAnalysis]:
    """What `analyze_sets` wrote."""
    return TypeAdapter(dict[str, SetAnalysis]).validate_json((folder / ANALYSES).read_text())
