"""*Worker.* A CLIP text tower in numpy, for one text at a time: a query needs no torch, whose import takes seconds.

The weights are mapped, not read: a text costs the pages that it needs. `query_texts` decides whether a model's tower
is of this kind, by comparison with the model itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

KINDS: dict[str, type[np.floating[Any]]] = {"F32": np.float32, "F16": np.float16}
EPSILON = 1e-5
"""Of torch's LayerNorm."""


@dataclass(frozen=True)
class TowerFacts:
    """What there is to know of a tower beside its weights.

    Attributes:
        path: of the safetensors file.
        size, mtime_ns: of that file when the tower was compared.
        prefix: of the tensors' names.
        layers, heads: of the transformer.
        quick: its GELU is the quick form.
        context_length: most tokens of a text.
    """

    path: str
    size: int
    mtime_ns: int
    prefix: str
    layers: int
    heads: int
    quick: bool
    context_length: int


class QueryTower:
    """The tower of a file; computes in float32 and changes nothing, so threads may share it."""

    def __init__(self, facts: TowerFacts) -> None:
        self.facts = facts
        self._tensors = map_tensors(facts.path)

    def __call__(self, ids: list[int]) -> np.ndarray:
        """The embedding of one text, float32 (d,), of length 1; `ids` end with the end-of-text token."""
        x = self._tensors[f"{self.facts.prefix}token_embedding.weight"][ids].astype(np.float32)
        x += self._tensor("positional_embedding")[: len(ids)]
        for layer in range(self.facts.layers):
            x = self._block(f"transformer.resblocks.{layer}.", x)
        vector = self._norm("ln_final", x[-1]) @ self._projection()
        return vector / np.linalg.norm(vector)

    def _tensor(self, name: str) -> np.ndarray:
        return self._tensors[self.facts.prefix + name].astype(np.float32, copy=False)

    def _projection(self) -> np.ndarray:
        """(width, d)"""
        name = "text_projection"
        return (
            self._tensor(f"{name}.weight").T
            if f"{self.facts.prefix}{name}.weight" in self._tensors
            else self._tensor(name)
        )

    def _linear(self, name: str, x: np.ndarray, weight: str = ".weight", bias: str = ".bias") -> np.ndarray:
        return x @ self._tensor(name + weight).T + self._tensor(name + bias)

    def _norm(self, name: str, x: np.ndarray) -> np.ndarray:
        centred = x - x.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(EPSILON))
        return centred / spread * self._tensor(f"{name}.weight") + self._tensor(f"{name}.bias")

    def _block(self, name: str, x: np.ndarray) -> np.ndarray:
        """One pre-norm block on the tokens of a text, float32 (tokens, width)."""
        mixed = attend(
            self._linear(f"{name}attn.in_proj", self._norm(f"{name}ln_1", x), "_weight", "_bias"), self.facts.heads
        )
        x = x + self._linear(f"{name}attn.out_proj", mixed)
        hidden = self._linear(f"{name}mlp.c_fc", self._norm(f"{name}ln_2", x))
        return x + self._linear(f"{name}mlp.c_proj", quick_gelu(hidden) if self.facts.quick else gelu(hidden))


def attend(packed: np.ndarray, heads: int) -> np.ndarray:
    """*Pure.* Causal attention: queries, keys and values side by side (tokens, 3 * width) to (tokens, width)."""
    tokens = len(packed)
    queries, keys, values = packed.reshape(tokens, 3, heads, -1).transpose(1, 2, 0, 3)  # each (heads, tokens, width)
    scores = queries @ keys.transpose(0, 2, 1) / np.float32(math.sqrt(queries.shape[-1]))
    scores[:, np.triu(np.ones((tokens, tokens), bool), 1)] = -np.inf
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed = weights / weights.sum(axis=-1, keepdims=True) @ values
    return mixed.transpose(1, 0, 2).reshape(tokens, -1)


def quick_gelu(x: np.ndarray) -> np.ndarray:
    """*Pure.* OpenAI's approximation."""
    return x / (1 + np.exp(-1.702 * x))


def gelu(x: np.ndarray) -> np.ndarray:
    """*Pure.* The exact form; numpy has no erf, and a query has few numbers."""
    erf = np.fromiter(map(math.erf, (x * np.float32(math.sqrt(0.5))).ravel().tolist()), np.float32, x.size)
    return x * np.float32(0.5) * (1 + erf.reshape(x.shape))


def map_tensors(path: str) -> Mapping[str, np.ndarray]:
    """*Worker.* The tensors of a safetensors file that are float32 or float16, mapped.

    Raises:
        OSError, ValueError: the file is not there, or is none.
    """
    with open(path, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        listed: dict[str, Any] = json.loads(stream.read(min(length, 100 << 20)))
    whole = np.memmap(path, np.uint8, "r", offset=8 + length)
    return {
        name: whole[slice(*one["data_offsets"])].view(KINDS[one["dtype"]]).reshape(one["shape"])
        for name, one in listed.items()
        if one.get("dtype") in KINDS
    }
