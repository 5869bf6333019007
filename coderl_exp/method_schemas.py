"""Typed schemas of the training methods; options carry TRL's names. No torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from omegaconf import MISSING

from coderl_exp.errors import ConfigError
from coderl_exp.schemas import ON_REQUEST, STAGES, check_option


class RewardKind(Enum):
    """What a verdict is worth."""

    binary = "binary"
    fraction = "fraction"
    graded = "graded"


@dataclass(kw_only=True)
class LoraAdapterConfig:
    """LoRA (https://arxiv.org/abs/2106.09685), in PEFT's words."""

    r: int = MISSING
    lora_alpha: int = MISSING
    lora_dropout: float = MISSING
    target_modules: list[str] = MISSING

    def __post_init__(self) -> None:
        check_option(self.r >= 1, "method.lora.r", self)
        check_option(0 <= self.lora_dropout < 1, "method.lora.lora_dropout", self)
        check_option(bool(self.target_modules), "method.lora.target_modules", self)


@dataclass(kw_only=True)
class MethodConfig:
    """Training of a LoRA adapter; options carry TRL's names."""

    name: str = MISSING
    num_train_epochs: float = MISSING
    max_steps: int = MISSING
    """Optimizer steps; -1 for as many as the epochs give."""
    per_device_train_batch_size: int = MISSING
    gradient_accumulation_steps: int = MISSING
    gradient_checkpointing: bool | None = MISSING
    """None: on GPUs, and on CPUs where half the memory could be too little without."""
    load_in_4bit: bool = MISSING
    """Train on weights in 4-bit NormalFloat (QLoRA, https://arxiv.org/abs/2305.14314); the adapter
    is merged into the unquantised ones."""
    learning_rate: float = MISSING
    save_steps: int = MISSING
    lora: LoraAdapterConfig = MISSING
    trainer: dict[str, Any] = field(default_factory=dict)
    """Any further option of TRL's config class, by its own name."""

    def __post_init__(self) -> None:
        check_option(self.learning_rate > 0, "method.learning_rate", self)
        check_option(
            self.per_device_train_batch_size >= 1, "method.per_device_train_batch_size", self
        )
        check_option(
            self.gradient_accumulation_steps >= 1, "method.gradient_accumulation_steps", self
        )
        check_option(self.max_steps == -1 or self.max_steps >= 1, "method.max_steps", self)
        check_option(self.save_steps >= 1, "method.save_steps", self)
        check_option(self.num_train_epochs > 0, "method.num_train_epochs", self)

    def default_stages(self) -> tuple[str, ...]:
        return tuple(stage for stage in STAGES if stage not in ON_REQUEST)


@dataclass(kw_only=True)
class DPOMethodConfig(MethodConfig):
    """Offline DPO (https://arxiv.org/abs/2305.18290); the reference is the policy, adapter off."""

    beta: float = MISSING
    max_length: int = MISSING
    """Tokens of prompt and completion together; longer pairs are left out and counted."""
    eval_fraction: float = MISSING
    """Share of the problems whose pairs are held out of training and only evaluated."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_option(self.beta > 0, "method.beta", self)
        check_option(self.max_length >= 1, "method.max_length", self)
        check_option(0 <= self.eval_fraction < 1, "method.eval_fraction", self)


@dataclass(kw_only=True)
class RewardConfig:
    """What a completion is rewarded for."""

    kind: RewardKind = MISSING
    """`binary`: 1 for a pass; `fraction`: share of passed tests; `graded`: as `grades` says."""
    grades: dict[str, float] = MISSING
    """Verdict → reward, for `graded`; a verdict that is not listed is worth 0."""
    correctness_weight: float = MISSING
    length_weight: float = MISSING
    """Of the length penalty: 0 at `length_start`, -1 at the limit; 0 switches it off."""
    length_start: float = MISSING
    """Share of `max_completion_length` from which length is penalised
    (https://arxiv.org/abs/2503.14476, soft overlong punishment)."""

    def __post_init__(self) -> None:
        from coderl_exp.records import VerdictStatus  # imports pydantic, which --help need not

        unknown = set(self.grades) - {status.value for status in VerdictStatus}
        if unknown:
            raise ConfigError(
                f"method.reward.grades has {sorted(unknown)}: choose from "
                f"{', '.join(status.value for status in VerdictStatus)}."
            )
        check_option(0 <= self.length_start < 1, "method.reward.length_start", self)
        check_option(self.correctness_weight > 0, "method.reward.correctness_weight", self)
        check_option(self.length_weight >= 0, "method.reward.length_weight", self)


@dataclass(kw_only=True)
class GRPOMethodConfig(MethodConfig):
    """Online GRPO (https://arxiv.org/abs/2402.03300) and its variants, by TRL's switches."""

    num_generations: int = MISSING
    """Completions per prompt: the group within which advantages are computed."""
    max_completion_length: int = MISSING
    """Tokens."""
    temperature: float = MISSING
    top_p: float = MISSING
    beta: float = MISSING
    """Weight of the KL term; 0 needs no reference."""
    epsilon: float = MISSING
    epsilon_high: float | None = MISSING
    """Upper clipping range; null takes `epsilon`."""
    loss_type: str = MISSING
    importance_sampling_level: str = MISSING
    scale_rewards: str = MISSING
    num_iterations: int = MISSING
    """Passes over each batch of rollouts."""
    mask_truncated_completions: bool = MISSING
    pass_rate_range: list[float] | None = MISSING
    """Train only on problems whose pass rate in train_gen is within; null takes all."""
    use_vllm: bool | None = MISSING
    """Rollouts with vLLM; null: where `generation=vllm`."""
    vllm_mode: str = MISSING
    """`colocate`: in the training processes; `server`: at `vllm_server_base_url`."""
    vllm_server_base_url: str | None = MISSING
    vllm_gpu_memory_utilization: float = MISSING
    """vLLM's share of each GPU in colocate mode."""
    vllm_tensor_parallel_size: int = MISSING
    vllm_enable_sleep_mode: bool = MISSING
    """vLLM gives its memory back while the policy is optimised."""
    vllm_importance_sampling_correction: bool = MISSING
    """Weigh tokens by how the trainer's and vLLM's probabilities differ."""
    max_heldout_gap: float = MISSING
    """A warning when reward minus held-out reward grows by more during training."""
    reward: RewardConfig = MISSING

    def __post_init__(self) -> None:
        super().__post_init__()
        check_option(self.num_generations >= 2, "method.num_generations", self)
        check_option(self.max_completion_length >= 1, "method.max_completion_length", self)
        check_option(self.temperature > 0, "method.temperature", self)
        check_option(0 < self.top_p <= 1, "method.top_p", self)
        check_option(self.beta >= 0, "method.beta", self)
        check_option(self.epsilon > 0, "method.epsilon", self)
        check_option(self.num_iterations >= 1, "method.num_iterations", self)
        share = self.vllm_gpu_memory_utilization
        check_option(0 < share < 1, "method.vllm_gpu_memory_utilization", self)
        check_option(self.vllm_tensor_parallel_size >= 1, "method.vllm_tensor_parallel_size", self)
        check_option(0 < self.max_heldout_gap <= 1, "method.max_heldout_gap", self)
        self._check_choices()
        self._check_pass_rates()

    def _check_choices(self) -> None:
        for name, choices in (
            ("loss_type", ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo")),
            ("importance_sampling_level", ("token", "sequence")),
            ("scale_rewards", ("group", "batch", "none")),
            ("vllm_mode", ("colocate", "server")),
        ):
            if (value := getattr(self, name)) not in choices:
                raise ConfigError(f"method.{name} is {value}: choose from {', '.join(choices)}.")

    def _check_pass_rates(self) -> None:
        given = self.pass_rate_range
        if given is not None and not (len(given) == 2 and 0 <= given[0] <= given[1] <= 1):
            raise ConfigError(f"method.pass_rate_range is {given}: give [lowest, highest] in 0…1.")

    def check_rollouts(self, use_vllm: bool) -> None:
        """Refuse rollouts with vLLM that cannot work, or would be biased.

        Raises:
            ConfigError: a server without address; truncated sampling under importance correction,
                whose ratio is then of two different distributions.
        """
        if not use_vllm:
            return
        if self.vllm_mode == "server" and not self.vllm_server_base_url:
            raise ConfigError(
                "method.vllm_mode is server, but method.vllm_server_base_url is null: give the "
                "address of a running `trl vllm-serve`, as http://localhost:8000."
            )
        if self.top_p < 1 and self.vllm_importance_sampling_correction:
            raise ConfigError(
                f"method.top_p is {self.top_p} while vLLM's importance sampling correction is on, "
                "which would be biased: set method.top_p=1, or "
                "method.vllm_importance_sampling_correction=false."
            )

    def check_groups(self, num_processes: int) -> None:
        """Refuse a batch that is not made of whole groups.

        Raises:
            ConfigError: says what it is and what it must be a multiple of.
        """
        batch = self.per_device_train_batch_size * self.gradient_accumulation_steps * num_processes
        if batch % self.num_generations:
            raise ConfigError(
                f"method.per_device_train_batch_size x method.gradient_accumulation_steps x "
                f"processes is {batch}, but must be a multiple of method.num_generations="
                f"{self.num_generations}."
            )

    def default_stages(self) -> tuple[str, ...]:
        needed = {"baseline", "train", "merge", "test_after", "analyze"}
        if self.pass_rate_range is not None:
            needed.add("train_gen")
        return tuple(stage for stage in STAGES if stage in needed)
