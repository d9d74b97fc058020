"""*Pure.* The shards of a map: its frame, its names, the points of each shard of embeddings, and groups of tiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from clip_spark import storage
from clip_spark.analysis.map.frame import frame_base
from clip_spark.datasets.manifest import Manifest, file_of
from clip_spark.datasets.spec import fingerprint

FRAME_SHARD, NAMES_SHARD, FIRST_POINTS = 0, 1, 2
WITHOUT = "~"
"""In an identity: what follows tells of the rows that are left out."""
TILE_SHARD_POINTS = 250_000
"""Points of which one task makes tiles; it holds them in memory."""


@dataclass(frozen=True)
class PointShard:
    """One shard of embeddings, whose rows become the points of one shard of the map; picklable and small.

    Attributes:
        number: of the shard of the map.
        kind: image or text.
        owner: URI of the dataset.
        embeddings: URI of the file of vectors; empty if the shard has no rows.
        records: URI of the file of records.
        rows: of both.
        identity: of the shard of embeddings (Receipt.identity), whatever its place, and of what is left out of it.
        without: rows that stay off the map, rising.
    """

    number: int
    kind: str
    owner: str
    embeddings: str
    records: str
    rows: int
    identity: str
    without: tuple[int, ...] = ()

    @property
    def points(self) -> int:
        """Rows that are on the map."""
        return self.rows - len(self.without)

    def kept(self, rows: np.ndarray) -> np.ndarray:
        """*Pure.* Those of some rows (rising, int64) that are on the map."""
        return np.setdiff1d(rows, self.without, assume_unique=True) if self.without else rows


@dataclass(frozen=True)
class TileShard:
    """A group of tiles; `group` counts from 0."""

    number: int
    group: int


@dataclass(frozen=True)
class NamesShard:
    """The names of a map that was made without texts."""

    number: int


def frame_of(manifest: Manifest) -> str:
    """*Pure.* URI of the files of a map's frame without their endings."""
    return frame_base(manifest.uri, next(one for one in manifest.receipts if one.shard == FRAME_SHARD))


def point_shards(kind: str, embeddings: Manifest, first: int, left_out: Mapping[str, np.ndarray]) -> list[PointShard]:
    """*Pure.* One shard of the map for each shard of a set of embeddings.

    Args:
        kind: of its points.
        embeddings: the set.
        first: number of the first shard.
        left_out: URI of a file of records -> rows that stay off the map, rising, int64.
    """
    found = []
    for number, receipt in enumerate(embeddings.receipts, first):
        files = [file_of(receipt, folder) for folder in ("embeddings", "records")] if receipt.rows else []
        vectors, records = (storage.join(embeddings.uri, file) for file in files) if files else ("", "")
        without = tuple(left_out.get(records, np.empty(0, np.int64)).tolist())
        identity = f"{kind}:{receipt.identity}" + (f"{WITHOUT}{fingerprint(without)}" if without else "")
        found.append(PointShard(number, kind, embeddings.uri, vectors, records, receipt.rows, identity, without))
    return found


def whole_shard(identity: str) -> str:
    """*Pure.* The identity of a shard of embeddings, whatever of it is left out."""
    return identity.partition(WITHOUT)[0]


def tile_shards(rows: int, first: int) -> list[TileShard]:
    """*Pure.* As many groups of tiles as so many points need."""
    return [TileShard(first + group, group) for group in range(max(1, -(-rows // TILE_SHARD_POINTS)))]
