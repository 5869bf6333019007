import dataclasses
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from coderl_exp.analysis import analyze
from coderl_exp.errors import CoderlError
from coderl_exp.pair_audit import LabelChecks, PairAudit
from coderl_exp.records import (
    Candidate,
    JudgedCandidate,
    Problem,
    StdinTest,
    Verdict,
    VerdictStatus,
)
from coderl_exp.report import (
    LedgerRow,
    RunReport,
    RunSummary,
    render_html,
    render_markdown,
    summarize,
    write_report,
)
from coderl_exp.statistics import Estimate

PASSED, WRONG = VerdictStatus.passed, VerdictStatus.wrong_answer
HOSTILE = "</script></pre><img src=x onerror=alert(1)>\x00\ud800\u202e| `" + "x" * 30_000
NUM_CANDIDATES = 4


def judged(task_id: str, index: int, status: VerdictStatus, text: str = "") -> JudgedCandidate:
    code = None if status is VerdictStatus.no_code else f"def f(x):\n    return {index}  # {text}\n"
    return JudgedCandidate(
        candidate=Candidate(
            task_id=task_id,
            index=index,
            seed=0,
            completion=f"```python\n{code}```{text}",
            num_prompt_tokens=30,
            num_completion_tokens=20 + 3 * index,
            finish_reason="eos",
        ),
        code=code,
        extraction_rule="block_with_entry_point" if code else "none",
        verdict=Verdict(
            status=status,
            tests=(status,),
            error="" if status is PASSED else f"AssertionError: assert f(1) == 2{text}",
        ),
    )


def evaluation(
    num_passed: Sequence[int], failed: VerdictStatus = WRONG, text: str = ""
) -> list[JudgedCandidate]:
    """Problem i has `num_passed[i]` passing candidates of four, the last ones."""
    return [
        judged(f"mini/{i}", j, PASSED if j >= NUM_CANDIDATES - n else failed, text)
        for i, n in enumerate(num_passed)
        for j in range(NUM_CANDIDATES)
    ]


def problem(task_id: str, text: str = "Add one.") -> Problem:
    return Problem(
        task_id=task_id,
        split="test",
        text=text,
        entry_point="f",
        signature="def f(x):",
        references=(),
        tests=("assert f(1) == 2",),
    )


def ledger_row(stage: str, was_reused: bool) -> LedgerRow:
    return LedgerRow(
        stage=stage,
        wall_s=10.5,
        cpu_s=20.0,
        num_prompt_tokens=1000,
        num_generated_tokens=2000,
        num_trained_tokens=300,
        sandbox_cpu_s=1.5,
        was_reused=was_reused,
    )


def report(
    before: Sequence[JudgedCandidate] = (), after: Sequence[JudgedCandidate] = (), **changes: Any
) -> RunReport:
    sets = {"before": before, "after": after}
    whole = RunReport(
        experiment="mini_dpo",
        method="dpo",
        model="tiny",
        dataset="mini",
        seed=42,
        created_at="2025-01-01 00:00:00",
        command="python -m coderl_exp dataset=mini",
        git_commit="abc",
        ks=(1, 2),
        problems={f"mini/{i}": problem(f"mini/{i}") for i in range(40)},
        before=before,
        after=after,
        train=(),
        analyses={name: analyze(rows) for name, rows in sets.items() if rows},
        curves=(),
        num_pairs={},
        dropped={},
        merge=None,
        ledger=(),
        isolation=("network: on",),
        warnings=(),
        versions={"python": "3.11"},
        config_yaml="seed: 42\n",
    )
    return dataclasses.replace(whole, **changes)


AUDIT = PairAudit(
    num_pairs=12,
    num_problems=5,
    by_kind={"pass_over_fail": 12},
    median_chosen_tokens=31.0,
    median_rejected_tokens=20.5,
    chosen_longer=Estimate(mean=0.75, low=0.6, high=0.9),
    num_near_duplicates=2,
    effective_problems=3.43,
    largest_share=0.4,
    leaks={"mini/101": "the text of mini/3"},
    labels=LabelChecks(num_programs=17, num_repeats=2, num_changed=1),
)


