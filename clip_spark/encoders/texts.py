"""*Worker.* Texts to unit vectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clip_spark.encoders.forward import BatchSize, Forward
from clip_spark.encoders.text_tower import TextTower, causal_tower, forward_trie
from clip_spark.encoders.tokens import BulkTokenizer
from clip_spark.encoders.trie import build_trie, first_seen, sorted_rows
from clip_spark.shards import Stopwatch

if TYPE_CHECKING:
    import torch

TOKENS = {"cpu": 2_048, "cuda": 131_072}
"""Token states per forward pass: on a CPU the activations of more would leave the caches."""


class TextEncoder:
    """The text half of an encoder.

    A causal tower with open_clip's own tokenizer is computed on the tree of the texts' beginnings; anything else
    goes through `model.encode_text` with its full context, as open_clip does it.

    Attributes:
        batch: token states per forward pass.
        split: texts to tokens, the part that a text's own characters decide; picklable.
    """

    def __init__(self, model: Any, tokenizer: Any, forward: Forward, watch: Stopwatch, counters: Counter[str]) -> None:
        self._model, self._tokenizer, self._forward = model, tokenizer, forward
        self._watch, self._counters = watch, counters
        self.context_length = int(model.context_length)
        fits = BulkTokenizer.fits(tokenizer)
        self._bulk = BulkTokenizer(tokenizer, self.context_length) if fits else None
        self._tower = causal_tower(model) if fits else None
        self.split: Callable[[list[str]], Any] = self._bulk or tokenizer
        self.batch = BatchSize(TOKENS[forward.device.split(":")[0]])

    def __call__(self, texts: list[str]) -> np.ndarray:
        """float32 (n, d), rows of length 1, in the order of n >= 1 texts."""
        if self._bulk is not None and self._tower is not None:
            return self._by_trie(texts, self._bulk, self._tower)
        return self._by_context(texts)

    def _by_trie(self, texts: list[str], tokenize: BulkTokenizer, tower: TextTower) -> np.ndarray:
        with self._watch("tokenise"):
            tokens = tokenize(texts)
            table, order = sorted_rows(tokens.rows)
            nodes = np.cumsum(first_seen(table).sum(axis=1))  # token states up to and with each text
        self._counters.update(tokens=tokens.total, texts_cut=tokens.cut)

        def stop_of(start: int, size: int) -> int:
            before = nodes[start - 1] if start else 0
            return int(np.searchsorted(nodes, before + size, side="right"))

        def forward(start: int, stop: int) -> np.ndarray:
            trie = build_trie(table[start:stop])
            self._counters["token_states"] += len(trie.tokens)
            return self._forward(lambda: forward_trie(tower, trie, self._forward.device))

        with self._watch("forward"):
            parts = [vectors for _, vectors in self.batch.run(len(texts), stop_of, forward)]
            out = np.empty((len(texts), parts[0].shape[1]), np.float32)
            out[order] = np.concatenate(parts)
        return out

    def _by_context(self, texts: Sequence[str]) -> np.ndarray:
        with self._watch("tokenise"):
            ids: torch.Tensor = self._tokenizer(list(texts), context_length=self.context_length)
        self._counters.update(tokens=ids.numel())

        def stop_of(start: int, size: int) -> int:
            return start + max(1, size // self.context_length)

        def forward(start: int, stop: int) -> np.ndarray:
            return self._forward(lambda: self._model.encode_text(ids[start:stop].to(self._forward.device)))

        with self._watch("forward"):
            return np.concatenate([vectors for _, vectors in self.batch.run(len(ids), stop_of, forward)])
