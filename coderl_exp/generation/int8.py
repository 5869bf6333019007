"""Linear layers in 8 bits, for sampling on CPUs that multiply them faster than float32.

Vector-wise quantisation as in https://arxiv.org/abs/2208.07339, section 3.1, without its outliers
in 16 bits: a weight matrix has a scale per output, its input a scale per token, so that a
completion still does not depend on its neighbours in the batch.
"""

from __future__ import annotations

from typing import Any

import torch

from coderl_exp.errors import ConfigError, GenerationError

_LARGEST = 127
_INSTRUCTIONS = ("avx512_vnni", "avx_vnni")


def check_int8() -> None:
    """Raises: ConfigError: this machine multiplies float32 faster, or has a GPU to sample on."""
    if torch.cuda.is_available():
        raise ConfigError(
            "generation.load_in_8bit is for CPUs: set generation.load_in_8bit=false on a GPU."
        )
    if not has_vnni():
        raise ConfigError(
            "generation.load_in_8bit needs a CPU with VNNI instructions (avx512_vnni or avx_vnni), "
            "which this one does not have: set generation.load_in_8bit=false."
        )


def has_vnni() -> bool:
    """This machine's CPU multiplies 8-bit integers faster than float32."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in _INSTRUCTIONS)


class Int8Linear(torch.nn.Module):
    """What takes the place of a linear layer."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, scale = quantised(linear.weight.detach())
        self._scale = scale.squeeze(-1)
        self._bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """`[…, in_features]` → `[…, out_features]`, in the dtype of `states`."""
        rows, scale = quantised(states.reshape(-1, self.in_features))
        product = torch._int_mm(rows, self.weight.t()).float()
        product.mul_(scale).mul_(self._scale)
        if self._bias is not None:
            product.add_(self._bias)
        return product.to(states.dtype).view(*states.shape[:-1], self.out_features)


def quantised(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Each row as 8-bit integers and the float32 that one of them stands for, `[rows, 1]`."""
    rows = rows.float()
    scale = rows.abs().amax(-1, keepdim=True).div_(_LARGEST)
    scale.clamp_(min=torch.finfo(scale.dtype).tiny)
    return (rows / scale).round_().to(torch.int8), scale


def load_in_8bit(model: Any) -> Any:
    """The model with every linear layer in 8 bits; the embeddings stay as they are.

    Raises:
        GenerationError: most of its weights are in layers of other kinds.
    """
    matrices = sum(p.numel() for p in model.parameters() if p.dim() > 1)
    linear = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module.in_features > 1
    }
    if 2 * sum(module.weight.numel() for module in linear.values()) < matrices:
        raise GenerationError(
            f"most weights of this {model.config.model_type} model are not in linear layers: set "
            "generation.load_in_8bit=false."
        )
    for name, module in linear.items():
        model.set_submodule(name, Int8Linear(module))
    return model
