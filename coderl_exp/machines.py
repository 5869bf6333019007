"""Which machines train together, and which of them this is: from the options or from Slurm."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from coderl_exp.config import AccelerateConfig
from coderl_exp.errors import ConfigError

DEFAULT_PORT = 29500


@dataclass(frozen=True, kw_only=True)
class Machines:
    """The machines of one training, and which of them this is."""

    count: int
    rank: int
    """0 is the machine that runs all stages."""
    main_ip: str
    main_port: int


def find_machines(accelerate: AccelerateConfig, environment: Mapping[str, str]) -> Machines:
    """From the options, and where they are null from Slurm's variables for this job step.

    Raises:
        ConfigError: several machines, and something about them is unknown or impossible.
    """
    count = accelerate.num_machines or _slurm_nodes(accelerate, environment)
    if count == 1:
        return Machines(count=1, rank=0, main_ip="127.0.0.1", main_port=0)
    rank: int | str | None = accelerate.machine_rank
    if rank is None:
        rank = environment.get("SLURM_NODEID")
    host = accelerate.main_process_ip or first_host(environment.get("SLURM_STEP_NODELIST", ""))
    for option, value in (("machine_rank", rank), ("main_process_ip", host)):
        if value in (None, ""):
            raise ConfigError(
                f"accelerate.num_machines is {count}, but accelerate.{option} is null and Slurm "
                "does not tell it: set it (see docs/launching.md)."
            )
    if int(rank or 0) >= count:
        raise ConfigError(f"accelerate.machine_rank is {rank} of {count} machines: 0 is the first.")
    port = accelerate.main_process_port or slurm_port(environment.get("SLURM_JOB_ID", ""))
    return Machines(count=count, rank=int(rank or 0), main_ip=host, main_port=port)


def _slurm_nodes(accelerate: AccelerateConfig, environment: Mapping[str, str]) -> int:
    """Of the job step that this process belongs to: a batch script itself is in none."""
    count = int(environment.get("SLURM_STEP_NUM_NODES", "1"))
    if accelerate.name == "single" or count == 1:
        return 1
    tasks = environment.get("SLURM_STEP_NUM_TASKS", str(count))
    if int(tasks) != count:
        raise ConfigError(
            f"Slurm started {tasks} tasks on {count} nodes, but each node starts its training "
            "processes itself: use srun --ntasks-per-node=1, or set accelerate.num_machines=1."
        )
    return count


def first_host(nodelist: str) -> str:
    """`gpu[07-09,12],big1` → `gpu07`."""
    return re.sub(r"\[(\d+)[^\]]*\]", r"\1", nodelist).split(",")[0]


def slurm_port(job_id: str) -> int:
    """The same on all machines of a job, different between jobs, below the ephemeral ports."""
    return 15000 + int(job_id) % 10000 if job_id.isdigit() else DEFAULT_PORT
