"""Typed schemas of the config groups: values live in YAML, types and checks here. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from omegaconf import MISSING

from coderl_exp.errors import ConfigError

STAGES = (
    "baseline", "train_gen", "rl_build", "train", "merge", "validate", "test_after", "analyze"
)  # fmt: skip
ON_REQUEST = frozenset({"validate"})
"""Stages that run only where `stages` names them."""


LAYERS = ("network", "processes", "files", "syscalls", "limits")
"""Confinement layers of the judge, in the order in which they are reported."""


class Isolation(Enum):
    """How much confinement the judge insists on."""

    strict = "strict"
    best_effort = "best_effort"


class Lane(Enum):
    """Which programs may share a process."""

    auto = "auto"
    strict = "strict"


class Dtype(Enum):
    """The number format that weights are loaded in."""

    float32 = "float32"
    bfloat16 = "bfloat16"


@dataclass(kw_only=True)
class ModelConfig:
    """The policy that is trained and evaluated."""

    name: str = MISSING
    name_or_path: str = MISSING
    """A folder, relative to the project, or a hub id."""
    revision: str | None = MISSING
    dtype: Dtype = MISSING


@dataclass(kw_only=True)
class SamplingConfig:
    """How completions are drawn: n per problem, temperature and nucleus sampling, stop strings."""

    name: str = MISSING
    num_candidates: int = MISSING
    """Completions per train problem; per test problem, see `evaluation.num_candidates`."""
    batch_size: int = MISSING
    """Completions that are decoded together."""
    temperature: float = MISSING
    top_p: float = MISSING
    max_tokens: int = MISSING
    stop: list[str] = MISSING

    def __post_init__(self) -> None:
        check_option(self.num_candidates >= 1, "generation.num_candidates", self)
        check_option(self.batch_size >= 1, "generation.batch_size", self)
        check_option(self.temperature >= 0, "generation.temperature", self)
        check_option(0 < self.top_p <= 1, "generation.top_p", self)
        check_option(self.max_tokens >= 1, "generation.max_tokens", self)
        check_option(all(self.stop), "generation.stop", self)


@dataclass(kw_only=True)
class HFConfig(SamplingConfig):
    """Sampling with Transformers."""

    load_in_8bit: bool = MISSING
    """Linear layers in 8 bits: faster on CPUs with VNNI, and another model's pass@k."""


@dataclass(kw_only=True)
class VLLMConfig(SamplingConfig):
    """Sampling with vLLM (https://arxiv.org/abs/2309.06180); `batch_size` is its `max_num_seqs`."""

    tensor_parallel_size: int = MISSING
    """GPUs that share the model."""
    gpu_memory_utilization: float = MISSING
    """Share of the GPU's memory for weights and cache."""
    max_model_len: int | None = MISSING
    """Tokens of prompt and completion; null takes the model's own limit."""
    enforce_eager: bool = MISSING
    """No graphs, no compilation: starts faster, runs slower."""
    use_adapter: bool = MISSING
    """test_after serves base + adapter as a LoRA request instead of the merged model."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_option(self.tensor_parallel_size >= 1, "generation.tensor_parallel_size", self)
        share = self.gpu_memory_utilization
        check_option(0 < share <= 1, "generation.gpu_memory_utilization", self)
        length = self.max_model_len
        check_option(length is None or length > self.max_tokens, "generation.max_model_len", self)


@dataclass(kw_only=True)
class EvaluationConfig:
    """What baseline and test_after measure on the test split."""

    ks: list[int] = MISSING
    num_candidates: int | None = MISSING
    """Completions per test problem; null takes `generation.num_candidates`."""

    def __post_init__(self) -> None:
        check_option(bool(self.ks) and min(self.ks) >= 1, "evaluation.ks", self)
        check_option(len(set(self.ks)) == len(self.ks), "evaluation.ks", self)
        count = self.num_candidates
        check_option(count is None or count >= 1, "evaluation.num_candidates", self)


@dataclass(kw_only=True)
class SandboxConfig:
    """The judge's limits and its confinement."""

    name: str = MISSING
    endpoint: str | None = MISSING
    """URL of the SandboxFusion server; null for a judge on this machine."""
    isolation: Isolation = MISSING
    disabled_layers: list[str] = MISSING
    """Confinement layers to leave off, to try what the judge holds without them."""
    lane: Lane = MISSING
    """`auto`: provable programs share a process; `strict`: each has one of its own."""
    timeout_s: float = MISSING
    """CPU seconds for one candidate with all its tests."""
    reference_timeout_factor: float = MISSING
    """A problem's limit is at least this times what its reference takes on this machine."""
    wall_timeout_factor: float = MISSING
    """The wall-clock limit is `timeout_s` times this, plus one second."""
    memory_mb: int = MISSING
    max_output_bytes: int = MISSING
    num_workers: int = MISSING
    """Candidates judged at once; 0 for one per CPU."""
    fraction: bool = MISSING
    """Run all tests of a failing candidate too, not only up to the first failure."""
    max_sandbox_error_rate: float = MISSING
    """More infrastructure failures than this share of all candidates stop the run."""

    def __post_init__(self) -> None:
        if self.name == "fusion" and not (self.endpoint or "").startswith(("http://", "https://")):
            raise ConfigError(
                f"sandbox.endpoint is {self.endpoint}, but sandbox=fusion needs the URL of a "
                "SandboxFusion server, for example sandbox.endpoint=http://localhost:8080."
            )
        check_option(self.timeout_s > 0, "sandbox.timeout_s", self)
        check_option(self.reference_timeout_factor >= 1, "sandbox.reference_timeout_factor", self)
        check_option(self.wall_timeout_factor >= 1, "sandbox.wall_timeout_factor", self)
        unknown = set(self.disabled_layers) - set(LAYERS)
        if unknown:
            raise ConfigError(
                f"sandbox.disabled_layers has {sorted(unknown)}: choose from {', '.join(LAYERS)}."
            )
        check_option(self.memory_mb >= 64, "sandbox.memory_mb", self)
        check_option(self.num_workers >= 0, "sandbox.num_workers", self)
        check_option(self.max_output_bytes >= 0, "sandbox.max_output_bytes", self)


