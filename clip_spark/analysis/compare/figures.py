"""*Pure.* How well vectors of texts and of pictures find each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

FIRST = (1, 5, 10)
BLOCK = 1024
PAIRS = 200_000
"""Unrelated pairs that the table of chances is made of."""
CHANCES = (0.1, 0.01, 0.001)


@dataclass(frozen=True)
class Found:
    """What one kind of query found.

    Attributes:
        recall: k -> share of queries with a right answer among the first k.
        hub: share of queries that have the most frequent answer among their first ten.
        hub_at: which answer that is.
        first: int64 (queries,), the best answer of each.
        right: bool (queries,), whether that is a right one.
    """

    recall: Mapping[int, float]
    hub: float
    hub_at: int
    first: np.ndarray
    right: np.ndarray


def find(queries: np.ndarray, items: np.ndarray, query_of: np.ndarray, item_of: np.ndarray) -> Found:
    """*Pure.* Every query against every item.

    Args:
        queries: unit vectors, float32 (q, d).
        items: unit vectors, float32 (n, d).
        query_of: int64 (q,), what each query is about.
        item_of: int64 (n,), what each item is about; an item about the same is a right answer.
    """
    depth, hits = min(max(FIRST), len(items)), []
    for start in range(0, len(queries), BLOCK):
        scores = queries[start : start + BLOCK] @ items.T
        hits.append(np.argsort(-scores, axis=1, kind="stable")[:, :depth])
    found = np.concatenate(hits)
    return found_of(found, item_of[found] == query_of[:, None])


def found_of(hits: np.ndarray, right: np.ndarray) -> Found:
    """*Pure.* The same of hits that are there already.

    Args:
        hits: int64 (q, m), the numbers of the best answers of each query; below 0 where there is none.
        right: bool (q, m), which of them are right ones.
    """
    answers, counts = np.unique(hits[hits >= 0], return_counts=True)
    return Found(
        recall={k: float(right[:, :k].any(axis=1).mean()) for k in FIRST},
        hub=float(counts.max() / len(hits)) if len(answers) else 0.0,
        hub_at=int(answers[counts.argmax()]) if len(answers) else 0,
        first=hits[:, 0],
        right=right[:, 0],
    )


def chances(texts: np.ndarray, pictures: np.ndarray, text_of: np.ndarray, seed: int) -> dict[str, float]:
    """*Pure.* The table of unrelated pairs, and how often such a pair scores as high as the right ones do.

    Args:
        texts: unit vectors, float32 (m, d), each text once.
        pictures: unit vectors, float32 (n, d).
        text_of: int64 (n,), the text of each picture.
        seed: of the pairs.
    """
    random = np.random.default_rng(seed)
    some, others = random.integers(0, len(texts), PAIRS), random.integers(0, len(pictures), PAIRS)
    apart = text_of[others] != some
    null = np.sort(_cosines(texts, pictures, some[apart], others[apart]))
    right = _cosines(texts, pictures, text_of, np.arange(len(pictures)))
    as_high = 1 - np.searchsorted(null, right) / max(len(null), 1)
    table = {f"cosine of chance {chance:g}": float(np.quantile(null, 1 - chance)) for chance in CHANCES if len(null)}
    return {"median right cosine": float(np.median(right)), "median chance": float(np.median(as_high)), **table}


def _cosines(texts: np.ndarray, pictures: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """*Pure.* Of some pairs, float32; in blocks, for the pairs' vectors are many times the cosines."""
    parts = [slice(start, start + BLOCK * 8) for start in range(0, len(rows), BLOCK * 8)]
    found = [np.einsum("ij,ij->i", texts[rows[part]], pictures[columns[part]]) for part in parts]
    return np.concatenate([np.zeros(0, np.float32), *found])


def margin(share: float, count: int) -> float:
    """*Pure.* Half of the interval that a share of so many queries is within 19 times of 20."""
    return 1.96 * float(np.sqrt(max(share * (1 - share), 1 / count) / count))


def numbered(texts: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """*Pure.* Each text once, in the order of their coming, and which of them each row has, int64 (n,)."""
    at: dict[str, int] = {}
    rows = [at.setdefault(text, len(at)) for text in texts]
    return list(at), np.array(rows, np.int64)
