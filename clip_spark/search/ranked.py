"""*Pure.* What a search is given and what it found, before records: checked queries, ranked rows, hits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any, NamedTuple, TypedDict

import numpy as np

from clip_spark.datasets.embeddings import UNIT_TOLERANCE
from clip_spark.errors import SpecError
from clip_spark.index.open.parts import MISSING
from clip_spark.search.hits import Hit


class OfQueries(TypedDict, total=False):
    """What else is known of queries.

    Attributes:
        without: a position that is no hit, such as that of the record which is the query.
        kind: `text` or `image`; anything else is not corrected for hubs.
        less: what each query does not want (`negatives.Sought`), float32 (m, d); empty where none has any.
    """

    without: int
    kind: str
    less: Sequence[np.ndarray]


class Ranked(NamedTuple):
    """What a search found.

    Attributes:
        scores: that decide the ranking, float32 (n, m), falling.
        positions: int64 (n, m), MISSING where there is no hit.
        best: the mean of each query's best scores, float32 (n,), whatever page was asked for.
    """

    scores: np.ndarray
    positions: np.ndarray
    best: np.ndarray


def hits_of(
    scores: np.ndarray, positions: np.ndarray, offset: int, records: Iterable[dict[str, Any]] = ()
) -> list[Hit]:
    """The hits of one query, float32 (m,) and int64 (m,), best first; the first ones with their records."""
    rows = zip_longest(scores.tolist(), positions.tolist(), records)
    return [Hit(rank, score, record or {}, at) for rank, (score, at, record) in enumerate(rows, offset + 1)]


def with_chances(hits: list[Hit], chances: np.ndarray | None) -> list[Hit]:
    """The same hits with how often an unrelated pair scores as high, float64 (m,), where that is known."""
    if chances is None:
        return hits
    return [replace(hit, chance=chance) for hit, chance in zip(hits, chances.tolist(), strict=True)]


def padded(rows: Sequence[np.ndarray], nothing: float) -> np.ndarray:
    """Rows (1, m) of several lengths below each other, filled up with `nothing`."""
    found = np.full((len(rows), max(row.shape[1] for row in rows)), nothing, rows[0].dtype)
    for at, row in enumerate(rows):
        found[at, : row.shape[1]] = row
    return found


def leave_out(scores: np.ndarray, positions: np.ndarray, without: int) -> tuple[np.ndarray, np.ndarray]:
    """The same hits, (n, m), without a position: the others move up, MISSING comes last."""
    own = positions == without
    if without == MISSING or not own.any():
        return scores, positions
    order = np.argsort(own, axis=1, kind="stable")
    return np.take_along_axis(scores, order, 1), np.take_along_axis(np.where(own, MISSING, positions), order, 1)


def check_queries(embeddings: np.ndarray, dim: int) -> None:
    """Refuse what has no answer.

    Raises:
        SpecError: the shape is wrong, or a row is not a unit vector (zero, NaN, not normalised).
    """
    if embeddings.ndim != 2 or embeddings.shape[1] != dim:
        raise SpecError(f"The queries have shape {tuple(embeddings.shape)}; this index needs (n, {dim}).")
    lengths = np.linalg.norm(embeddings, axis=1)
    if not np.all(np.abs(lengths - 1.0) < UNIT_TOLERANCE):  # also false for NaN
        worst = int(np.argmax(~(np.abs(lengths - 1.0) < UNIT_TOLERANCE)))
        raise SpecError(f"Query {worst} has length {lengths[worst]:.4g}; queries must be finite and of length 1.")