@dataclass(kw_only=True)
class RLBuildConfig:
    """How judged candidates become n-best lists and preference pairs."""

    n_best: int = MISSING
    max_pairs: int = MISSING
    """Pairs per problem, at most."""
    pairs_per_winner: int | None = MISSING
    """Pairs in which one program is the chosen one, at most; null for no cap."""
    fails_per_passer: int = MISSING
    within_pass_pairs_per_winner: int = MISSING
    """Pairs of a better over a worse passing program, per better one; 0 for none."""
    label_repeats: int = 1
    """Times that the programs of the pairs are judged again; pairs whose label flips are left
    out. 0 for none."""

    def __post_init__(self) -> None:
        check_option(self.label_repeats >= 0, "rl_build.label_repeats", self)
        for name in ("n_best", "max_pairs", "fails_per_passer"):
            check_option(getattr(self, name) >= 1, f"rl_build.{name}", self)
        within = self.within_pass_pairs_per_winner
        check_option(within >= 0, "rl_build.within_pass_pairs_per_winner", self)
        per_winner = self.pairs_per_winner
        check_option(per_winner is None or per_winner >= 1, "rl_build.pairs_per_winner", self)


@dataclass(kw_only=True)
class AccelerateConfig:
    """How `accelerate launch` starts the training processes."""

    name: str = MISSING
    config_file: str = MISSING
    """Relative to the project."""
    num_processes: int | None = MISSING
    """On all machines together; null takes the file's."""
    num_machines: int | None = MISSING
    """Null takes Slurm's: as many as this job step has nodes."""
    machine_rank: int | None = MISSING
    main_process_ip: str | None = MISSING
    """Of the machine with rank 0, as the others reach it."""
    main_process_port: int | None = MISSING
    machine_timeout_s: float = MISSING
    """A machine that gives no sign of life for so long ends the training."""

    def __post_init__(self) -> None:
        for name in ("num_processes", "num_machines", "main_process_port"):
            value = getattr(self, name)
            check_option(value is None or value >= 1, f"accelerate.{name}", self)
        rank = self.machine_rank
        check_option(rank is None or rank >= 0, "accelerate.machine_rank", self)
        check_option(self.machine_timeout_s >= 10, "accelerate.machine_timeout_s", self)
        for name in ("num_processes", "num_machines"):
            if self.name == "single" and getattr(self, name) not in (None, 1):
                raise ConfigError(
                    f"accelerate.{name} is {getattr(self, name)}, but accelerate=single is one "
                    "process: choose accelerate=ddp, zero2, zero3 or fsdp."
                )
        if self.name in ("zero3", "fsdp") and self.num_processes == 1:
            raise ConfigError(
                f"accelerate.num_processes is 1, but accelerate={self.name} spreads the model "
                "over several: give 2 or more, or choose accelerate=single."
            )


@dataclass(kw_only=True)
class TrackingConfig:
    """Where a run is recorded, beside its own folder."""

    name: str = MISSING
    project: str = MISSING
    entity: str | None = MISSING
    group: str | None = MISSING


def check_option(ok: bool, option: str, owner: object) -> None:
    """Refuse a value, naming its option.

    Raises:
        ConfigError: it is not ok.
    """
    if not ok:
        value = getattr(owner, option.rsplit(".", 1)[-1])
        raise ConfigError(f"{option} is {value}, which is out of range; see docs/options.md.")
