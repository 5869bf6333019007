"""The composed configuration: all groups together, checked across, and turned into objects.

Imports no torch: `--help`, `--cfg job` and `plan=true` must answer at once. Nothing past `cli.py`
sees Hydra; `from_omegaconf` turns the composed config into these objects once.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from coderl_exp.dataset_schemas import (
    DatasetConfig,
    HumanEvalDatasetConfig,
    Interface,
    MBPPDatasetConfig,
    PromptStyle,
    TACODatasetConfig,
)
from coderl_exp.errors import ConfigError
from coderl_exp.launcher_schemas import (
    LauncherConfig,
    SlurmLauncherConfig,
    SubmititLauncherConfig,
)
from coderl_exp.method_schemas import (
    DPOMethodConfig,
    GRPOMethodConfig,
    LoraAdapterConfig,
    MethodConfig,
    RewardConfig,
    RewardKind,
)
from coderl_exp.schemas import (
    STAGES,
    AccelerateConfig,
    Dtype,
    EvaluationConfig,
    HFConfig,
    Isolation,
    Lane,
    ModelConfig,
    RLBuildConfig,
    SamplingConfig,
    SandboxConfig,
    TrackingConfig,
    VLLMConfig,
)

__all__ = [
    "LAUNCHER",
    "PROJECT_ROOT",
    "STAGES",
    "STAGE_ALIASES",
    "AccelerateConfig",
    "Config",
    "DPOMethodConfig",
    "DatasetConfig",
    "Dtype",
    "EvaluationConfig",
    "GRPOMethodConfig",
    "HFConfig",
    "HumanEvalDatasetConfig",
    "Interface",
    "Isolation",
    "Lane",
    "LauncherConfig",
    "LoraAdapterConfig",
    "MBPPDatasetConfig",
    "MethodConfig",
    "ModelConfig",
    "PromptStyle",
    "RLBuildConfig",
    "RewardConfig",
    "RewardKind",
    "SamplingConfig",
    "SandboxConfig",
    "TACODatasetConfig",
    "TrackingConfig",
    "VLLMConfig",
    "compose_config",
    "from_omegaconf",
    "project_path",
    "register_schemas",
]

PROJECT_ROOT = Path(__file__).resolve().parents[1]

LAUNCHER = "hydra_plugins.coderl_exp.SweepLauncher"
"""Hydra takes launchers from modules of this name only; `sweep/launcher.py` registers ours so."""

STAGE_ALIASES = {"train_all": "train", "online_grpo": "train"}


@dataclass(kw_only=True)
class Config:
    """One experiment, composed."""

    experiment_name: str | None = MISSING
    seed: int = MISSING
    stages: list[str] | None = MISSING
    plan: bool = MISSING
    store_dir: str = MISSING
    dataset: DatasetConfig = MISSING
    model: ModelConfig = MISSING
    method: MethodConfig = MISSING
    generation: SamplingConfig = MISSING
    evaluation: EvaluationConfig = MISSING
    sandbox: SandboxConfig = MISSING
    rl_build: RLBuildConfig = MISSING
    accelerate: AccelerateConfig = MISSING
    tracking: TrackingConfig = MISSING
    launcher: LauncherConfig = MISSING

    def __post_init__(self) -> None:
        available = self.num_test_candidates
        if max(self.evaluation.ks) > available:
            raise ConfigError(
                f"evaluation.ks asks for pass@{max(self.evaluation.ks)}, but only {available} "
                "candidates are generated per test problem: raise evaluation.num_candidates or "
                f"generation.num_candidates to {max(self.evaluation.ks)}, or lower evaluation.ks."
            )
        if isinstance(self.method, GRPOMethodConfig):
            self.method.check_rollouts(self.rolls_out_with_vllm)
        self._check_sharding()
        self._check_prompts()
        if "/" in self.experiment:
            raise ConfigError(f"experiment_name is {self.experiment_name}: it may have no slash.")
        if self.seed < 0:
            raise ConfigError(f"seed is {self.seed}: give 0 or more.")

    def _check_sharding(self) -> None:
        choice = self.accelerate.name
        if choice in ("fsdp", "zero3") and self.method.load_in_4bit:
            raise ConfigError(
                f"method.load_in_4bit with accelerate={choice}: 4-bit weights are not spread over "
                "processes; choose accelerate=ddp or zero2, or set method.load_in_4bit=false."
            )
        if choice == "fsdp" and self.method.trainer.get("precompute_ref_log_probs"):
            raise ConfigError(
                "method.trainer.precompute_ref_log_probs needs the whole model before training, "
                "which accelerate=fsdp has in one process only: leave it out, or choose "
                "accelerate=ddp."
            )

    def _check_prompts(self) -> None:
        if self.dataset.begins_answers and "train" in self.selected_stages():
            raise ConfigError(
                f"dataset.prompt_style={self.dataset.prompt_style.value} begins the answer, which "
                "trainers cannot: choose dataset.prompt_style=chat to train, or stages=[baseline]."
            )

    @property
    def store_path(self) -> Path:
        """Where artefacts are kept; a relative `store_dir` counts from the project."""
        return PROJECT_ROOT / Path(self.store_dir).expanduser()

    @property
    def num_test_candidates(self) -> int:
        return self.evaluation.num_candidates or self.generation.num_candidates

    @property
    def samples_in_8bit(self) -> bool:
        """Completions are those of a quantised policy."""
        return isinstance(self.generation, HFConfig) and self.generation.load_in_8bit

    @property
    def rolls_out_with_vllm(self) -> bool:
        """GRPO writes its completions with vLLM."""
        if not isinstance(self.method, GRPOMethodConfig):
            return False
        chosen = self.method.use_vllm
        return isinstance(self.generation, VLLMConfig) if chosen is None else chosen

    @property
    def experiment(self) -> str:
        return self.experiment_name or f"{self.dataset.name}_{self.method.name}"

    def selected_stages(self) -> tuple[str, ...]:
        """The stages to run, in pipeline order; null stands for the method's own list."""
        if self.stages is None:
            return self.method.default_stages()
        chosen = {STAGE_ALIASES.get(stage, stage) for stage in self.stages}
        if unknown := sorted(chosen - set(STAGES)):
            raise ConfigError(f"stages has {unknown}: choose from {', '.join(STAGES)}.")
        if not chosen:
            raise ConfigError(f"stages is empty: choose from {', '.join(STAGES)}.")
        return tuple(stage for stage in STAGES if stage in chosen)


