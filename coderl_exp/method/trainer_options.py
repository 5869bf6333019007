"""What all of TRL's trainers share: the options that resuming and curves rest on, and the run."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Event
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType, broadcast_object_list

from coderl_exp.config import MethodConfig
from coderl_exp.errors import TrainingError
from coderl_exp.memory_estimate import checkpointing_is_needed, model_shape
from coderl_exp.method import TrainJob
from coderl_exp.method.checkpoints import CHECKPOINTS, resume_point
from coderl_exp.method.cpu_head import fit_head_to_cpu
from coderl_exp.method.shared_prefixes import share_prefixes
from coderl_exp.method.stopping import StopOnRequest
from coderl_exp.model import load_model
from coderl_exp.records import ModelRef


def common_options(job: TrainJob, method: MethodConfig) -> dict[str, Any]:
    """By TRL's names; `method.trainer` is not among them."""
    is_parallel_on_cpu = _is_parallel_on_cpu()
    if is_parallel_on_cpu:
        # Accelerate would take `cpu:0`, a place that torch cannot load a checkpoint to.
        os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    return {
        "output_dir": str(job.work / CHECKPOINTS),
        "num_train_epochs": method.num_train_epochs,
        "max_steps": method.max_steps,
        "per_device_train_batch_size": method.per_device_train_batch_size,
        "per_device_eval_batch_size": method.per_device_train_batch_size,
        "gradient_accumulation_steps": method.gradient_accumulation_steps,
        "gradient_checkpointing": _checkpoints_activations(job, method),
        "learning_rate": method.learning_rate,
        "save_steps": method.save_steps,
        "save_total_limit": 2,
        "logging_steps": 1,
        "seed": job.seed,
        "bf16": torch.cuda.is_available() and job.model.dtype == "bfloat16",
        "use_cpu": is_parallel_on_cpu,
        "report_to": "none",
        "disable_tqdm": True,
    }


def fit(trainer: Any, work: Path, stop: Event) -> None:
    """Train, continuing from the last checkpoint in `work`, and write the adapter there.

    The first process says which checkpoint it is: on a shared disk another may see an older state.

    Raises:
        TrainingError: FSDP was asked for, but the trainer would not shard.
        TrainingStoppedError: `stop` was set; the last step that was taken is in a checkpoint.
    """
    if wants_fsdp() and not trainer.is_fsdp_enabled:
        raise TrainingError(
            "accelerate=fsdp would train without sharding on this machine: choose accelerate=ddp."
        )
    checkpoint = resume_point(work)
    (path,) = broadcast_object_list([str(checkpoint.path) if checkpoint else None])
    trainer.add_callback(StopOnRequest(trainer.accelerator, stop))
    trainer.train(resume_from_checkpoint=path)
    trainer.save_model(str(work / "adapter"))


def load_policy(ref: ModelRef, *, load_in_4bit: bool = False) -> Any:
    """The model to train; the trainer puts it where it belongs.

    To be called once the trainer's arguments exist: they connect the processes and give each its
    GPU, so that with FSDP one process per machine reads the weights and sends them to the others.
    """
    state = PartialState()
    if wants_fsdp() and state.distributed_type is DistributedType.MULTI_CPU:
        # Accelerate has FSDP for accelerators only; on CPUs it would silently train with DDP.
        state.distributed_type = DistributedType.MULTI_GPU
    model = load_model(ref, place=False, load_in_4bit=load_in_4bit)
    if state.device.type == "cpu" and not is_sharded():
        fit_head_to_cpu()
        share_prefixes(model.base_model)
    return model


def is_sharded() -> bool:
    """No process holds the whole model."""
    return os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE") == "3" or wants_fsdp()


def wants_fsdp() -> bool:
    """The launch asks for FSDP."""
    return os.environ.get("ACCELERATE_USE_FSDP") == "true"


def num_processes() -> int:
    """Of the launch."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def num_processes_here() -> int:
    """Of the launch, on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _checkpoints_activations(job: TrainJob, method: MethodConfig) -> bool:
    if method.gradient_checkpointing is not None:
        return method.gradient_checkpointing
    folder = Path(job.model.path)
    if torch.cuda.is_available() or not folder.is_dir():
        return True
    shape = model_shape(folder)
    return shape is None or checkpointing_is_needed(
        shape, method, job.model.dtype, num_processes_here()
    )


def _is_parallel_on_cpu() -> bool:
    """Without this several processes without GPUs do not find each other."""
    return num_processes() > 1 and not torch.cuda.is_available()
