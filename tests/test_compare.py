"""Many runs: ranked, compared on the same problems, replicates as one, copies refused."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from coderl_exp.compare import Comparison, compare_runs
from coderl_exp.compare.__main__ import main
from coderl_exp.compare.pages import render_html, render_markdown, write
from coderl_exp.config import PROJECT_ROOT
from coderl_exp.errors import ConfigError, DataError
from coderl_exp.statistics import compare_paired
from tests.runs import write_run

NUM_PROBLEMS = 40
BASE = np.random.default_rng(0).beta(0.6, 0.9, NUM_PROBLEMS)


def run(folder: Path, gain: float = 0.0, **options: Any) -> Path:
    """A run whose training adds `gain` to the pass rate of every problem."""
    return write_run(folder, BASE, np.clip(BASE + gain, 0, 1), **options)


def rate(value: str) -> list[str]:
    return [f"method.learning_rate={value}"]


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two methods, two learning rates; the higher one gains, and GRPO costs more."""
    for number, (method, value, gain) in enumerate(
        [("dpo", "1e-6", 0.0), ("dpo", "1e-5", 0.2), ("grpo", "1e-6", 0.05), ("grpo", "1e-5", 0.3)]
    ):
        cost = 100.0 if method == "dpo" else 900.0
        run(
            tmp_path / str(number), gain,
            method=method, options=rate(value), seed=number, train_s=cost,
        )  # fmt: skip
    return tmp_path


def test_configurations_are_ranked_by_the_metric(sweep: Path) -> None:
    comparison = compare_runs([sweep])
    assert [row.name for row in comparison.rows][:2] == [
        "method=grpo learning_rate=1e-5 seed=3", "method=dpo learning_rate=1e-5 seed=1"
    ]  # fmt: skip
    means = [row.value.mean for row in comparison.rows]
    assert means == sorted(means, reverse=True)
    assert sum(row.share_best for row in comparison.rows) == pytest.approx(1)
    assert comparison.answer.startswith(
        "Of 4 configurations, method=grpo learning_rate=1e-5 seed=3 has the highest pass@1"
    )


def test_without_a_baseline_each_run_is_compared_with_its_own_base_model(sweep: Path) -> None:
    comparison = compare_runs([sweep])
    assert comparison.reference == "the base model"
    by_name = {row.name: row.comparison for row in comparison.rows}
    changed = by_name["method=grpo learning_rate=1e-5 seed=3"]
    same = by_name["method=dpo learning_rate=1e-6 seed=0"]
    assert changed is not None
    assert same is not None
    assert changed.is_significant
    assert not same.is_significant


def test_a_named_baseline_is_compared_on_the_same_problems_with_holm(sweep: Path) -> None:
    comparison = compare_runs([sweep], baseline="0")
    reference = next(row for row in comparison.rows if row.comparison is None)
    assert comparison.reference == reference.name == "method=dpo learning_rate=1e-6 seed=0"
    summaries = {
        int(path.parts[-4]): json.loads(path.read_text())
        for path in sweep.glob("*/artifacts/reports/*.json")
    }
    scores = {
        number: [r["num_passed"] / r["num_candidates"] for r in summary["results_after"]]
        for number, summary in summaries.items()
    }
    raw = sorted(compare_paired(scores[0], scores[i]).p_value for i in (1, 2, 3))
    shown = sorted(row.comparison.p_value for row in comparison.rows if row.comparison)
    assert shown[0] == pytest.approx(3 * raw[0])
    assert shown[-1] == pytest.approx(max(raw[-1], 2 * raw[1], 3 * raw[0]))


