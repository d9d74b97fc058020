"""*Worker.* One of two indices that know each other by record id, and its hits with what the other knows of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip_spark import storage
from clip_spark.datasets import schema
from clip_spark.index.open.parts import MISSING
from clip_spark.search.hits import Hit, Hits, Wanted
from clip_spark.search.negatives import Sought
from clip_spark.search.searcher import Searcher
from clip_spark.search.spec import PREFIX


@dataclass(frozen=True)
class Side:
    """One of the two indices, with the columns of its records that are shown; None means all."""

    searcher: Searcher
    columns: tuple[str, ...] | None

    @property
    def name(self) -> str:
        """*Pure.* How its index is called in tables."""
        return storage.name(self.searcher.manifest.uri)

    def shown(self, positions: np.ndarray) -> list[dict[str, object]]:
        """*Worker.* Records at positions, int64 (n,)."""
        columns = () if self.columns is None else (schema.RECORD_ID, *self.columns)
        return self.searcher.records.take(positions, tuple(dict.fromkeys(columns))).to_pylist()

    def ids(self, positions: np.ndarray) -> list[str]:
        """*Worker.* The record ids at positions, int64 (n,)."""
        return self.searcher.records.take(positions, (schema.RECORD_ID,))[schema.RECORD_ID].to_pylist()

    def positions(self, record_ids: list[str]) -> dict[str, int]:
        """*Worker.* Where records are that were not taken down; one scan of a column, whatever their number."""
        found = self.searcher.records.find_all(record_ids)
        allowed = self.searcher.allowed("")
        found = found if allowed is None else found[allowed.mask[found]]
        return dict(zip(self.ids(found), found.tolist(), strict=True))

    def scores(self, positions: np.ndarray, vector: np.ndarray) -> np.ndarray:
        """*Worker.* Cosines, float32 (n,), of a unit vector with the stored ones at positions."""
        stored = self.searcher.parts.vectors.take(positions).astype(np.float32)
        return np.asarray(stored @ vector / np.linalg.norm(stored, axis=1), np.float32)


def hits_of_both(
    sides: tuple[Side, Side], asked: Sought, wanted: Wanted, name: str, without: str = "", kind: str = ""
) -> Hits:
    """*Worker.* The hits of the first side, each with the columns of the other's record; `kind` is the query's."""
    side, partner = sides
    own = side.positions([without]).get(without, MISSING) if without else MISSING
    scores, positions = side.searcher.search_positions(
        asked.vector[None], wanted, without=own, kind=kind, less=[asked.less]
    )
    found = positions[0][positions[0] != MISSING]
    return told(side, partner, found, scores[0], wanted.offset, name)


def told(side: Side, partner: Side, found: np.ndarray, scores: np.ndarray, offset: int, name: str) -> Hits:
    records = side.shown(found)
    ids = [str(record[schema.RECORD_ID]) for record in records]
    there = partner.positions(ids)
    beside = dict(zip(there, partner.shown(np.array(list(there.values()), np.int64)), strict=True))
    rows = [
        {**record, **{f"{PREFIX}{column}": value for column, value in beside.get(record_id, {}).items()}}
        for record_id, record in zip(ids, records, strict=True)
    ]
    for row in rows:
        row.pop(f"{PREFIX}{schema.RECORD_ID}", None)
    hits = zip(scores.tolist(), rows, found.tolist(), strict=False)
    return Hits(tuple(Hit(rank, score, row, at) for rank, (score, row, at) in enumerate(hits, offset + 1)), name)
