"""The report of one run: the answer in one sentence, and everything that it rests on.

Three files with the same numbers: JSON for programs, Markdown for a pull request, and one
self-contained HTML page (no script, no network). The pages are rendered from what the JSON file
holds and from nothing else.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from coderl_exp.answer import answer_of, answer_without_test
from coderl_exp.changes import align, length_histogram, problem_changes
from coderl_exp.examples import examples_of
from coderl_exp.metrics import ProblemResult, count_results, verdict_counts
from coderl_exp.plots import curve_figures, run_figures
from coderl_exp.power import Plan, estimate_noise, plans_around
from coderl_exp.records import JudgedCandidate
from coderl_exp.rendering import html_environment, markdown_environment, write_pages
from coderl_exp.report_data import (
    LedgerRow,
    PassAtK,
    RunReport,
    RunSummary,
    compute_pass_at_k,
    finite,
    non_finite_values,
    total_cost,
)
from coderl_exp.training_health import curve_health

__all__ = [
    "LedgerRow",
    "RunReport",
    "RunSummary",
    "render_html",
    "render_markdown",
    "summarize",
    "write_report",
]


def summarize(report: RunReport) -> RunSummary:
    """Every number of the report.

    Raises:
        CoderlError: the model was evaluated on other problems before than after.
    """
    before, after = align(count_results(report.before), count_results(report.after))
    scores = compute_pass_at_k(report.ks, before, after)
    changes = problem_changes(before, after) if before and after else []
    fixed = tuple(c for c in changes if not c.num_passed_before and c.num_passed_after)
    broken = tuple(c for c in changes if c.num_passed_before and not c.num_passed_after)
    num_problems = len(before or after)
    was_trained = bool(report.curves) or report.merge is not None
    validated = count_results(report.validation)
    validation = compute_pass_at_k(report.ks, (), validated)
    return RunSummary(
        experiment=report.experiment,
        method=report.method,
        model=report.model,
        dataset=report.dataset,
        seed=report.seed,
        created_at=report.created_at,
        command=report.command,
        git_commit=report.git_commit,
        ks=tuple(report.ks),
        answer=(
            answer_of(report, scores, num_problems, was_trained)
            if num_problems
            else answer_without_test(report.ks, validation.after, len(validated))
        ),
        num_problems=num_problems,
        num_candidates_before=len(report.before),
        num_candidates_after=len(report.after),
        before=scores.before,
        after=scores.after,
        comparisons=scores.comparisons,
        solvable=_on_solvable(report, before, after),
        plans=_plans(before, after),
        results_before=tuple(before),
        results_after=tuple(after),
        samples_before=_digest(report.before),
        samples_after=_digest(report.after),
        verdicts_before=dict(verdict_counts(report.before)),
        verdicts_after=dict(verdict_counts(report.after)),
        moves=_moves(report.before, report.after),
        fixed=fixed,
        broken=broken,
        examples=examples_of(fixed, broken, report.problems, report.before, report.after),
        lengths=length_histogram(report.before, report.after),
        analyses=dict(report.analyses),
        curves=tuple({name: finite(value) for name, value in row.items()} for row in report.curves),
        training=curve_health(report.curves),
        data=report.data,
        pairs=report.pairs,
        num_pairs=dict(report.num_pairs),
        dropped={reason: count for reason, count in report.dropped.items() if count},
        merge=None if report.merge is None else {k: finite(v) for k, v in report.merge.items()},
        ledger=tuple(report.ledger),
        cost=total_cost(report.ledger),
        cost_of_this_run=total_cost([row for row in report.ledger if not row.was_reused]),
        isolation=tuple(report.isolation),
        warnings=(
            *report.warnings,
            *scores.undefined,
            *validation.undefined,
            *non_finite_values(report.curves),
        ),
        versions=dict(report.versions),
        keys=dict(report.keys),
        config_yaml=report.config_yaml,
        num_validation_problems=len(validated),
        validation=validation.after,
    )


def _on_solvable(
    report: RunReport, before: Sequence[ProblemResult], after: Sequence[ProblemResult]
) -> PassAtK | None:
    """pass@k without the problems that no reference solves, where there are any."""
    excluded = report.data.unsolvable_test if report.data else frozenset()
    kept = [[r for r in rows if r.task_id not in excluded] for rows in (before, after)]
    if not any(kept) or len(kept[0] or kept[1]) == len(before or after):
        return None
    return compute_pass_at_k(report.ks, *kept)


def write_report(report: RunReport, folder: Path) -> RunSummary:
    """Write `<experiment>_summary.json`, `.md` and `.html`; each appears whole or not at all."""
    summary = summarize(report)
    name = f"{report.experiment}_summary"
    write_pages(summary, folder, name, render_markdown(summary), render_html(summary))
    return summary


def render_markdown(summary: RunSummary) -> str:
    """The report in short form."""
    return markdown_environment().get_template("report.md.j2").render(s=summary)


def render_html(summary: RunSummary) -> str:
    """One page that needs nothing beside it."""
    return (
        html_environment()
        .get_template("report.html.j2")
        .render(
            s=summary,
            figures={name: Markup(svg) for name, svg in run_figures(summary).items()},
            curves={name: Markup(svg) for name, svg in curve_figures(summary).items()},
        )
    )


def _plans(before: Sequence[ProblemResult], after: Sequence[ProblemResult]) -> tuple[Plan, ...]:
    """None where the noise cannot be estimated, or where these few candidates showed none."""
    noise = estimate_noise(before, after) if before and after else None
    if noise is None or not (noise.sampling or noise.change):
        return ()
    return plans_around(noise, len(before), min(r.num_candidates for r in (*before, *after)) or 1)


def _digest(rows: Sequence[JudgedCandidate]) -> str:
    if not rows:
        return ""
    digest = hashlib.sha256()
    for row in rows:
        name = f"{row.candidate.task_id}\0{row.candidate.index}\0{row.candidate.completion}\0"
        digest.update(name.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _moves(
    before: Sequence[JudgedCandidate], after: Sequence[JudgedCandidate]
) -> Mapping[str, Mapping[str, int]]:
    """Candidates are matched by problem and number: both sides draw the same random numbers."""
    new = {(r.candidate.task_id, r.candidate.index): r.verdict.status.value for r in after}
    counts = Counter(
        (row.verdict.status.value, new[name])
        for row in before
        if (name := (row.candidate.task_id, row.candidate.index)) in new
    )
    moves: dict[str, dict[str, int]] = {}
    for (old, now), count in sorted(counts.items()):
        moves.setdefault(old, {})[now] = count
    return moves
