"""*Worker.* Score, cut and rank rows of counts; columns in, columns out.

Scores are nltk's (nltk.metrics.association), with N tokens and c(x) the count of x:

    pmi             log2 c(w1..wn) + (n-1) log2 N - sum of log2 c(wi); 0 for a single word
    npmi            pmi / ((n-1) (log2 N - log2 c(w1..wn))), from -1 to 1 for pairs (Bouma 2009); 0 for a single word
    log-likelihood  2 * sum of observed * ln(observed / expected) over the table of a pair (Dunning 1993)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clip_spark.datasets import schema
from clip_spark.texts.ngrams.ranking.drop_reasons import REASONS, Lists, reasons
from clip_spark.texts.specs import FilterSpec

SCORED = schema.COUNTS.append(pa.field("score", pa.float64()))
RECORDS = pa.schema([("record_id", pa.string()), ("kind", pa.string()), *SCORED])
BELOW_TOP = "below the top"
NOT_EMBEDDED = "not embedded"
TINY = 1e-20
"""nltk's guard against the logarithm of 0."""
SCORE_DIGITS = 9
"""Decimals of a score: what lies behind them is noise of the logarithms, and would order equal scores by chance."""
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
        rank: one of texts.specs.RANKS.
        words: counts of all words that occur in `counts`; not needed for rank "count".
    """
    if rank == "count" or words is None:
        scores = counts["count"].cast(pa.float64())
    else:
        scores = rounded(ASSOCIATIONS[rank](counts, words))
    return with_scores(counts, scores)


def rounded(scores: np.ndarray) -> pa.Array:
    """*Pure.* Scores without the noise that would order equal ones by chance."""
    return pa.array(np.round(scores, SCORE_DIGITS))


def with_scores(counts: pa.Table, scores: pa.Array) -> pa.Table:
    """*Pure.* Rows of COUNTS with a score each: rows of SCORED."""
    return counts.append_column("score", scores).cast(SCORED)


def _word_counts(counts: pa.Table, words: Words) -> np.ndarray:
    """*Worker.* Counts of the words of all rows, one row after the other, float64."""
    tokens = pc.list_flatten(pc.split_pattern(counts["text"].combine_chunks(), " "))
    ids = pc.index_in(tokens, words.text).to_numpy(zero_copy_only=False).astype(np.int64)
    return words.count[ids].astype(np.float64)


def pmi(counts: pa.Table, words: Words) -> np.ndarray:
    """*Worker.* Pointwise mutual information of each row, float64, base 2."""
    orders = counts["n"].to_numpy()
    if not len(orders):
        return np.zeros(0)
    alone = np.add.reduceat(np.log2(_word_counts(counts, words)), np.cumsum(orders) - orders)
    return np.log2(counts["count"].to_numpy()) + (orders - 1) * np.log2(float(words.tokens)) - alone


def npmi(counts: pa.Table, words: Words) -> np.ndarray:
    """*Worker.* pmi divided by the most that it can be for an n-gram of this count."""
    most = (counts["n"].to_numpy() - 1) * (np.log2(float(words.tokens)) - np.log2(counts["count"].to_numpy()))
    return pmi(counts, words) / np.where(most > 0, most, 1.0)


def log_likelihood(counts: pa.Table, words: Words) -> np.ndarray:
    """*Worker.* Likelihood ratio of pairs, float64; 0 for other orders."""
    scores = np.zeros(counts.num_rows)
    is_pair = counts["n"].to_numpy() == 2
    pairs = counts.filter(pa.array(is_pair))
    both = pairs["count"].to_numpy().astype(np.float64)
    first, second = _word_counts(pairs, words).reshape(-1, 2).T
    neither = np.maximum(words.tokens - first - second + both, 0)  # a line's last word begins no pair
    table = [both, second - both, first - both, neither]
    for cell, observed in enumerate(table):
        expected = (observed + table[cell ^ 1]) * (observed + table[cell ^ 2]) / words.tokens
        scores[is_pair] += 2 * observed * np.log(observed / (expected + TINY) + TINY)
    return scores


ASSOCIATIONS = {"pmi": pmi, "npmi": npmi, "log-likelihood": log_likelihood}


def best(scored: pa.Table, top: int) -> pa.Table:
    """*Pure.* Rows sorted by order, best first, at most `top` of each order (0: all)."""
    rows = scored.take(pc.sort_indices(scored, BEST_FIRST)).combine_chunks()
    if not top:
        return rows
    orders = rows["n"].to_numpy()
    rank_in_order = np.arange(len(orders)) - np.searchsorted(orders, orders, "left")
    return rows.filter(pa.array(rank_in_order < top))


class Selection(NamedTuple):
    """Rows of SCORED that may be in the result, and how many others were dropped: `reason_order` -> rows."""

    rows: pa.Table
    dropped: Counter[str]


def select(counts: pa.Table, spec: FilterSpec, lists: Lists, words: Words | None) -> Selection:
    """*Worker.* The rows of one shard of counts that may be in the result, scored and sorted."""
    return select_by(counts, spec, lists, lambda kept, _: score(kept, spec.rank, words))


def select_by(
    counts: pa.Table, spec: FilterSpec, lists: Lists, scored: Callable[[pa.Table, np.ndarray], pa.Table]
) -> Selection:
    """*Worker.* The same where `scored` gives the score to the rows that are kept, from these and which they are."""
    why = reasons(counts, spec, lists)
    kept = scored(counts.filter(pa.array(why < 0)), np.flatnonzero(why < 0))
    orders = counts["n"].to_numpy()
    dropped = {reason: by_order(orders[why == place], reason) for place, reason in enumerate(REASONS)}
    return cut(Selection(kept, sum(dropped.values(), Counter())), spec.top)


def by_order(orders: np.ndarray, reason: str) -> Counter[str]:
    """*Pure.* `reason_order` -> rows."""
    rows = np.bincount(orders)
    return Counter({f"{reason}_{n}": int(rows[n]) for n in np.flatnonzero(rows)})


def merge(left: Selection, right: Selection, top: int) -> Selection:
    """*Pure.* The best of both."""
    return cut(Selection(pa.concat_tables([left.rows, right.rows]), left.dropped + right.dropped), top)


def cut(selection: Selection, top: int) -> Selection:
    """*Pure.* At most `top` rows of each order (0: all), best first; what is cut off is counted."""
    kept = best(selection.rows, top)
    below = by_order(selection.rows["n"].to_numpy(), BELOW_TOP) - by_order(kept["n"].to_numpy(), BELOW_TOP)
    return Selection(kept, selection.dropped + below)


def as_records(scored: pa.Table) -> pa.Table:
    """*Pure.* Rows of RECORDS, same order."""
    texts = scored["text"].to_pylist()
    ids = pa.array([schema.record_id(text) for text in texts], pa.string())
    kinds = pa.array(["text"] * len(texts), pa.string())
    return pa.table([ids, kinds, *(scored[name] for name in SCORED.names)], schema=RECORDS)
