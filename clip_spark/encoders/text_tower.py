"""*Worker.* CLIP's causal text tower on exactly the tokens that matter.

A causal tower that pools at the end-of-text token never looks behind it, so padding changes nothing and is left out;
open_clip itself always computes the whole context (77 tokens for a text of 5). Beginnings that texts share are
computed once (see `trie`). Both are exact: the results differ from open_clip's in the last bits of float32 only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clip_spark.encoders.forward import on_device
from clip_spark.encoders.trie import Trie

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class TextTower:
    """The parts of a causal, end-of-text-pooled tower (open_clip's `CLIP` keeps them on the model itself)."""

    token_embedding: Any
    positions: torch.Tensor
    """(context, width)"""
    blocks: Sequence[Any]
    """open_clip's ResidualAttentionBlock, in order"""
    final_norm: Any
    projection: Any
    """(width, d), a Linear, or None"""


def causal_tower(model: Any) -> TextTower | None:
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
    blocks = list(tower.transformer.resblocks)
    if not all(map(is_plain, blocks)):
        return None
    return TextTower(
        token_embedding=tower.token_embedding,
        positions=tower.positional_embedding,
        blocks=blocks,
        final_norm=tower.ln_final,
        projection=tower.text_projection,
    )


def is_plain(block: Any) -> bool:
    """*Worker.* True for a block whose arithmetic `_block` repeats: pre-norm, one packed projection with a bias."""
    import torch
    from open_clip.transformer import ResidualAttentionBlock

    attention = getattr(block, "attn", None)
    return (
        type(block) is ResidualAttentionBlock
        and type(attention) is torch.nn.MultiheadAttention
        and attention.in_proj_weight is not None
        and attention.in_proj_bias is not None
        and attention.bias_k is None
        and not attention.add_zero_attn
    )


def forward_trie(tower: TextTower, trie: Trie, device: str) -> torch.Tensor:
    """*Worker.* Embeddings (texts, d), not normalised, of the texts of a tree.

    The last block is computed for the ends of texts only, since nothing else is pooled; so are the last norm and the
    projection, which work row by row. Nothing here waits for the device: the next tree is built while it computes.
    """
    ends, inverse = np.unique(trie.leaves, return_inverse=True)
    depths = np.repeat(np.arange(len(trie.paths)), [len(path) for path in trie.paths])
    last_paths = _paths_of(ends, trie.paths)
    tokens, places, wanted, rows, *paths = _on_device(
        [trie.tokens, depths, ends, inverse, *trie.paths, *last_paths], device
    )
    x = tower.token_embedding(tokens) + tower.positions[places]
    for block in tower.blocks[:-1]:
        x = _block(block, x, paths[: len(trie.paths)], None)
    x = _block(tower.blocks[-1], x, paths[len(trie.paths) :], wanted)
    return _project(tower, tower.final_norm(x))[rows]


def _on_device(arrays: Sequence[np.ndarray], device: str) -> list[torch.Tensor]:
    """*Worker.* The same arrays of int64 there, sent as one: each transfer to a GPU costs a millisecond by itself."""
    import torch

    whole = on_device(np.concatenate([array.ravel() for array in arrays]), device)
    parts = torch.split(whole, [array.size for array in arrays])
    return [part.view(array.shape) for part, array in zip(parts, arrays, strict=True)]


def _paths_of(wanted: np.ndarray, paths: Sequence[np.ndarray]) -> list[np.ndarray]:
    """*Pure.* The paths of some nodes (ascending), still by depth."""
    starts = np.cumsum([0, *(len(path) for path in paths)])
    cuts = np.searchsorted(wanted, starts)
    return [path[wanted[a:b] - start] for path, start, a, b in zip(paths, starts, cuts, cuts[1:], strict=False)]


def _block(block: Any, x: torch.Tensor, paths: list[torch.Tensor], wanted: torch.Tensor | None) -> torch.Tensor:
    """*Worker.* One pre-norm transformer block on the nodes of a tree, (nodes, width).

    Args:
        paths: of the nodes to compute, by depth.
        wanted: the nodes to compute, ascending; None for all. Keys and values are always made for all.
    """
    import torch

    linear, attention = torch.nn.functional.linear, block.attn
    weight, bias, width = attention.in_proj_weight, attention.in_proj_bias, x.shape[1]
    heads = (-1, attention.num_heads, width // attention.num_heads)
    normed = block.ln_1(x)
    keys, values = linear(normed, weight[width:], bias[width:]).chunk(2, dim=1)
    if wanted is not None:
        x, normed = x[wanted], normed[wanted]
    queries = linear(normed, weight[:width], bias[:width])
    mixed = _attend(queries.view(heads), keys.reshape(heads), values.reshape(heads), paths)
    x = x + block.ls_1(attention.out_proj(mixed.reshape(len(x), width)))
    return x + block.ls_2(block.mlp(block.ln_2(x)))


def _attend(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, paths: list[torch.Tensor]) -> torch.Tensor:
    """*Worker.* Each node attends to the nodes on its path, itself among them; all are (nodes, heads, width of a head).

    Nodes of one depth have paths of one length: no mask and no padding.
    """
    import torch

    mix = mixed_by_sums if queries.is_cuda else mixed_by_torch
    parts, first = [], 0
    for path in paths:
        if not len(path):
            continue
        parts.append(mix(queries[first : first + len(path)], keys[path], values[path]))
        first += len(path)
    return torch.cat(parts)


def mixed_by_torch(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """*Worker.* Attention of n nodes, (n, heads, width), to the t nodes on the path of each, (n, t, heads, width)."""
    import torch

    attend = torch.nn.functional.scaled_dot_product_attention
    return attend(query.unsqueeze(2), key.transpose(1, 2), value.transpose(1, 2)).squeeze(2)


def mixed_by_sums(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """*Worker.* The same for GPUs.

    There torch gives attention to cuDNN, which makes a plan for each shape that it has not seen (a tenth of a second),
    and each batch of texts has some thirty new ones. Besides, its kernel fills 64 rows for one query: at three tokens
    it takes 0.68 ms where these sums take 0.33, at eight 0.77 and 0.76 (docs/gpu.md).
    """
    scores = (key * (query * query.shape[-1] ** -0.5).unsqueeze(1)).sum(-1)
    return (value * scores.softmax(1).unsqueeze(-1)).sum(1)


def _project(tower: TextTower, pooled: torch.Tensor) -> torch.Tensor:
    """*Worker.* (n, width) to (n, d)."""
    if tower.projection is None:
        return pooled
    return tower.projection(pooled) if callable(tower.projection) else pooled @ tower.projection
