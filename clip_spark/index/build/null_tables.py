"""*Worker.* How high scores are where nothing is related: of random pairs, and of the hits of queries about nothing.

A query about nothing is drawn from the normal distribution that the references have: it lies where queries of its kind
lie, and means no item.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from clip_spark.index.build.exact import exact_hits
from clip_spark.index.files.shapes import keeps_vectors
from clip_spark.index.open.meaning import BEST, LEVELS, PLACES, PROBABILITIES, ground, own_best, relative
from clip_spark.index.open.missed import all_blocks
from clip_spark.index.open.parts import PartSet
from clip_spark.index.open.ranking import RankedParts

QUERIES, ITEMS, DRAWN = 512, 4096, 2048


class NullTables(NamedTuple):
    """What `Calibration` keeps of the same names."""

    pairs: tuple[float, ...] = ()
    nothing: tuple[tuple[float, ...], ...] = ()
    centre: tuple[float, ...] = ()


def null_tables(parts: PartSet, ranking: RankedParts | None, references: np.ndarray, seed: int = 0) -> NullTables:
    """*Worker.* Measured with references, float32 (m, d), and a sample of the items."""
    random = np.random.default_rng(seed)
    search = (ranking or parts).search
    some = references[random.permutation(len(references))[:QUERIES]]
    best = own_best(search(some, BEST)[0])
    live = parts.allowed(None)
    known = np.arange(parts.rows) if live is None else np.flatnonzero(live.mask)
    items = np.sort(random.permutation(known)[:ITEMS])
    vectors = parts.vectors.take(items)
    scores = some @ vectors.T
    if ranking is not None:
        scores = scores - ranking.penalties.take(items)[:, 0]
    pairs = np.quantile(relative(scores, best), 1 - np.array(PROBABILITIES))
    centre = vectors.mean(axis=0).round(5)
    drawn = about_nothing(references, random)
    found = _best_scores(parts, ranking, drawn, PLACES[-1]) - ground(drawn, centre, references)[:, None]
    places = [place for place in PLACES if place <= found.shape[1] and np.isfinite(found[:, place - 1]).all()]
    nothing = [tuple(np.quantile(found[:, place - 1], LEVELS).round(5).tolist()) for place in places]
    return NullTables(tuple(pairs.round(5).tolist()), tuple(nothing), tuple(centre.tolist()))


def _best_scores(parts: PartSet, ranking: RankedParts | None, queries: np.ndarray, k: int) -> np.ndarray:
    """*Worker.* The k best scores of each query, float32 (n, k), falling.

    A query about nothing is near no item, so that any of thousands may have the smallest penalty: a ranking looks at
    more and more candidates. Where a search compares all vectors anyway one pass over them is enough, for a cosine less
    a penalty is a product too: of vectors with the penalty as one more number.
    """
    complete = not parts.effort(k).settings.nprobe and keeps_vectors(parts.indexes[0])
    if ranking is None or not complete:
        return (ranking or parts).search(queries, k)[0]
    live = parts.allowed(None)

    def with_penalties() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for positions, vectors in all_blocks(parts):
            kept = np.arange(len(positions)) if live is None else np.flatnonzero(live.mask[positions])
            penalties = ranking.penalties.take(positions[kept])
            yield positions[kept], np.hstack([vectors[kept], -penalties])

    asked = np.hstack([queries, np.ones((len(queries), 1), np.float32)])
    return exact_hits(with_penalties(), asked, min(k, parts.live_rows))[0]


def about_nothing(references: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """*Pure.* DRAWN queries as the references are distributed, of length 1, float32."""
    mean = references.mean(axis=0)
    weights = random.normal(size=(DRAWN, len(references))).astype(np.float32)
    total = mean + weights @ (references - mean) / np.sqrt(max(1, len(references) - 1))
    return np.asarray(total / np.linalg.norm(total, axis=1, keepdims=True), np.float32)
