"""*Server.* Where the records of a map lie: 16 bytes for each, in place of a scan of its points for every search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.analysis.map.frame import KINDS
from clip_spark.datasets import schema
from clip_spark.datasets.manifest import Manifest
from clip_spark.web.id_places import hashes


@dataclass(frozen=True)
class PointPlaces:
    """For each kind of point the hashes of its ids, rising, uint64 (n,), and their places, float32 (n, 2)."""

    by_kind: Mapping[str, tuple[np.ndarray, np.ndarray]]

    @staticmethod
    def read(manifest: Manifest) -> PointPlaces:
        """Of all points of a map; one file at a time is in memory beside what is kept."""
        found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {kind: [] for kind in KINDS}
        for uri in manifest.files("points"):
            with storage.open_read(uri) as stream:
                table = pq.read_table(stream, columns=[schema.RECORD_ID, "kind", "x", "y"])
            if table.num_rows:  # all of one file are of one kind
                places = np.stack([table["x"].to_numpy(), table["y"].to_numpy()], axis=1)
                found[table["kind"][0].as_py()].append((hashes(table[schema.RECORD_ID]), places))
        return PointPlaces({kind: _sorted(parts) for kind, parts in found.items() if parts})

    def of(self, kind: str, record_ids: Sequence[str]) -> list[tuple[float, float] | None]:
        """The places of some records in their order; None for those that are not on the map."""
        if kind not in self.by_kind or not record_ids:
            return [None] * len(record_ids)
        known, places = self.by_kind[kind]
        wanted = hashes(record_ids)
        at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        there = known[at] == wanted
        rows = places[at].astype(float).tolist()
        return [(row[0], row[1]) if is_there else None for row, is_there in zip(rows, there, strict=True)]


def _sorted(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    keys = np.concatenate([keys for keys, _ in parts])
    order = np.argsort(keys)
    return keys[order], np.concatenate([places for _, places in parts])[order]
