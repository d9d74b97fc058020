"""*Worker.* Test queries with their true answers, and how many of these a search finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from clip_spark.index.build.exact import Wish
from clip_spark.index.build.list_ranks import ranks_of_true
from clip_spark.index.files.faiss_library import inverted_of, load_faiss
from clip_spark.index.files.layout import SearchSettings
from clip_spark.index.files.shapes import keeps_vectors
from clip_spark.index.open.parts import MISSING, PartSet

RECALL_AT = 10
TEST_QUERIES = 512
DEPTHS = (1, RECALL_AT, 100, 1_000, 10_000)
"""Hits for which settings are measured; a search takes those of the next greater one."""
SHALLOW, FEW_QUERIES = 100, 32
"""All test queries know their true best SHALLOW, and so many of them the true best of all DEPTHS."""


def recalls(found: np.ndarray, true: np.ndarray, own: np.ndarray | None = None, at: int = RECALL_AT) -> np.ndarray:
    """*Pure.* Share of the true `at` hits that were found, for each query that has any; float64 (<= n,).

    Args:
        found: int64 (n, >= at) positions, best first.
        true: the same from exact search.
        own: int64 (n,) positions of the queries themselves, which do not count; None if they are not in the index.
        at: hits that count.
    """
    # A number for each pair of query and position: a thousand queries are compared as one.
    first = np.arange(len(true))[:, None] * (int(max(true.max(initial=0), found.max(initial=0))) + 1)
    wanted, got = counted(true, own, at), counted(found, own, at)
    hit = np.zeros(true.shape, bool)
    hit[wanted] = np.isin((true + first)[wanted], (found + first)[got])
    asked = wanted.sum(axis=1)
    return hit.sum(axis=1)[asked > 0] / asked[asked > 0]


def counted(positions: np.ndarray, own: np.ndarray | None, at: int) -> np.ndarray:
    """*Pure.* Which of the positions are the first `at` hits, bool (n, m)."""
    hits = positions != MISSING
    if own is not None:
        hits &= positions != own[:, None]
    return hits & (np.cumsum(hits, axis=1) <= at)


@dataclass(frozen=True)
class Questions:
    """Test queries with their true answers.

    Attributes:
        queries: float32 (n, d).
        true: int64 (n, depth + 1), for a stored vector finds itself.
        own: positions of the queries in the index, or None for queries of the other kind.
    """

    queries: np.ndarray
    true: np.ndarray
    own: np.ndarray | None

    def recalls(self, parts: PartSet, settings: SearchSettings, at: int = RECALL_AT) -> np.ndarray:
        """Recall of one setting for each query, float64 (n,)."""
        _, found = parts.search(self.queries, at + 1, settings, fill=False)
        return recalls(found, self.true, self.own, at)

    def recall(self, parts: PartSet, settings: SearchSettings, at: int = RECALL_AT) -> float:
        """The mean over the queries; 1 where there is nothing to be found."""
        found = self.recalls(parts, settings, at)
        return float(found.mean()) if len(found) else 1.0

    def depth(self, rows: int) -> int:
        """The greatest k for which the true answers are known, in an index of so many rows."""
        return rows if self.true.shape[1] >= rows else self.true.shape[1] - 1


Exact = Callable[[Sequence[Wish]], list[np.ndarray]]
"""For each set of queries the positions of their true nearest, int64 (n, k); all at once, as all vectors are read."""


def make_questions(
    sets: Sequence[tuple[np.ndarray, np.ndarray | None]],
    rows: int,
    exact: Exact,
    depths: Sequence[int] = (SHALLOW, DEPTHS[-1]),
) -> list[list[Questions]]:
    """*Driver.* Each set several times: all of its queries with short true answers, and a few with long ones.

    Args:
        sets: queries, float32 (n, d), and their positions in the index, or None for those of the other kind; without
            queries there are no questions.
        rows: of the index.
        exact: finds the true nearest.
        depths: how many of these are to be known; a few queries are enough for more than SHALLOW.
    """
    known = [depth for depth in depths if depth <= SHALLOW or rows > SHALLOW]
    asked = [[_some(queries, own, depth) for depth in known if len(queries)] for queries, own in sets]
    wanted = [
        (queries, min(depth + 1, rows)) for some in asked for (queries, _), depth in zip(some, known, strict=False)
    ]
    true = iter(exact(wanted) if wanted else ())
    return [[Questions(queries, next(true), own) for queries, own in some] for some in asked]


def _some(queries: np.ndarray, own: np.ndarray | None, depth: int) -> tuple[np.ndarray, np.ndarray | None]:
    """*Pure.* The queries that are asked for so many hits, and their positions."""
    some = slice(None, None, max(1, len(queries) // FEW_QUERIES)) if depth > SHALLOW else slice(None)
    return queries[some], None if own is None else own[some]


@dataclass(frozen=True)
class Reachable:
    """Questions, and what can be found of their answers by the lists that these lie in.

    Attributes:
        questions: what is asked.
        ranks: int32 (n, depth + 1), the first nprobe that leads to each true answer; 0 where that is not known.
        is_all: searches find all that lies in their lists, and the lists that they look into are the nearest.
    """

    questions: Questions
    ranks: np.ndarray
    is_all: bool

    @classmethod
    def of(cls, parts: PartSet, questions: Questions) -> Reachable:
        """*Worker.* By the lists of an index; nothing is known of a graph, nor where centroids cannot be looked at."""
        faiss, lists = load_faiss(), inverted_of(parts.indexes[0])
        centroids = None if lists is None else faiss.downcast_index(lists.quantizer)
        if not isinstance(centroids, (faiss.IndexFlat, faiss.IndexHNSW)):
            return cls(questions, np.zeros(questions.true.shape, np.int32), is_all=False)
        ranks = ranks_of_true(parts.indexes, parts.rows, questions.queries, questions.true)
        return cls(questions, ranks, isinstance(centroids, faiss.IndexFlat) and keeps_vectors(parts.indexes[0]))

    def recalls(self, nprobe: int, at: int) -> np.ndarray:
        """*Pure.* The most that a search of so many lists finds for each query that has any answers, float64."""
        wanted = counted(self.questions.true, self.questions.own, at)
        asked = wanted.sum(axis=1)
        return (wanted & (self.ranks <= nprobe)).sum(axis=1)[asked > 0] / asked[asked > 0]

    def measured(self, parts: PartSet, settings: SearchSettings, at: int) -> np.ndarray:
        """*Worker.* Recall of each query by searching; for thousands of hits by the lists, where these say all."""
        if self.is_all and at > SHALLOW:
            return self.recalls(settings.nprobe, at)
        return self.questions.recalls(parts, settings, at)