def register_schemas() -> None:
    """Make the schemas known to Hydra, below `schema/` so that they are no choices of a group."""
    store = ConfigStore.instance()
    store.store(group="schema", name="config", node=Config)
    store.store(group="schema/dataset", name="mbpp", node=MBPPDatasetConfig)
    store.store(group="schema/dataset", name="taco", node=TACODatasetConfig)
    store.store(group="schema/dataset", name="humaneval", node=HumanEvalDatasetConfig)
    store.store(group="schema/model", name="model", node=ModelConfig)
    store.store(group="schema/generation", name="hf", node=HFConfig)
    store.store(group="schema/generation", name="vllm", node=VLLMConfig)
    store.store(group="schema/sandbox", name="sandbox", node=SandboxConfig)
    store.store(group="schema/method", name="dpo", node=DPOMethodConfig)
    store.store(group="schema/method", name="grpo", node=GRPOMethodConfig)
    store.store(group="schema/accelerate", name="accelerate", node=AccelerateConfig)
    store.store(group="schema/tracking", name="tracking", node=TrackingConfig)
    store.store(group="schema/launcher", name="local", node=LauncherConfig)
    store.store(group="schema/launcher", name="submitit", node=SubmititLauncherConfig)
    store.store(group="schema/launcher", name="slurm", node=SlurmLauncherConfig)
    store.store(group="hydra/launcher", name="sweep", node={"_target_": LAUNCHER})
    OmegaConf.register_new_resolver("project", lambda path: str(PROJECT_ROOT / path), replace=True)


def compose_config(*overrides: str) -> Config:
    """The experiment that the overrides make, as on the command line.

    Raises:
        HydraException, OmegaConfBaseException: an override that fits no option.
        ConfigError: an impossible combination of values.
    """
    register_schemas()
    with initialize_config_dir(str(PROJECT_ROOT / "conf"), version_base="1.3"):
        return from_omegaconf(compose("config", overrides=list(overrides)))


def from_omegaconf(composed: DictConfig) -> Config:
    """The typed config.

    Raises:
        ConfigError: an impossible combination of values.
    """
    config = OmegaConf.to_object(composed)
    assert isinstance(config, Config)
    _refuse_added(config)
    return config


def _refuse_added(config: object, prefix: str = "") -> None:
    """Hydra's `+key=value` adds to a schema what it does not have; a typo would go unnoticed."""
    known = {field.name for field in fields(config)}  # type: ignore[arg-type]
    for name, value in vars(config).items():
        if name not in known:
            raise ConfigError(f"there is no option {prefix}{name}; --cfg job shows all options.")
        if is_dataclass(value):
            _refuse_added(value, f"{prefix}{name}.")


def project_path(path: str) -> Path:
    """An absolute path; a relative one counts from the project, or from here where it exists."""
    given = Path(path).expanduser()
    if given.is_absolute() or given.exists():
        return given.resolve()
    return PROJECT_ROOT / given
