"""*Pure.* The shards of a map: its frame, its names, the points of each shard of embeddings, and groups of tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clip_spark import storage
from clip_spark.analysis.map.frame import KINDS, frame_base
from clip_spark.datasets.manifest import Manifest, file_of

FRAME_SHARD, NAMES_SHARD, FIRST_POINTS = 0, 1, 2
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
        identity: of the shard of embeddings (Receipt.identity), whatever its place.
    """

    number: int
    kind: str
    owner: str
    embeddings: str
    records: str
    rows: int
    identity: str


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


def point_shards(sets: Sequence[Manifest], first: int = FIRST_POINTS) -> list[PointShard]:
    """*Pure.* One shard for each shard of some sets of embeddings, of pictures and of texts, numbered in this order."""
    found = [
        (kind, manifest, receipt) for kind, manifest in zip(KINDS, sets, strict=False) for receipt in manifest.receipts
    ]
    return [
        PointShard(
            number=number,
            kind=kind,
            owner=manifest.uri,
            embeddings=storage.join(manifest.uri, file_of(receipt, "embeddings")) if receipt.rows else "",
            records=storage.join(manifest.uri, file_of(receipt, "records")) if receipt.rows else "",
            rows=receipt.rows,
            identity=f"{kind}:{receipt.identity}",
        )
        for number, (kind, manifest, receipt) in enumerate(found, first)
    ]


def tile_shards(rows: int, first: int) -> list[TileShard]:
    """*Pure.* As many groups of tiles as so many points need."""
    return [TileShard(first + group, group) for group in range(max(1, -(-rows // TILE_SHARD_POINTS)))]
