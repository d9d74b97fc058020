"""*Server.* One query to one index: hits, whether there are more, how good they are, and counts of their values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from clip_spark.datasets import schema
from clip_spark.errors import SpecError
from clip_spark.index.open.parts import MISSING
from clip_spark.search.hits import Hit, Wanted, rounded_chance
from clip_spark.search.negatives import NOTHING
from clip_spark.search.plain_values import plain
from clip_spark.web.results import hit_json
from clip_spark.web.served import ServedIndex

FACETED = 1000
"""Hits whose values are counted, or those up to the end of the page where it lies deeper."""
FACET_VALUES = 50
"""Values of one column that are named; the others are counted together."""
MOST_EMBEDDINGS = 1000
"""Hits of a page that may bring their vectors: as JSON one takes 8 kB and more."""
SHOWN = (schema.RECORD_ID, "text", "caption", "uri", "offset", "size")
"""Columns that a hit is shown by, whatever columns were asked for."""


@dataclass(frozen=True)
class Asked:
    """A query.

    Attributes:
        vector: float32 (d,), of length 1.
        kind: `text`, `image`, or `mixed` where it is several things, or a vector of unknown origin.
        own: its position, if it is a record of the index; it is no hit then.
        words: what it is called in tables of hits.
        less: what it does not want, float32 (m, d), each as long as its weight.
    """

    vector: np.ndarray
    kind: str
    own: int = MISSING
    words: str = ""
    less: np.ndarray = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True)
class Page:
    """The hits that a request wants.

    Attributes:
        wanted: which; its columns are those that were asked for, none means all.
        facets: columns whose values are counted.
        max_k: most hits of this server, those before the page included.
        embeddings: whether hits bring their vectors.
    """

    wanted: Wanted
    facets: tuple[str, ...] = ()
    max_k: int = 10_000
    embeddings: bool = False

    def has_next(self, found: int) -> bool:
        """*Pure.* Whether there is a page behind this one, for which one hit more than wanted was asked for."""
        return found > self.wanted.k and self.wanted.offset + 2 * self.wanted.k <= self.max_k


@dataclass(frozen=True)
class Found:
    """What one query found in one index."""

    index: ServedIndex
    asked: Asked
    columns: tuple[str, ...]
    hits: tuple[Hit, ...]
    more: bool
    recall: float | None
    facets: dict[str, Any] = field(default_factory=dict)
    best: dict[str, Any] = field(default_factory=dict)
    embeddings: bool = False

    def vectors(self) -> list[list[float]]:
        """The stored vector of each hit; none where they were not asked for."""
        return self.index.vectors(self.hits) if self.embeddings else []

    def to_json(self) -> dict[str, Any]:
        """The answer but for its seconds."""
        answer: dict[str, Any] = {
            "index": self.index.name,
            "kind": self.index.kind,
            "hits": [hit_json(self.index, hit, self.columns) for hit in self.hits],
            "more": self.more,
            "recall_expected": self.recall,
            "query_kind": self.asked.kind,
        }
        for hit, vector in zip(answer["hits"], self.vectors(), strict=False):
            hit["embedding"] = vector
        more = {"facets": self.facets, "best": self.best}
        return {**answer, **{name: value for name, value in more.items() if value}}


def check_page(index: ServedIndex, page: Page) -> None:
    """*Server.* Find mistakes of a request before anything is encoded; raises SpecError."""
    records = index.searcher.records
    records.check_columns(page.wanted.columns)
    records.check_columns(page.facets)
    if page.embeddings and page.wanted.k > MOST_EMBEDDINGS:
        raise SpecError(f"'embeddings' come with at most {MOST_EMBEDDINGS:,} hits; ask for fewer, page by page.")
    for name in page.facets:
        if pa.types.is_nested(records.schema.field(name).type):
            raise SpecError(f"The column '{name}' holds lists or objects; their values are not counted.")
    index.allowed(page.wanted.where)


def find(index: ServedIndex, asked: Asked, page: Page) -> Found:
    """*Server.* A page of hits with all that is said about them; raises what `ServedIndex.nearest` raises."""
    wanted, columns = page.wanted, page.wanted.columns
    wider = replace(wanted, k=wanted.k + 1, columns=shown_columns(index, columns))  # one more, to know of more
    depth = max(wanted.offset + wanted.k, min(FACETED, page.max_k)) if page.facets else 0
    all_of_it = replace(wider, offset=0, k=max(depth, wanted.offset + wider.k)) if depth else wider
    found = index.search(asked.vector, all_of_it, asked.own, asked.kind, asked.less)
    mine = slice(wanted.offset, wanted.offset + wider.k) if depth else slice(None)
    hits = index.hits(found.page(mine), wider)
    more = page.has_next(len(hits))
    recall = index.recall_expected(all_of_it, asked.kind)
    facets = _facets(index, found.positions[:depth], page.facets)
    best = {} if hits or not wanted.relevant else _best(index, asked, wanted)
    return Found(index, asked, columns, tuple(hits[: wanted.k]), more, recall, facets, best, page.embeddings)


def _best(index: ServedIndex, asked: Asked, wanted: Wanted) -> dict[str, Any]:
    """What a query for which nothing is relevant has found best."""
    found = index.search(asked.vector, replace(wanted, relevant=0.0, offset=0, k=1), asked.own, asked.kind, asked.less)
    if found.chances is None or not len(found.scores):
        return {}
    return {"score": round(float(found.scores[0]), 6), "chance": rounded_chance(found.chances[0])}


def shown_columns(index: ServedIndex, columns: Sequence[str]) -> tuple[str, ...]:
    """*Pure.* Columns to read for hits of which some were asked for; none means all."""
    if not columns:
        return ()
    return tuple(dict.fromkeys([*(name for name in SHOWN if name in index.searcher.records.columns), *columns]))


def _facets(index: ServedIndex, positions: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    if not names:
        return {}
    table = index.searcher.records.take(positions, names)
    return {name: count_values(table.column(name)) for name in names}


def count_values(column: pa.ChunkedArray) -> dict[str, Any]:
    """*Pure.* How often each value occurs, the most frequent first; equal counts in the order of the hits."""
    counts = sorted(column.value_counts().to_pylist(), key=lambda pair: -pair["counts"])
    named = [{"value": plain(pair["values"]), "count": pair["counts"]} for pair in counts[:FACET_VALUES]]
    others = sum(pair["counts"] for pair in counts[FACET_VALUES:])
    return {"hits": len(column), "values": named, "others": others}
