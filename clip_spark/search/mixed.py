"""*Worker.* One ranking over two indices of the same records, by a mixture of both scores."""

from __future__ import annotations

import numpy as np

from clip_spark.index.open.parts import MISSING
from clip_spark.search.hits import Wanted
from clip_spark.search.sides import Side

LEAST_DEPTH, MOST_DEPTH = 256, 1 << 18
"""Hits of each side that a mixed ranking looks at, first and at most."""


def best_of_both(
    sides: tuple[Side, Side], vectors: tuple[np.ndarray, np.ndarray], wanted: Wanted, weight: float
) -> tuple[np.ndarray, np.ndarray]:
    """*Worker.* The records that are on both sides, by `(1 - weight) * score here + weight * score there`.

    Fagin's threshold algorithm (Fagin, Lotem and Naor 2003): what neither side has among its best so many can have no
    more than the mixture of the two worst scores seen, so once the last hit has that much, the ranking is the true one
    (as far as each side's own search is).

    Args:
        sides: the two indices.
        vectors: the query for each of them, float32 (d,).
        wanted: which hits; the threshold is one of mixed scores.
        weight: above 0 to 1.

    Returns:
        Positions on the first side, int64 (n,), and scores, float64 (n,), best first, without those before the offset.
    """
    weights = (1 - weight, weight)
    last = wanted.offset + wanted.k
    depth = max(LEAST_DEPTH, 4 * last)
    while True:
        seen = [_best(side, vector, wanted, depth) for side, vector in zip(sides, vectors, strict=True)]
        positions, scores = _mix(sides, vectors, weights, [at for at, _ in seen], wanted.where)
        bound = sum(part * worst for part, (_, worst) in zip(weights, seen, strict=True))
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


def _mix(
    sides: tuple[Side, Side],
    vectors: tuple[np.ndarray, np.ndarray],
    weights: tuple[float, float],
    seen: list[np.ndarray],
    where: str,
) -> tuple[np.ndarray, np.ndarray]:
    """*Worker.* (positions on the first side, mixed scores), best first, of all pairs of which some side was seen."""
    ids = list(dict.fromkeys(text for side, at in zip(sides, seen, strict=True) for text in side.ids(at)))
    first, second = (_fulfilling(side, side.positions(ids), where) for side in sides)
    both = [text for text in ids if text in first and text in second]
    at = [np.array([side[text] for text in both], np.int64) for side in (first, second)]
    scores = sum(
        part * side.scores(rows, vector).astype(np.float64)
        for part, side, rows, vector in zip(weights, sides, at, vectors, strict=True)
    )
    order = np.argsort(-np.asarray(scores), kind="stable")
    return at[0][order], np.asarray(scores)[order]


def _fulfilling(side: Side, positions: dict[str, int], where: str) -> dict[str, int]:
    allowed = side.searcher.allowed(where) if where else None
    return positions if allowed is None else {text: at for text, at in positions.items() if allowed.mask[at]}
