"""*Worker.* The image tower with 8-bit matrix products, for CPUs that compute no bf16.

Weights are 8-bit, scaled by output channel. Inputs are 7-bit, scaled row by row on the fly, so that a picture's vector
does not depend on the pictures beside it; 7 and not 8, for on AVX2 oneDNN adds pairs of products in 16 bits, which
would overflow ("int8 computation aspects" in its documentation). Norms, softmax and GELU stay float32. Measured
in docs/encoding.md.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from clip_spark.encoders.names import NOT_INT8
from clip_spark.encoders.text_tower import is_plain
from clip_spark.errors import ModelError

WEIGHT_MAX, INPUT_MAX = 127, 63
ZERO = 64
"""Inputs are stored unsigned; this stands for 0."""


def quantise(tower: Any) -> None:
    """*Worker.* Replace the matrix products in the transformer blocks of an image tower by 8-bit ones, in place.

    Args:
        tower: a model's `visual`, in eval mode, float32, on the CPU.

    Raises:
        ModelError: it has no such blocks.
    """
    blocks = [module for module in tower.modules() if is_plain(module)]
    if not blocks:
        raise ModelError(NOT_INT8.format(type(tower).__name__))
    for block in blocks:
        block.attn = Int8Attention(block.attn)
        block.mlp.c_fc = Int8Linear(block.mlp.c_fc)
        block.mlp.c_proj = Int8Linear(block.mlp.c_proj)


class Int8Linear(torch.nn.Module):
    """A Linear with 8-bit weights."""

    int8_original_dtype = torch.float32
    """What open_clip asks its own 8-bit layers."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        scales = _scales(linear.weight, WEIGHT_MAX)
        rounded = (linear.weight / scales).round_().to(torch.int8)
        self._packed = torch.ops.onednn.qlinear_prepack(rounded, None)
        self._scales, self._zeros = scales.view(-1), torch.zeros(len(scales), dtype=torch.int32)
        self._bias = linear.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """float32 (..., in) to (..., out)."""
        rows = x.reshape(-1, x.shape[-1])
        scales = _scales(rows, INPUT_MAX)
        rounded = (rows / scales).round_().add_(ZERO).to(torch.uint8)
        weights, output = (self._packed, self._scales, self._zeros, None), (1.0, 0, torch.float32)
        products = torch.ops.onednn.qlinear_pointwise(rounded, 1.0, ZERO, *weights, *output, "none", [], "none")
        return torch.addcmul(self._bias, products, scales).view(*x.shape[:-1], -1)


def _scales(rows: torch.Tensor, most: int) -> torch.Tensor:
    """*Worker.* What one step is worth in each row, float32 (rows, 1), so that its largest number becomes `most`."""
    return rows.abs().amax(dim=1, keepdim=True).div_(most).clamp_(min=1e-30)


class Int8Attention(torch.nn.Module):
    """torch's MultiheadAttention of a sequence to itself, batch first, with 8-bit projections."""

    def __init__(self, attention: torch.nn.MultiheadAttention) -> None:
        super().__init__()
        self._heads = attention.num_heads
        projection = torch.nn.Linear(attention.embed_dim, 3 * attention.embed_dim, device="meta")
        projection.weight, projection.bias = attention.in_proj_weight, attention.in_proj_bias
        self._in, self._out = Int8Linear(projection), Int8Linear(attention.out_proj)

    def forward(
        self, x: torch.Tensor, _key: Any, _value: Any, need_weights: bool = False, attn_mask: Any = None
    ) -> tuple[torch.Tensor, None]:
        """The call of MultiheadAttention: float32 (n, tokens, width) to the same shape; key and value are x too."""
        n, tokens, width = x.shape
        parts = self._in(x).view(n, tokens, 3, self._heads, width // self._heads)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(queries, keys, values, attn_mask=attn_mask)
        return self._out(mixed.transpose(1, 2).reshape(n, tokens, width)), None
