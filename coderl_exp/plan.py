"""`plan=true`: what would run, what is in the store, and what it would cost. Runs nothing."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from coderl_exp.experiment_data import split_of
from coderl_exp.memory_estimate import (
    ModelShape,
    generation_bytes,
    model_shape,
    training_bytes,
)
from coderl_exp.pipeline import Pipeline
from coderl_exp.step import Step

CHARACTERS_PER_TOKEN = 3.5
SANDBOX_S_PER_CANDIDATE = 0.05
"""What starting and judging a short program costs; slow programs cost up to the time limit."""


def print_plan(pipeline: Pipeline) -> None:
    """The plan as a table and one line of memory."""
    table = Table(title=f"{pipeline.config.experiment}: what would run", width=96)
    table.add_column("step")
    table.add_column("state")
    table.add_column("key", style="dim")
    table.add_column("tokens, at most", justify="right")
    table.add_column("sandbox s", justify="right")
    if (key := pipeline.data.audit_key) is not None:
        state = "in the store" if pipeline.store.contains(key) else "would run"
        table.add_row("audit", state, key.digest[:12], "", "")
    for step in pipeline.selected_steps():
        in_store = pipeline.store.contains(step.key)
        tokens = "" if in_store else _tokens(step, pipeline)
        seconds = "" if in_store else _sandbox_seconds(step)
        state = "in the store" if in_store else "would run"
        table.add_row(step.name, state, step.key.digest[:12], tokens, seconds)
    console = Console(width=100)
    console.print(table)
    console.print(memory_line(pipeline), highlight=False)


def _tokens(step: Step, pipeline: Pipeline) -> str:
    """Prompt tokens (read once per problem) and the longest possible completions."""
    if not step.name.endswith(".candidates"):
        return ""
    problems = pipeline.steps.split(split_of(step.stage))
    characters = sum(len(message.content) for p in problems for message in p.prompt)
    completions = step.num_completions * pipeline.config.generation.max_tokens
    return f"{round(characters / CHARACTERS_PER_TOKEN) + completions:,}"


def _sandbox_seconds(step: Step) -> str:
    if not step.name.endswith(".verdicts"):
        return ""
    return f"{step.num_completions * SANDBOX_S_PER_CANDIDATE:.0f}"


def memory_line(pipeline: Pipeline) -> str:
    """An estimate of the memory of each process, where the model's size is known."""
    path = Path(pipeline.steps.base.path)
    if not path.is_dir():
        return f"memory: unknown until {pipeline.steps.base.path} is downloaded"
    shape = model_shape(path)
    if shape is None:
        return f"memory: unknown, as {path / 'config.json'} does not give the model's sizes"
    generate = generation_bytes(shape, pipeline.config)
    return (
        f"memory: about {_gib(generate)} to generate, at most {_training(shape, pipeline)} to "
        f"train, per process ({shape.num_parameters / 1e6:.0f} M parameters)"
    )


def _training(shape: ModelShape, pipeline: Pipeline) -> str:
    config = pipeline.config
    without, checkpointed = (
        training_bytes(
            shape, config.method, config.model.dtype.value, gradient_checkpointing=checkpointing
        )
        for checkpointing in (False, True)
    )
    match config.method.gradient_checkpointing:
        case None:
            return f"{_gib(without)} ({_gib(checkpointed)} with gradient checkpointing)"
        case chosen:
            return _gib(checkpointed if chosen else without)


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.1f} GiB"
