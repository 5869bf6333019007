"""Dependencies point one way, and reading the configuration costs no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from coderl_exp.config import PROJECT_ROOT

PACKAGE = PROJECT_ROOT / "coderl_exp"

LAYERS = (
    ("errors", "memory", "process_group", "text"),
    ("command",),
    ("records", "schemas"),
    ("method_schemas", "dataset_schemas", "launcher_schemas"),
    ("config", "json_rows", "prompts", "metrics", "statistics", "progress"),
    ("store",),
    ("extraction", "entry_points", "io_tests"),
    ("problem_files",),
    (
        "memory_estimate",
        "power",
        "preferences",
        "replicates",
        "correlation",
        "tracking",
        "wandb_runs",
    ),
    ("sweep", "wandb_panels"),
    ("judge_summary", "hardcoding", "pair_audit", "diversity", "training_health", "machines"),
    ("dataset", "sandbox", "generation", "model", "meeting"),
    ("rewards",),
    ("analysis", "method", "fetch_model", "install_vllm_cpu", "redteam", "svg"),
    ("judging_ahead", "data_audit", "contamination", "attacked_judge"),
    ("experiment_data", "data_health"),
    ("changes",),
    ("rendering", "examples"),
    ("report_data", "worker", "judging", "label_checks", "verdict_files", "judge_options"),
    ("answer", "plots", "launch"),
    ("report", "stages"),
    ("step",),
    ("training_step",),
    ("steps",),
    ("pipeline",),
    ("analyze", "compare"),
    ("plan", "reporting", "cli_help"),
    ("run", "sweep_finish"),
    ("cli", "judge"),
    ("audit",),
    ("__main__",),
)
"""A module imports from the lines above its own, or from its own package."""

LAYER_OF = {name: number for number, names in enumerate(LAYERS) for name in names}


def modules() -> list[Path]:
    return [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]


def unit(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_units(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "coderl_exp":
                names = [f"coderl_exp.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("coderl_exp.")}
    return found


def test_every_module_has_a_layer() -> None:
    assert {unit(path) for path in modules()} == set(LAYER_OF)


def test_modules_import_only_from_layers_above_their_own() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in modules()
        for name in imported_units(path) - {unit(path)}
        if LAYER_OF[name] >= LAYER_OF[unit(path)]
    ]
    assert wrong == []


def test_modules_are_at_most_300_lines() -> None:
    too_long = {
        str(path.relative_to(PACKAGE)): length
        for path in modules()
        if (length := len(path.read_text(encoding="utf-8").splitlines())) > 300
    }
    assert too_long == {}


def test_planning_and_checking_import_no_torch() -> None:
    code = (
        "import sys, coderl_exp.cli, coderl_exp.pipeline, coderl_exp.plan\n"
        "assert not {'torch', 'transformers', 'trl', 'wandb'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT_ROOT)


def test_what_runs_in_confined_processes_imports_the_standard_library_only() -> None:
    for path in (PACKAGE / "sandbox" / "inside").glob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        absolute = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
        for node in absolute:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [str(node.module)]
            assert all(name.split(".")[0] in sys.stdlib_module_names for name in names), path