def test_runs_that_differ_in_the_seed_only_are_one_row(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        run(tmp_path / f"high{seed}", 0.25, options=rate("1e-5"), seed=seed)
        run(tmp_path / f"low{seed}", 0.0, options=rate("1e-6"), seed=seed)
    comparison = compare_runs([tmp_path])
    assert [row.name for row in comparison.rows] == ["learning_rate=1e-5", "learning_rate=1e-6"]
    best = comparison.rows[0]
    assert sorted(best.seeds) == [1, 2, 3]
    assert best.value.mean == pytest.approx(np.mean(list(best.by_seed.values())))
    assert best.variance is not None
    assert best.variance.problem > best.variance.seed


@pytest.mark.parametrize("seed", [1, 2])
def test_a_copy_of_a_run_is_refused_as_a_replicate_even_under_another_seed(
    seed: int, tmp_path: Path
) -> None:
    original = run(tmp_path / "a", 0.1, seed=1)
    copy = shutil.copytree(original, tmp_path / "b")
    file = next(copy.glob("artifacts/reports/*.json"))
    summary = json.loads(file.read_text())
    summary["seed"] = seed
    file.write_text(json.dumps(summary))
    why = "both have seed 1" if seed == 1 else "their sampled completions are identical"
    with pytest.raises(DataError, match=why):
        compare_runs([tmp_path])


def test_runs_on_other_problems_are_refused(tmp_path: Path) -> None:
    run(tmp_path / "a", options=rate("1"))
    write_run(tmp_path / "b", [0.5] * 3, [0.5] * 3, options=rate("2"))
    with pytest.raises(DataError, match="only runs on the same test problems can be compared"):
        compare_runs([tmp_path])


def test_a_run_without_training_stands_for_its_base_model(tmp_path: Path) -> None:
    write_run(tmp_path / "base", BASE, [], seed=1)
    run(tmp_path / "trained", 0.3, seed=1, options=rate("1"))
    trained, base = compare_runs([tmp_path]).rows
    assert (trained.is_trained, base.is_trained) == (True, False)
    assert base.comparison is None
    against = compare_runs([tmp_path], baseline="base").rows[0].comparison
    assert against is not None
    assert against.difference.low > 0


def test_the_metric_can_be_the_change(sweep: Path) -> None:
    best = compare_runs([sweep], metric="delta/pass@2").rows[0]
    assert best.comparison is not None
    assert best.value.mean == pytest.approx(best.comparison.difference.mean)


def test_a_heat_map_is_drawn_over_what_was_swept_or_asked_for(sweep: Path) -> None:
    swept = compare_runs([sweep]).heat_map
    assert swept is not None
    assert set(swept.keys) == {"method.name", "method.learning_rate"}
    asked = compare_runs([sweep], by=["learning_rate"]).heat_map
    assert asked is not None
    assert asked.keys == ("method.learning_rate",)
    assert asked.values == (("1e-6", "1e-5"),)
    assert asked.counts == {"1e-6": 2, "1e-5": 2}


def test_methods_meet_at_every_budget_that_pays_for_both(sweep: Path) -> None:
    (meeting,) = compare_runs([sweep]).equal_cost
    assert meeting.budget == 900.0
    assert (meeting.better_method, meeting.other_method) == ("grpo", "dpo")
    assert "learning_rate=1e-5" in meeting.other


def test_a_cheaper_better_method_wins_at_every_budget(tmp_path: Path) -> None:
    run(tmp_path / "a", 0.3, method="dpo", train_s=50)
    run(tmp_path / "b", 0.0, method="grpo", train_s=500)
    (meeting,) = compare_runs([tmp_path]).equal_cost
    assert (meeting.better_method, meeting.comparison.is_significant) == ("dpo", True)


def test_evaluation_is_no_part_of_the_cost(sweep: Path) -> None:
    assert {row.cost.wall_s for row in compare_runs([sweep]).rows} == {100.0, 900.0}


def test_learning_curves_of_all_runs_are_kept(sweep: Path) -> None:
    curves = compare_runs([sweep]).curves
    assert {name: len(found) for name, found in curves.items()} == {"loss": 4, "reward": 4}


def test_one_run_alone_is_described_without_a_winner(tmp_path: Path) -> None:
    comparison = compare_runs([run(tmp_path / "only", 0.2)])
    assert "has pass@1" in comparison.answer
    assert "points from the base model" in comparison.answer


def test_groups_that_the_command_line_does_not_tell_apart_have_names_of_their_own(
    tmp_path: Path,
) -> None:
    for number, (rate, seed) in enumerate([("1", 1), ("1", 2), ("2", 1), ("2", 2)]):
        run(
            tmp_path / str(number), seed=10 * number + seed, command="python -m coderl_exp",
            config_yaml=f"seed: {seed}\nlr: {rate}\n",
        )  # fmt: skip
    names = [row.name for row in compare_runs([tmp_path]).rows]
    assert len(set(names)) == len(names) == 2


def test_a_clear_winner_is_called_so_and_a_close_one_is_not(tmp_path: Path) -> None:
    run(tmp_path / "a", 0.4, options=rate("1"))
    run(tmp_path / "b", 0.0, options=rate("2"))
    assert compare_runs([tmp_path]).answer.endswith("unlikely to be chance.")
    run(tmp_path / "c", 0.4, options=rate("3"), seed=7)
    assert compare_runs([tmp_path]).answer.endswith("does not show which is best.")


def test_unfinished_runs_are_left_out_and_named(sweep: Path) -> None:
    (sweep / "killed" / ".hydra").mkdir(parents=True)
    (sweep / "killed" / ".hydra" / "config.yaml").touch()
    comparison = compare_runs([sweep])
    assert comparison.num_runs == 4
    assert any("killed is not finished" in line for line in comparison.warnings)


def test_the_pages_are_made_from_the_json_file_alone(sweep: Path, tmp_path: Path) -> None:
    page = write(compare_runs([sweep]), tmp_path / "out")
    read_back = TypeAdapter(Comparison).validate_json((page.with_suffix(".json")).read_text())
    assert render_html(read_back) == page.read_text(encoding="utf-8")
    assert render_markdown(read_back) == page.with_suffix(".md").read_text(encoding="utf-8")


def test_every_number_of_the_ranking_is_in_the_page_and_the_markdown(sweep: Path) -> None:
    comparison = compare_runs([sweep])
    html, text = render_html(comparison), render_markdown(comparison)
    for row in asdict(comparison)["rows"]:
        shown = f"[{row['value']['low'] * 100:.1f}, {row['value']['high'] * 100:.1f}]"
        assert shown in html
        assert shown in text
    assert "<script" not in html
    assert set(re.findall(r"https?://[\w./-]+", html)) <= {
        "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
    }  # fmt: skip


def test_names_from_the_command_line_stay_text(tmp_path: Path) -> None:
    run(tmp_path / "a", options=["method.note=<b>$x^2$"], seed=1)
    run(tmp_path / "b", options=["method.note=y"], seed=1)
    assert "<b>$x" not in render_html(compare_runs([tmp_path]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no finished run in"),
        (["--metric", "pass@9"], "has only 8 judged candidates"),
        (["--metric", "accuracy"], "--metric is 'accuracy': give pass@1"),
        (["--baseline", "nobody"], "no run is named so"),
        (["--by", "warmup"], "names no single option"),
        (["--by", "a,b,c"], "give one or two"),
        (["--cost", "gpu"], "invalid choice: 'gpu'"),
        (["--sort"], "unrecognized arguments: --sort"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if arguments:
        run(tmp_path / "a")
    assert main([str(tmp_path), "--out", str(tmp_path / "out"), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_missing_folder_or_a_damaged_summary_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere is no folder"):
        compare_runs([tmp_path / "nowhere"])
    file = next(run(tmp_path / "a").glob("artifacts/reports/*.json"))
    file.write_text(file.read_text()[:500])
    with pytest.raises(DataError, match=r"mini_dpo_summary\.json is no summary of a run"):
        compare_runs([tmp_path])


def test_an_output_folder_that_cannot_be_made_is_named(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (sweep / "file").touch()
    assert main([str(sweep), "--out", str(sweep / "file" / "out")]) == 2
    assert "Not a directory" in capsys.readouterr().err


def test_an_unknown_cost_is_refused(sweep: Path) -> None:
    with pytest.raises(ConfigError, match="--cost is 'gpu'"):
        compare_runs([sweep], cost="gpu")


def test_the_command_prints_a_table_of_100_columns_and_writes_three_files(sweep: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "coderl_exp.compare", str(sweep), "--out", str(sweep / "out")],
        capture_output=True, text=True, check=True, cwd=PROJECT_ROOT,
    )  # fmt: skip
    lines = done.stderr.splitlines()
    assert any(line.startswith("method=grpo learning_rate=1e-5") for line in lines)
    assert max(len(line) for line in lines if not line.startswith("page")) <= 100
    assert {path.suffix for path in (sweep / "out").iterdir()} == {".html", ".md", ".json"}