def full_report(text: str = "") -> RunReport:
    return report(
        evaluation([0] * 10 + [1] * 20, text=text),
        evaluation([2] * 10 + [2] * 19 + [0], text=text),
        curves=[
            {"step": s, "max_steps": 3, "loss": 1 / s, "rewards/margins": s} for s in (1, 2, 3)
        ],
        num_pairs={"pass_over_fail": 12},
        pairs=AUDIT,
        keys={"model": "tiny@1", "train": "0123abcd"},
        dropped={"candidate: duplicate by AST": 3, "pair: over max_pairs": 0},
        merge={"max_logit_difference": 1e-5, "greedy_tokens_agree": True},
        ledger=[ledger_row("baseline", was_reused=True), ledger_row("train", was_reused=False)],
    )


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def write(run: RunReport, folder: Path) -> Mapping[str, str]:
    write_report(run, folder)
    return {
        path.suffix[1:]: path.read_text(encoding="utf-8")
        for path in folder.iterdir()
        if path.stem == "mini_dpo_summary"
    }


def test_a_clear_improvement_is_called_unlikely_to_be_chance() -> None:
    answer = summarize(full_report()).answer
    assert answer.startswith("DPO raised pass@1 from 16.7 % to 48.3 %: +31.7 points (95 % interval")
    assert answer.endswith("p < 0.001 (corrected for 2 values of k): unlikely to be chance.")


def test_a_clear_loss_is_called_lowered() -> None:
    answer = summarize(report(evaluation([3] * 20), evaluation([1] * 19 + [2]))).answer
    assert answer.startswith("DPO lowered pass@1 from 75.0 % to 26.2 %: −48.8 points")


def test_a_change_whose_interval_includes_zero_is_not_claimed() -> None:
    answer = summarize(report(evaluation([1, 2, 1, 0]), evaluation([2, 1, 1, 1]))).answer
    assert answer.startswith("With DPO, pass@1 went from 25.0 % to 31.2 %: +6.2 points")
    assert "the interval includes zero: this run does not show that the change is real." in answer


def test_an_interval_and_a_test_that_disagree_settle_nothing() -> None:
    answer = summarize(report(evaluation([0, 0, 0]), evaluation([1, 1, 2]))).answer
    assert "interval and test disagree, so this run does not settle" in answer


def test_results_that_are_equal_for_every_problem_are_called_the_same() -> None:
    answer = summarize(report(evaluation([1, 2]), evaluation([1, 2]))).answer
    assert answer == "DPO left pass@1 at 37.5 %: it is the same for every problem."


def test_a_baseline_alone_says_that_nothing_was_trained() -> None:
    answer = summarize(report(evaluation([0, 1, 2]))).answer
    assert re.fullmatch(
        r"The model passes 25\.0 % \(95 % interval .* % to .* %\) of 3 test problems at the first "
        r"try; nothing was trained in this run\.",
        answer,
    )


def test_a_trained_model_that_was_not_evaluated_is_not_called_untrained() -> None:
    answer = summarize(report(evaluation([0, 1]), curves=[{"step": 1, "loss": 1.0}])).answer
    assert answer.endswith("the trained model was not evaluated in this run.")


def test_an_evaluation_after_alone_shows_no_change() -> None:
    answer = summarize(report((), evaluation([0, 1]))).answer
    assert answer.endswith("the base model was not evaluated in this run, so it shows no change.")


def test_without_an_evaluation_nothing_is_claimed() -> None:
    assert summarize(report()).answer.startswith("No model was evaluated on the test split")


def test_pass_at_k_that_candidates_do_not_suffice_for_is_absent_and_explained() -> None:
    summary = summarize(report(evaluation([0, 1]), ks=(1, 8)))
    assert set(summary.before) == {1}
    assert "pass@8 needs 8 judged candidates" in summary.warnings[0]


def test_a_lost_problem_makes_pass_at_1_undefined_and_not_padded() -> None:
    lost = evaluation([0, 4], failed=VerdictStatus.sandbox_error)
    run = report(lost, evaluation([1, 4]))
    summary = summarize(run)
    assert "it is undefined in this run" in render_html(dataclasses.replace(summary, after={}))
    assert summary.before == {}
    assert summary.answer.startswith("pass@1 is undefined in this run")
    assert summary.fixed == ()


def test_other_problems_after_than_before_are_refused() -> None:
    with pytest.raises(CoderlError, match=r"mini/2"):
        summarize(report(evaluation([0, 1]), evaluation([0, 1, 1])))


def test_p_values_are_corrected_over_all_k() -> None:
    before, after = evaluation([0] * 8), evaluation([1] * 8)
    alone = summarize(report(before, after, ks=(1,))).comparisons[1].p_value
    together = summarize(report(before, after, ks=(1, 2))).comparisons[1].p_value
    assert together == pytest.approx(2 * alone)


