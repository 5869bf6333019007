"""Typed schemas of the launchers: where the jobs of a sweep run. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING

from coderl_exp.errors import ConfigError
from coderl_exp.schemas import check_option


@dataclass(kw_only=True)
class LauncherConfig:
    """The jobs of a sweep run one after the other, in the command's own process."""

    name: str = MISSING
    detach: bool = MISSING
    """Submit the jobs and return; `resume=` with the sweep's folder follows them."""

    def __post_init__(self) -> None:
        if self.detach and not isinstance(self, SlurmLauncherConfig):
            raise ConfigError(
                f"launcher.detach=true with launcher={self.name}: its jobs end with the command. "
                "Choose launcher=slurm, or start the command in tmux or with nohup."
            )


@dataclass(kw_only=True)
class SubmititLauncherConfig(LauncherConfig):
    """Each job is a process of its own, started by submitit."""

    poll_interval_s: float = MISSING
    """Between two looks at the jobs."""
    max_parallel_jobs: int = MISSING
    timeout_min: int = MISSING
    """Of one attempt; a job that needs longer is started again and continues."""
    signal_delay_s: int = MISSING
    """A job is told to stop this long before its time is over."""
    max_num_timeout: int = MISSING
    """How often a job may run out of time."""
    gpus_per_node: int | None = MISSING
    """Null leaves it to the cluster; on this machine, all GPUs."""
    setup: list[str] = MISSING
    """Shell lines before the job's command."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_option(self.poll_interval_s > 0, "launcher.poll_interval_s", self)
        check_option(self.max_parallel_jobs >= 1, "launcher.max_parallel_jobs", self)
        check_option(self.timeout_min >= 1, "launcher.timeout_min", self)
        check_option(
            0 < self.signal_delay_s < 60 * self.timeout_min, "launcher.signal_delay_s", self
        )
        check_option(self.max_num_timeout >= 0, "launcher.max_num_timeout", self)
        num_gpus = self.gpus_per_node
        check_option(num_gpus is None or num_gpus >= 0, "launcher.gpus_per_node", self)


@dataclass(kw_only=True)
class SlurmLauncherConfig(SubmititLauncherConfig):
    """The sweep is a Slurm job array; see `man sbatch` for what the options mean."""

    partition: str | None = MISSING
    account: str | None = MISSING
    qos: str | None = MISSING
    constraint: str | None = MISSING
    gres: str | None = MISSING
    """In place of `gpus_per_node`, for a kind of GPU: `gpu:a100:1`."""
    nodes: int = MISSING
    cpus_per_task: int | None = MISSING
    mem_gb: int | None = MISSING
    additional_parameters: dict[str, Any] = MISSING
    """Further options of sbatch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_option(self.nodes >= 1, "launcher.nodes", self)
        for name in ("cpus_per_task", "mem_gb"):
            value = getattr(self, name)
            check_option(value is None or value >= 1, f"launcher.{name}", self)
