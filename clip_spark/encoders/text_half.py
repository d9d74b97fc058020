"""*Worker.* Texts to unit vectors."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clip_spark.encoders.forward import BatchSize, Forward
from clip_spark.encoders.query_tower import TowerFacts
from clip_spark.encoders.text_tower import TextTower, causal_tower, forward_trie
from clip_spark.encoders.tokens import BulkTokeniser
from clip_spark.encoders.trie import build_trie, first_seen, sorted_rows

if TYPE_CHECKING:
    import torch

TOKENS = {"cpu": 2_048, "cuda": 131_072}
"""Token states per forward pass: on a CPU the activations of more would leave the caches."""


@dataclass(frozen=True)
class Tokenised:
    """Texts as token ids, in the order in which they are computed.

    Attributes:
        table: int64 (n, longest), padded with NO_TOKEN; or with the model's own padding, to its whole context.
        order: int64 (n,), which text each row is.
        tokens: token ids of all texts.
        cut: how many texts were longer than the context and lost their end.
    """

    table: np.ndarray
    order: np.ndarray
    tokens: int
    cut: int = 0


class Tokeniser:
    """Texts to token ids; picklable, and without the model.

    Args:
        tokeniser: open_clip's.
        context_length: most tokens of a text.
        short: leave the padding out and sort, as `forward_trie` takes texts; else open_clip's whole context.
    """

    def __init__(self, tokeniser: Any, context_length: int, short: bool) -> None:
        self._tokeniser, self._context_length = tokeniser, context_length
        self._bulk = BulkTokeniser(tokeniser, context_length) if short else None
        self.lower = self._bulk is not None and self._bulk.lower

    def __call__(self, texts: Sequence[str]) -> Tokenised:
        """The ids of n texts."""
        if not texts:
            return Tokenised(np.zeros((0, 0), np.int64), np.zeros(0, np.int64), 0)
        if self._bulk is not None:
            found = self._bulk(texts)
            return Tokenised(*sorted_rows(found.rows), found.total, found.cut)
        ids = self._tokeniser(list(texts), context_length=self._context_length).numpy()
        return Tokenised(ids, np.arange(len(ids)), ids.size)


class TextEncoder:
    """The text half of an encoder.

    A causal tower with open_clip's own tokeniser is computed on the tree of the texts' beginnings; anything else
    goes through `model.encode_text` with its full context, as open_clip does it.

    Attributes:
        batch: token states per forward pass.
        tokenise: texts to token ids.
    """

    def __init__(self, model: Any, tokeniser: Any, forward: Forward, counters: Counter[str]) -> None:
        self._model = model
        self._forward, self._counters = forward, counters
        # Not the model's: transformers' towers say how many places they have (514), or nothing (0).
        self.context_length = int(tokeniser.context_length)
        self._tower = causal_tower(model) if BulkTokeniser.fits(tokeniser) else None
        self.tokenise = Tokeniser(tokeniser, self.context_length, short=self._tower is not None)
        self.batch = BatchSize(TOKENS[forward.device.split(":")[0]])

    def facts(self, path: str) -> TowerFacts | None:
        """What a query needs to know to do without torch, of weights in a file; None where it needs the model."""
        if self._tower is None or not self.tokenise.lower or not path.endswith(".safetensors"):
            return None
        block, status = self._tower.blocks[0], os.stat(path)
        return TowerFacts(
            path=path,
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            prefix="text." if hasattr(self._model, "text") else "",
            layers=len(self._tower.blocks),
            heads=block.attn.num_heads,
            quick=type(block.mlp.gelu).__name__ == "QuickGELU",
            context_length=self.context_length,
        )

    def __call__(self, texts: Tokenised) -> np.ndarray:
        """float32 (n, d), rows of length 1, in the order in which n >= 1 texts were given."""
        return self._by_trie(texts, self._tower) if self._tower else self._by_context(texts)

    def _by_trie(self, texts: Tokenised, tower: TextTower) -> np.ndarray:
        table = texts.table
        nodes = np.cumsum(first_seen(table).sum(axis=1))  # token states up to and with each text

        def stop_of(start: int, size: int) -> int:
            before = nodes[start - 1] if start else 0
            return int(np.searchsorted(nodes, before + size, side="right"))

        def forward(start: int, stop: int) -> torch.Tensor:
            trie = build_trie(table[start:stop])
            self._counters["token_states"] += len(trie.tokens)
            return self._forward(lambda: forward_trie(tower, trie, self._forward.device))

        return self.batch.run(len(table), stop_of, forward, texts.order)

    def _by_context(self, texts: Tokenised) -> np.ndarray:
        import torch

        def stop_of(start: int, size: int) -> int:
            return start + max(1, size // self.context_length)

        def forward(start: int, stop: int) -> torch.Tensor:
            ids = torch.from_numpy(texts.table[start:stop])
            return self._forward(lambda: self._model.encode_text(ids.to(self._forward.device)))

        return self.batch.run(len(texts.table), stop_of, forward, texts.order)
