"""The analysis as a tool of its own: any file of judged candidates, one line for bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from coderl_exp.analyze import FileAnalysis, analyze_file, main, render_html
from coderl_exp.records import Usage, VerdictStatus, write_jsonl
from tests.runs import make_candidates


@pytest.fixture
def annotated(tmp_path: Path) -> Path:
    path = tmp_path / "candidates_annotated.jsonl"
    write_jsonl(path, make_candidates([0.1, 0.5, 0.9, 0.4], 6, seed=1))
    return path


def test_a_file_of_candidates_is_enough(annotated: Path, tmp_path: Path) -> None:
    assert main([str(annotated), "--out", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out" / "analysis.html").read_text(encoding="utf-8")
    text = (tmp_path / "out" / "analysis.json").read_text()
    found = TypeAdapter(FileAnalysis).validate_json(text)
    assert found.answer.startswith("24 candidates of 4 problems: pass@1 is ")
    assert render_html(found) == page
    assert "Groups of equal programs" in page
    assert "<script" not in page
    assert "NaN" not in page + text
    assert "groups of equal programs" in (tmp_path / "out" / "analysis.md").read_text()


def test_measured_times_beside_the_file_are_used(annotated: Path) -> None:
    rows = make_candidates([0.1, 0.5, 0.9, 0.4], 6, seed=1)
    assert any(row.verdict.status is VerdictStatus.timeout for row in rows)
    assert "not known" in analyze_file(annotated).analysis.timeouts
    named = [(row.candidate.task_id, row.candidate.index) for row in rows]
    usages = [
        Usage(task_id=task_id, index=index, cpu_s=0.5, wall_s=1, memory_mb=9)
        for task_id, index in named
    ]
    write_jsonl(annotated.with_name("usage.jsonl"), usages)
    assert "100 ms to 1 s" in analyze_file(annotated).analysis.timeouts


def test_the_files_of_a_run_are_links_and_their_times_lie_where_they_point(
    annotated: Path, tmp_path: Path
) -> None:
    usage = Usage(task_id="mini/test0", index=0, cpu_s=0.5, wall_s=1, memory_mb=9)
    write_jsonl(annotated.with_name("usage.jsonl"), [usage])
    (tmp_path / "run").mkdir()
    link = tmp_path / "run" / "candidates.jsonl"
    link.symlink_to(annotated)
    assert analyze_file(link).analysis == analyze_file(annotated).analysis


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "is no file"), ("", "is empty"), ('{"task_id": 1}\n', "is not a JudgedCandidate")],
)
def test_bad_input_is_one_line_and_exit_code_2(
    content: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.jsonl"
    if content is not None:
        path.write_text(content)
    assert main([str(path), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_candidates_that_could_not_be_judged_have_no_pass_rate(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in _lines(tmp_path)]
    for row in rows:
        row["verdict"]["status"] = "sandbox_error"
    path = tmp_path / "errors.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = analyze_file(path)
    assert found.pass_at_1 is None
    assert found.answer.endswith("none of which could be judged.")
    render_html(found)


def _lines(folder: Path) -> list[str]:
    path = folder / "some.jsonl"
    write_jsonl(path, make_candidates([0.5], 3, seed=2))
    return path.read_text().splitlines()
