"""Reports and comparisons stay small and quick; `benchmarks/report_size.py` measures large ones."""

from __future__ import annotations

from pathlib import Path

from benchmarks.report_size import measure


def test_report_and_comparison_of_some_runs_take_seconds_and_little_memory(tmp_path: Path) -> None:
    costs = measure(3, 60, 5, tmp_path)
    assert set(costs) == {"report", "compare"}
    assert sum(cost.seconds for cost in costs.values()) < 60
    assert all(0 < cost.peak_mb < 500 for cost in costs.values())
    assert (tmp_path / "report" / "mini_dpo_summary.html").is_file()
    assert (tmp_path / "comparison" / "comparison.html").is_file()
