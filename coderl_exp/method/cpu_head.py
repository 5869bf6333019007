"""TRL's fused language-model head (`trl.trainer.utils.add_fused_lm_head`), fitted to CPUs.

It is made for GPUs: tiles of 4,096 tokens by 32,768 of the vocabulary, and without Triton also
the logits of prompts and padding, so that devices that compile for each shape need not. On CPUs
tiles that stay in the cache take half the memory, and nothing is compiled.
"""

from __future__ import annotations

from trl.kernels import chunked_logprob
from trl.trainer import utils

_TILE_TOKENS, _TILE_VOCABULARY = 256, 4096
"""4 MiB in float32."""


def fit_head_to_cpu() -> None:
    """In this process, which has no GPU; TRL reads these values at every call."""
    chunked_logprob.TOKEN_CHUNK_SIZE = _TILE_TOKENS
    utils._CHUNKED_LOGPROB_CHUNK_SIZE = _TILE_VOCABULARY
    utils._use_triton = lambda device: device.type == "cpu"
