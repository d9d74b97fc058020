"""*Server.* Where records lie, by the hashes of their ids: 16 bytes for each, in place of a scan for every question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clip_spark.datasets import schema
from clip_spark.index.open.parts import MISSING

if TYPE_CHECKING:
    from clip_spark.index.open.records import RecordReader

KEY = "clip-spark places"[:16]


@dataclass(frozen=True)
class IdPlaces:
    """The positions of an index by the ids of their records.

    Attributes:
        known: hashes of the ids, rising, uint64 (n,).
        positions: int64 (n,).
    """

    known: np.ndarray
    positions: np.ndarray

    @staticmethod
    def read(records: RecordReader) -> IdPlaces:
        """Of all records of an index; one batch of ids at a time is in memory beside what is kept."""
        parts = [np.empty(0, np.uint64)]
        parts += [hashes(batch.column(schema.RECORD_ID)) for _, batch in records.batches([schema.RECORD_ID])]
        keys = np.concatenate(parts)
        order = np.argsort(keys, kind="stable")
        return IdPlaces(keys[order], order)

    def of(self, record_ids: Any) -> np.ndarray:
        """Positions of some records in their order, int64; MISSING for those that are not there."""
        if not len(self.known):
            return np.full(len(record_ids), MISSING, np.int64)
        wanted = hashes(record_ids)
        at = np.searchsorted(self.known, wanted, side="right") - 1  # of doubles the last one, as the index has it
        found = self.positions[np.maximum(at, 0)]
        return np.where((at >= 0) & (self.known[at] == wanted), found, MISSING)


def hashes(ids: Any) -> np.ndarray:
    """*Pure.* Texts, or an Arrow array of them, as uint64 (n,)."""
    from pandas.util import hash_array

    texts = ids.to_numpy(zero_copy_only=False) if hasattr(ids, "type") else ids
    return hash_array(np.asarray(texts, dtype=object), hash_key=KEY, categorize=False)