def test_problems_fixed_and_broken_are_listed_with_their_pass_rates() -> None:
    summary = summarize(report(evaluation([0, 2, 1]), evaluation([3, 0, 2])))
    assert [(c.task_id, c.pass_rate_before, c.pass_rate_after) for c in summary.fixed] == [
        ("mini/0", 0.0, 0.75)
    ]
    assert [(c.task_id, c.pass_rate_before, c.pass_rate_after) for c in summary.broken] == [
        ("mini/1", 0.5, 0.0)
    ]


def test_cost_is_summed_with_and_without_what_was_reused() -> None:
    summary = summarize(full_report())
    assert (summary.cost.wall_s, summary.cost_of_this_run.wall_s) == (21.0, 10.5)
    assert summary.cost.num_generated_tokens == 4000


def test_numbers_that_json_does_not_have_become_null_and_a_warning(tmp_path: Path) -> None:
    curves = [{"step": 1, "loss": float("nan")}, {"step": 2, "loss": float("inf")}]
    run = report(evaluation([1]), curves=curves, merge={"max_logit_difference": float("nan")})
    files = write(run, tmp_path)
    written = json.loads(files["json"], parse_constant=pytest.fail)
    assert written["curves"][0] == {"step": 1, "loss": None}
    assert written["merge"] == {"max_logit_difference": None}
    assert written["warnings"] == [
        "2 logged values of the training are not finite numbers, loss at step 1 first."
    ]


def test_the_three_files_show_the_same_numbers(tmp_path: Path) -> None:
    files = write(full_report(), tmp_path)
    written = json.loads(files["json"])
    page = _Page(files["html"]).text.replace("\u00a0", " ")
    for text in (files["md"], page):
        assert written["answer"].replace("<", "&lt;" if text is files["md"] else "<") in text
        for when in ("before", "after"):
            for estimate in written[when].values():
                assert f"{estimate['mean'] * 100:.1f} %" in text
                assert f"[{estimate['low'] * 100:.1f}, {estimate['high'] * 100:.1f}]" in text
        assert "mini/29" in text
        assert f"{written['cost']['num_generated_tokens']:,}".replace(",", "\u202f") in text


def test_the_pages_are_made_from_the_json_file_alone(tmp_path: Path) -> None:
    files = write(full_report(HOSTILE), tmp_path)
    read_back = TypeAdapter(RunSummary).validate_json(files["json"])
    assert render_html(read_back) == files["html"]
    assert render_markdown(read_back) == files["md"]


def test_an_example_shows_its_first_failing_test(tmp_path: Path) -> None:
    run = report(evaluation([0]), evaluation([1]))
    example = summarize(run).examples["mini/0"]
    assert (example.before.failing_test_number, example.before.failing_test) == (
        1, "assert f(1) == 2"
    )  # fmt: skip
    assert example.after.failing_test_number is None
    page = _Page(write(run, tmp_path)["html"]).text
    assert re.search(r"Failed test 1:\s+assert f\(1\) == 2", page)


def test_a_failing_run_of_a_program_shows_its_input_and_expected_output() -> None:
    stdin = StdinTest(stdin="3\n", stdout="9\n" + "x" * 5_000)
    problems = {"mini/0": dataclasses.replace(problem("mini/0"), tests=(stdin,))}
    example = summarize(report(evaluation([0]), evaluation([1]), problems=problems)).examples
    shown = example["mini/0"].before.failing_test
    assert shown.startswith("standard input:\n3\n\n\nexpected output:\n9\n")
    assert shown.endswith("more characters")


def test_more_examples_than_fit_are_listed_without_code(tmp_path: Path) -> None:
    run = report(evaluation([0] * 45), evaluation([1] * 45))
    summary = summarize(run)
    assert (len(summary.fixed), len(summary.examples)) == (45, 40)
    assert "Without code here: mini/40 (0/4 → 1/4)" in write(run, tmp_path)["html"]


def test_verdicts_are_followed_from_before_to_after() -> None:
    before = evaluation([2, 0], failed=VerdictStatus.timeout)
    summary = summarize(report(before, evaluation([4, 1])))
    assert summary.moves == {
        "passed": {"passed": 2}, "timeout": {"passed": 3, "wrong_answer": 3}
    }  # fmt: skip


def test_the_report_says_what_a_larger_study_could_find() -> None:
    plans = summarize(full_report()).plans
    assert [(plan.num_problems, plan.num_candidates) for plan in plans] == [
        (30, 4), (30, 16), (120, 4), (120, 16)
    ]  # fmt: skip
    assert plans[0].detectable > plans[-1].detectable > 0
    assert summarize(report(evaluation([1, 2]))).plans == ()
    assert summarize(report(evaluation([4, 0]), evaluation([4, 0]))).plans == (), "no noise: none"


