"""*Worker.* CLIP's causal text tower on exactly the tokens that matter.

A causal tower that pools at the end-of-text token never looks behind it, so padding behind the longest text of a
batch changes nothing: texts are sorted by length and each batch is cut at its longest. open_clip itself always
computes the whole context (77 tokens for a text of 5).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class TextTower:
    """The parts of a causal, end-of-text-pooled tower (open_clip's `CLIP` keeps them on the model itself)."""

    token_embedding: Any
    positions: torch.Tensor
    """(context, width)"""
    transformer: Any
    mask: torch.Tensor
    """(context, context), minus infinity above the diagonal"""
    final_norm: Any
    projection: Any
    """(width, d), a Linear, or None"""


def trimmable_tower(model: Any) -> TextTower | None:
    """*Worker.* The text tower if cutting it is exact, decided from the model; None means: compute the full context."""
    from open_clip.model import CLIP
    from open_clip.transformer import TextTransformer, Transformer

    tower: Any = model if type(model) is CLIP else getattr(model, "text", None)
    if type(tower) not in (CLIP, TextTransformer) or type(tower.transformer) is not Transformer:
        return None
    pool = getattr(tower, "text_pool_type", None) or getattr(tower, "pool_type", None)
    extra_token = getattr(tower, "cls_emb", None) is not None or getattr(tower, "use_pad_mask", False)
    if pool != "argmax" or extra_token or tower.attn_mask is None:
        return None
    return TextTower(
        token_embedding=tower.token_embedding,
        positions=tower.positional_embedding,
        transformer=tower.transformer,
        mask=tower.attn_mask,
        final_norm=tower.ln_final,
        projection=tower.text_projection,
    )


def length_batches(rows: Sequence[Sequence[int]], batch_size: int) -> Iterator[list[int]]:
    """*Pure.* Indices of texts in batches of similar length, shortest first; equal lengths keep their order."""
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def padded(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """*Worker.* int64 (n, longest) with zeros behind the end of each text."""
    import torch

    longest = max(map(len, rows))
    return torch.tensor([[*row, *([0] * (longest - len(row)))] for row in rows], dtype=torch.long)


def forward_trimmed(tower: TextTower, ids: torch.Tensor) -> torch.Tensor:
    """*Worker.* Embeddings (n, d) of token ids (n, length), not normalised; equal to the full context's.

    Pooling comes before the last norm and the projection, which work row by row: only pooled rows are computed.
    """
    import torch

    length = ids.shape[1]
    dtype = tower.transformer.get_cast_dtype()
    x = tower.token_embedding(ids).to(dtype) + tower.positions[:length].to(dtype)
    x = tower.transformer(x, attn_mask=tower.mask[:length, :length])
    pooled = x[torch.arange(len(ids), device=ids.device), ids.argmax(dim=-1)]
    return project(tower, tower.final_norm(pooled))


def project(tower: TextTower, pooled: torch.Tensor) -> torch.Tensor:
    """*Worker.* (n, width) to (n, d)."""
    if tower.projection is None:
        return pooled
    return tower.projection(pooled) if callable(tower.projection) else pooled @ tower.projection
