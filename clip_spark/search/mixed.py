"""*Worker.* One ranking over two indices of the same records, by a mixture of both scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clip_spark.index.open.parts import MISSING
from clip_spark.search.hits import Wanted
from clip_spark.search.negatives import FETCHED, NOTHING
from clip_spark.search.sides import Side

LEAST_DEPTH, MOST_DEPTH = 256, 1 << 18
"""Hits of each side that a mixed ranking looks at, first and at most."""


def best_of_both(
    sides: tuple[Side, Side],
    vectors: tuple[np.ndarray, np.ndarray],
    wanted: Wanted,
    weight: float,
    without: int = MISSING,
    less: np.ndarray = NOTHING,
) -> tuple[np.ndarray, np.ndarray]:
    """*Worker.* The records that are on both sides, by a mixture of both scores, but for those that are not wanted.

    Args:
        sides: the two indices.
        vectors: the query for each of them, float32 (d,).
        wanted: which hits; the threshold is one of mixed scores.
        weight: above 0 to 1.
        without: a position on the first side that is no hit: that of the record which is the query.
        less: what is not wanted, float32 (m, d), each as long as its weight: the first side knows what that is.

    Returns:
        Positions on the first side, int64 (n,), and scores, float64 (n,), best first, without those before the offset.
    """
    if not len(less):
        return _best_of_both(sides, vectors, wanted, weight, without)
    last, searcher = wanted.offset + wanted.k, sides[0].searcher
    exclusion = searcher.exclusion(vectors[0], less)
    for times in FETCHED:
        wider = replace(wanted, offset=0, k=times * last)
        positions, scores = _best_of_both(sides, vectors, wider, weight, without)
        kept = ~exclusion.excludes(searcher.parts.vectors.take(positions).astype(np.float32))
        if kept.sum() >= last or len(positions) < wider.k:
            break
    return positions[kept][wanted.offset : last], scores[kept][wanted.offset : last]


def _best_of_both(
    sides: tuple[Side, Side],
    vectors: tuple[np.ndarray, np.ndarray],
    wanted: Wanted,
    weight: float,
    without: int,
) -> tuple[np.ndarray, np.ndarray]:
    """*Worker.* The records that are on both sides, by `(1 - weight) * score here + weight * score there`.

    Fagin's threshold algorithm (Fagin, Lotem and Naor 2003): what neither side has among its best so many can have no
    more than the mixture of the two worst scores seen, so once the last hit has that much, the ranking is the true one
    (as far as each side's own search is).
    """
    mixture = Mixture(sides, vectors, (1 - weight, weight), wanted.where)
    last = wanted.offset + wanted.k
    depth = max(LEAST_DEPTH, 4 * last)
    while True:
        seen = [_best(side, vector, wanted, depth) for side, vector in zip(sides, vectors, strict=True)]
        mixture.add([positions for positions, _ in seen])
        positions, scores = mixture.ranked(without)
        bound = sum(part * worst for part, (_, worst) in zip(mixture.weights, seen, strict=True))
        done = any(len(at) < depth for at, _ in seen)  # one side has no more: all pairs were seen
        if done or (len(scores) >= last and scores[last - 1] >= bound) or depth >= MOST_DEPTH:
            break
        depth *= 4
    kept = slice(wanted.offset, int((scores[:last] >= wanted.threshold).sum()))
    return positions[kept], scores[kept]


def _best(side: Side, vector: np.ndarray, wanted: Wanted, depth: int) -> tuple[np.ndarray, float]:
    """*Worker.* The positions of a side's best hits, int64 (n,), and the score of the last."""
    scores, found = side.searcher.search_positions(vector[None], Wanted(k=depth, where=wanted.where))
    kept = found[0] != MISSING
    return found[0][kept], float(scores[0][kept][-1]) if kept.any() else -1.0


class Mixture:
    """*Worker.* The pairs of which a side was seen, with their mixed scores; each is looked up once.

    Attributes:
        weights: of the two scores.
    """

    def __init__(
        self,
        sides: tuple[Side, Side],
        vectors: tuple[np.ndarray, np.ndarray],
        weights: tuple[float, float],
        where: str,
    ) -> None:
        self._sides, self._vectors, self.weights, self._where = sides, vectors, weights, where
        self._read: tuple[set[int], set[int]] = (set(), set())
        self._at: tuple[dict[str, int], dict[str, int]] = ({}, {})
        self._ids: list[str] = []
        self._scores: list[float] = []

    def add(self, seen: list[np.ndarray]) -> None:
        """Take the positions of best hits, int64 (n,) of each side; what was taken before costs nothing."""
        new = [self._new(number, positions) for number, positions in enumerate(seen)]
        for number, record_ids in enumerate(reversed(new)):
            self._find(number, record_ids)
        self._score([text for text in dict.fromkeys([*new[0], *new[1]]) if self._is_pair(text)])

    def _new(self, number: int, positions: np.ndarray) -> list[str]:
        """The ids of those hits of a side that are seen for the first time, whatever the other side knows of them."""
        read, at = self._read[number], self._at[number]
        fresh = np.array([position for position in positions.tolist() if position not in read], np.int64)
        read.update(fresh.tolist())
        new = []
        for text, position in zip(self._sides[number].ids(fresh), fresh.tolist(), strict=True):
            if text not in at:
                at[text] = position
                new.append(text)
        return new

    def _find(self, number: int, record_ids: list[str]) -> None:
        """Look for what the other side has seen."""
        side, at = self._sides[number], self._at[number]
        found = side.positions([text for text in record_ids if text not in at])
        allowed = side.searcher.allowed(self._where) if self._where else None
        for text, position in found.items():
            if allowed is None or allowed.mask[position]:
                at[text] = position

    def _is_pair(self, text: str) -> bool:
        return text in self._at[0] and text in self._at[1]

    def _score(self, record_ids: list[str]) -> None:
        scores = np.zeros(len(record_ids))
        for side, vector, part, at in zip(self._sides, self._vectors, self.weights, self._at, strict=True):
            rows = np.array([at[text] for text in record_ids], np.int64)
            scores += part * side.scores(rows, vector).astype(np.float64)
        self._ids += record_ids
        self._scores += scores.tolist()

    def ranked(self, without: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions on the first side, int64 (n,), but for one, and mixed scores, float64 (n,), best first."""
        positions = np.array([self._at[0][text] for text in self._ids], np.int64)
        scores = np.array(self._scores, np.float64)
        order = np.argsort(-scores, kind="stable")
        order = order[positions[order] != without]
        return positions[order], scores[order]