def test_copies_of_samples_have_one_digest_and_other_samples_another() -> None:
    first, again = summarize(full_report()), summarize(full_report())
    assert first.samples_after == again.samples_after
    assert first.samples_after != summarize(full_report("other")).samples_after
    assert summarize(report()).samples_after == ""


def test_training_health_compares_the_ends_of_each_logged_value(tmp_path: Path) -> None:
    curves = [{"step": s, "reward": s / 9, "kl": float("nan")} for s in range(1, 10)]
    curves[4]["kl"] = 0.5
    run = report(curves=curves)
    kl, reward = sorted(summarize(run).training, key=lambda c: c.name)
    assert (reward.first_third, reward.last_third) == pytest.approx((2 / 9, 8 / 9))
    assert (kl.num_logged, kl.num_not_finite, kl.max) == (9, 8, 0.5)
    assert "8 of 9 are not finite" in write(run, tmp_path)["html"]


def test_the_pair_audit_is_shown(tmp_path: Path) -> None:
    for text in write(full_report(), tmp_path).values():
        assert "16 of 17" in text or '"num_changed": 1' in text
    page = " ".join(_Page(write(full_report(), tmp_path)["html"]).text.split())
    assert re.search(r"chosen is the longer one ?75\.0 % \[60\.0, 90\.0\]", page)
    assert "mini/101 (the text of mini/3)" in page


def test_what_a_model_wrote_stays_text_in_the_page(tmp_path: Path) -> None:
    files = write(full_report(HOSTILE), tmp_path)
    tags = [tag for tag, _ in _Page(files["html"]).tags]
    assert not {"script", "img", "iframe", "object", "link"} & set(tags)
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\ud800-\udfff]", files["html"])
    assert "&lt;img src=x onerror=alert(1)&gt;\\u0000\\ud800\\u202e" in files["html"]
    assert "more characters are not shown" in files["html"]


def test_a_hostile_task_error_or_completion_without_code_stays_text(tmp_path: Path) -> None:
    before = evaluation([0, 0], failed=VerdictStatus.no_code, text=HOSTILE)
    problems = {"mini/0": problem("mini/0", HOSTILE)}
    files = write(report(before, evaluation([1, 1]), problems=problems), tmp_path)
    assert "img" not in [tag for tag, _ in _Page(files["html"]).tags]
    assert "No code was found in this completion" in files["html"]
    assert "<img" not in files["md"]


def test_the_page_needs_nothing_beside_it(tmp_path: Path) -> None:
    html = write(full_report(), tmp_path)["html"]
    urls = set(re.findall(r"(?:https?:)?//[\w./-]+", html))
    assert urls <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "@import" not in html


def test_every_figure_is_labelled_and_every_id_is_unique(tmp_path: Path) -> None:
    tags = _Page(write(full_report(), tmp_path)["html"]).tags
    figures = [attributes for tag, attributes in tags if tag == "svg"]
    assert len(figures) == 6
    assert all(f["role"] == "img" and f["aria-label"] for f in figures)
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    first = write(full_report(), tmp_path / "a")
    assert first == write(full_report(), tmp_path / "b")


def test_sections_whose_stage_did_not_run_say_so(tmp_path: Path) -> None:
    files = write(report(), tmp_path)
    for sentence in (
        "No pass@k: the test split was not evaluated in this run.",
        "No verdicts: the test split was not evaluated in this run.",
        "No model was trained in this run.",
        "The analysis did not run.",
        "No preference pairs were built in this run.",
        "No stage reported its cost.",
    ):
        assert sentence in files["html"]
    assert "No model was trained in this run." in files["md"]


@pytest.mark.parametrize("sides", [("before",), ("after",)])
def test_one_evaluation_alone_makes_a_whole_report(sides: tuple[str], tmp_path: Path) -> None:
    files = write(report(**{side: evaluation([0, 1, 4]) for side in sides}), tmp_path)
    assert set(files) == {"json", "md", "html"}
    assert "Nothing to compare" in files["html"]


def test_markdown_tables_fit_100_columns_and_have_even_rows(tmp_path: Path) -> None:
    rows = [line for line in write(full_report(), tmp_path)["md"].splitlines() if line[:1] == "|"]
    assert rows
    assert max(map(len, rows)) <= 100
    for above, below in itertools.pairwise(rows):
        if set(below) <= set("|:-"):
            assert above.count("|") == below.count("|")


def test_a_failed_report_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(CoderlError):
        write_report(report(evaluation([0]), evaluation([0, 1])), tmp_path)
    assert list(tmp_path.iterdir()) == []
