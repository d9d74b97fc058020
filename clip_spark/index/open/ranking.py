"""*Worker.* Parts of which hubs do not come first: more candidates than hits are found, and ranked by cosine minus
penalty. Any kind of Faiss index will do, for it is asked for cosines only."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from clip_spark.index.files.layout import IndexInfo
from clip_spark.index.files.pieces import Pieces
from clip_spark.index.open.merge import merge
from clip_spark.index.open.parts import MISSING, PartSet
from clip_spark.index.open.piece_vectors import open_vectors
from clip_spark.index.open.selection import Selection
from clip_spark.index.open.vectors import VectorStore

WIDER, AND_MORE = 4, 32
"""Candidates at first: so many times the hits, and so many more; then again so many times, until no other can win."""
MOST_CANDIDATES = 1 << 14
"""Of one query, beyond twice its hits."""
HELD = 1 << 22
"""Candidates of all queries that are held at once."""


@dataclass(frozen=True)
class RankedParts:
    """The parts of an index as queries of the other kind see them; searched in place of a `PartSet`.

    Scores are cosine minus penalty; `cosines` turns them back.

    Attributes:
        parts: of the index.
        penalties: of its items, as vectors of one number.
        least: no item has a smaller penalty.
        threshold: least cosine of a hit.
    """

    parts: PartSet
    penalties: VectorStore
    least: float
    threshold: float = -math.inf

    def search(
        self, queries: np.ndarray, k: int, *, selection: Selection | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k best of each query (float32 (n, d)): scores float32 (n, m), positions int64 (n, m), MISSING last.

        What was not looked at has no greater cosine than the last candidate, and no smaller penalty than the least: so
        where the last hit is better than that, the ranking is the one that all items would give.
        """
        allowed = self.parts.allowed(selection)
        most = self.parts.rows if allowed is None else allowed.count
        k = min(k, most)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        positions = np.full((len(queries), k), MISSING, np.int64)
        rows, depth = np.arange(len(queries) if k else 0), min(most, WIDER * k + AND_MORE)
        while len(rows):
            left = []
            for some in np.array_split(rows, math.ceil(len(rows) * depth / HELD)):
                scores[some], positions[some], open_ones = self._best(queries[some], k, depth, selection)
                left.append(some[open_ones])
            if depth >= min(most, MOST_CANDIDATES + 2 * k):
                break
            rows, depth = np.concatenate(left), min(most, WIDER * depth)
        return scores, positions

    def _best(
        self, queries: np.ndarray, k: int, depth: int, selection: Selection | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The k best of so many candidates, and bool (n,): which queries may have a better one elsewhere."""
        cosines, found = self.parts.search(queries, depth, selection=selection)
        kept = (found != MISSING) & (cosines >= self.threshold)
        ranked = np.where(kept, self.ranked(cosines, found), -np.inf).astype(np.float32)
        best, positions = merge([(ranked, np.where(kept, found, MISSING))], k)
        others = np.where(found[:, -1] == MISSING, -np.inf, cosines[:, -1])
        may_be = (others >= self.threshold) & (best[:, -1] < others - self.least)
        return best, positions, may_be

    def cosines(self, scores: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Cosines, float32, of the scores and positions of hits, of any one shape."""
        return np.asarray(scores + self._penalty(positions), np.float32)

    def ranked(self, cosines: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """The inverse of `cosines`, of shapes that go together."""
        return np.asarray(cosines - self._penalty(positions), np.float32)

    def _penalty(self, positions: np.ndarray) -> np.ndarray:
        """float32 of the same shape; 0 where there is no hit."""
        there = positions != MISSING
        out = np.zeros(positions.shape, np.float32)
        out[there] = self.penalties.take(positions[there])[:, 0]
        return out


def open_ranking(uri: str, info: IndexInfo, parts: PartSet, pieces: Pieces | None = None) -> RankedParts | None:
    """*Worker.* The ranking of a calibrated index; None where there is none, or where cosines alone did best."""
    if info.calibration is None or not info.calibration.strength:
        return None
    return RankedParts(parts, open_vectors(uri, info.penalties, 1, pieces), info.calibration.least)
