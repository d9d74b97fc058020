"""*Worker.* Score, cut and rank rows of counts; columns in, columns out.

Scores are nltk's (nltk.metrics.association): with N tokens and c(x) the count of x,
pmi = log2 c(w1..wn) + (n-1) log2 N - sum of log2 c(wi). The pmi of a single word is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clip_spark import schema
from clip_spark.specs.text import FilterSpec

SCORED = schema.COUNTS.append(pa.field("score", pa.float64()))
RECORDS = pa.schema([("record_id", pa.string()), ("kind", pa.string()), *SCORED])
BEST_FIRST = [("n", "ascending"), ("score", "descending"), ("count", "descending"), ("text", "ascending")]
"""Ties are broken by count, then by the bytes of the text: the result does not depend on how work was split."""


@dataclass(frozen=True)
class Words:
    """Counts of single words, for scores; `tokens` is N."""

    text: pa.Array
    count: np.ndarray
    tokens: int


def score(counts: pa.Table, rank: str, words: Words | None) -> pa.Table:
    """*Worker.* Add the column `score` (float64).

    Args:
        counts: rows of schema.COUNTS.
        rank: one of specs.text.RANKS.
        words: counts of all words that occur in `counts`; not needed for rank "count".
    """
    if rank == "count" or words is None:
        scores = counts["count"].cast(pa.float64())
    else:
        scores = pa.array(pmi(counts, words))
    return counts.append_column("score", scores).cast(SCORED)


def pmi(counts: pa.Table, words: Words) -> np.ndarray:
    """*Worker.* Pointwise mutual information of each row, float64, base 2."""
    orders = counts["n"].to_numpy()
    if not len(orders):
        return np.zeros(0)
    tokens = pc.list_flatten(pc.split_pattern(counts["text"].combine_chunks(), " "))
    ids = pc.index_in(tokens, words.text).to_numpy(zero_copy_only=False)
    logs = np.log2(words.count.astype(np.float64))[ids.astype(np.int64)]
    starts = np.concatenate([[0], np.cumsum(orders)[:-1]])
    together = np.log2(counts["count"].to_numpy().astype(np.float64))
    return together + (orders - 1) * np.log2(float(words.tokens)) - np.add.reduceat(logs, starts)


def best(scored: pa.Table, top: int) -> pa.Table:
    """*Pure.* Rows sorted by order, best first, at most `top` of each order (0: all)."""
    rows = scored.take(pc.sort_indices(scored, BEST_FIRST)).combine_chunks()
    if not top:
        return rows
    orders = rows["n"].to_numpy()
    rank_in_order = np.arange(len(orders)) - np.searchsorted(orders, orders, "left")
    return rows.filter(pa.array(rank_in_order < top))


def select(counts: pa.Table, spec: FilterSpec, words: Words | None) -> pa.Table:
    """*Worker.* The rows of one shard of counts that may be in the result, scored and sorted."""
    kept = counts.filter(pc.greater_equal(counts["count"], spec.min_count))
    return best(score(kept, spec.rank, words), spec.top)


def as_records(scored: pa.Table) -> pa.Table:
    """*Pure.* Rows of RECORDS, same order."""
    texts = scored["text"].to_pylist()
    ids = pa.array([schema.record_id(text) for text in texts], pa.string())
    kinds = pa.array(["text"] * len(texts), pa.string())
    return pa.table([ids, kinds, *(scored[name] for name in SCORED.names)], schema=RECORDS)
