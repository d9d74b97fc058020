"""*Worker.* What searches have missed: their hits are compared with every vector of the index, block by block.

One look through the vectors serves several searches, and whoever asks for the blocks decides how fast it goes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from clip_spark.index.open.parts import MISSING, PartSet
from clip_spark.index.open.ranking import RankedParts
from clip_spark.index.open.vectors import PartVectors

ROUNDING = 1e-5
"""A vector counts as missed only if it is better than the last hit by more than Faiss and numpy may differ."""


@dataclass(frozen=True)
class Checked:
    """A search that is checked, and what it found.

    Attributes:
        query: float32 (d,), of length 1.
        ranking: what was searched.
        scores: of that ranking, float32 (k,), falling; -inf where there was no hit.
        positions: int64 (k,), MISSING where there was no hit.
        own: a position that was to be left out.
        expected: its recall, as the build measured it; None where it did not.
    """

    query: np.ndarray
    ranking: PartSet | RankedParts
    scores: np.ndarray
    positions: np.ndarray
    own: int = MISSING
    expected: float | None = None


class Comparison:
    """Searches of one index against all of its vectors; `steps` to its end, then `recalls`.

    What is held are the hits, as many misses of each search, and a block of vectors.
    """

    def __init__(self, parts: PartSet, checked: Sequence[Checked]) -> None:
        self._parts, self._queries = parts, np.stack([one.query for one in checked])
        allowed = parts.allowed(None)
        self._mask = None if allowed is None else allowed.mask
        self._missed = [_Missed(one, self._mask) for one in checked]
        self._floors = np.array([[one.floor] for one in self._missed], np.float32)
        self._rows = defaultdict[PartSet | RankedParts, list[int]](list)
        for row, one in enumerate(checked):
            self._rows[one.ranking].append(row)

    def steps(self) -> Iterator[None]:
        """Compare one block of vectors after the other."""
        for positions, vectors in all_blocks(self._parts):
            scores = self._queries @ vectors.T
            scores[scores == 0] = -np.inf  # the vectors of erased records are zeros
            if self._mask is not None:
                scores[:, ~self._mask[positions]] = -np.inf
            for ranking, rows in self._rows.items():
                scores[rows] = ranking.ranked(scores[rows], positions[None])
            better = scores > self._floors
            for row in np.flatnonzero(better.any(axis=1)):
                self._missed[row].add(scores[row, better[row]], positions[better[row]])
            yield

    def recalls(self) -> np.ndarray:
        """The share of the true best that each search found, float64 (n,); what was taken down since does not count."""
        return np.array([one.recall() for one in self._missed])


class _Missed:
    """What one search should have found: as many vectors as it has hits, the best of all that are better than its last.

    Args:
        search: with what it found.
        mask: which positions may be found by now, bool (rows,); None is all.

    Attributes:
        floor: what has no better score is not missed.
    """

    def __init__(self, search: Checked, mask: np.ndarray | None) -> None:
        there = search.positions != MISSING
        self._scores, self._positions = search.scores[there], search.positions[there]
        self.floor = float(self._scores[-1]) + ROUNDING if there.all() else -np.inf
        still = np.ones(len(self._positions), bool) if mask is None else mask[self._positions]
        self._most = len(there) - int((~still).sum())
        self._scores, self._positions = self._scores[still], self._positions[still]
        self._known = np.append(self._positions, search.own)
        self._better = np.empty(0, np.float32)

    def add(self, scores: np.ndarray, positions: np.ndarray) -> None:
        """Scores above the floor, (m,) like their positions: those that are no hits were missed."""
        new = scores[~np.isin(positions, self._known)]
        self._better = np.sort(np.concatenate([self._better, new]))[::-1][: self._most]

    def recall(self) -> float:
        """The share of the true best that was found; 1 where there is nothing to be found."""
        before = np.searchsorted(-self._scores, -self._better, side="right")  # hits at least as good as each
        lost = int((before + np.arange(len(self._better)) < self._most).sum())
        true = min(self._most, len(self._scores) + len(self._better))
        return 1.0 - lost / true if true else 1.0


def all_blocks(parts: PartSet) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """*Worker.* All vectors of an index: positions int64 (m,) and float32 (m, d), which is gone at the next block."""
    if isinstance(parts.vectors, PartVectors):
        yield from parts.vectors.blocks()
        return
    for first, vectors in parts.vectors.blocks():
        yield np.arange(first, first + len(vectors)), vectors
