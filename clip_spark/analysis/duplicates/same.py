"""*Worker.* First pass: records that are one thing, found without comparing any two; only the best of them goes on.

    task of a shard --(key of each record)--> by key: the best, and the others --> the shards of these

The key of a record is the crowd that it lies in, else the hash of its picture where a column has one, else its vector.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from clip_spark.analysis.duplicates.cells import split_by
from clip_spark.analysis.duplicates.cells_file import open_cells
from clip_spark.analysis.duplicates.order import Order
from clip_spark.analysis.duplicates.shards import Shard, ShardSet
from clip_spark.pictures.download.pdq import low_bits

HASHES = ("pdq", "sha256")
"""Columns of pictures that download-images stored, in the order in which one is taken."""
KEY_BYTES = 16
CROWD, PICTURE, VECTOR = KINDS = (b"c", b"p", b"v")


@dataclass(frozen=True)
class Keys:
    """Keys of some records: bytes (n,) as numpy has them, values float64 (n,), positions int64 (n,)."""

    keys: np.ndarray
    values: np.ndarray
    positions: np.ndarray


@dataclass(frozen=True)
class Thing:
    """What several records are: the position of the best, those of the others (int64 (m,)), and if it is a crowd."""

    best: int
    others: np.ndarray
    crowd: bool


@dataclass(frozen=True)
class Taken:
    """Positions, int64 (m,), of one shard whose records go no further: others stand for them."""

    positions: np.ndarray


@dataclass(frozen=True)
class ReadKeys:
    """*Worker.* The keys of a shard by the task that compares them; picklable."""

    cells: str
    dim: int
    order: Order
    tasks: int

    def __call__(self, shard: Shard) -> Iterator[tuple[int, Keys]]:
        """(Number of the task, keys)."""
        if not shard.rows:
            return
        cells, values, hashes = open_cells(self.cells), self.order.values(shard), picture_hashes(shard)
        for first, vectors in shard.reader(self.dim).blocks():
            at = first - shard.start
            keys = np.array(
                [
                    key_of(int(hub), hashes[row] if hashes else "", vector)
                    for row, (hub, vector) in enumerate(zip(cells.hub_of(vectors), vectors, strict=True), at)
                ],
                f"S{KEY_BYTES + 1}",
            )
            owners = keys.view(np.uint8).reshape(len(keys), -1)[:, 1:5].copy().view(np.uint32)[:, 0] % self.tasks
            for task, rows in split_by(owners, np.arange(len(keys))):
                yield task, Keys(keys[rows], values[at + rows], first + rows)


def picture_hashes(shard: Shard) -> list[str]:
    """*Worker.* The hash of each record's picture, empty where it has none; nothing where no column has any."""
    table = shard.columns(HASHES)
    found = [[text if isinstance(text, str) else "" for text in table[name].to_pylist()] for name in HASHES]
    return [
        f"pdq {low}" if low else sha and f"sha256 {sha}" for low, sha in zip(map(_low, found[0]), found[1], strict=True)
    ]


def _low(digest: str) -> str:
    """*Pure.* The part of a perceptual hash that is the same in near copies; empty where it is none."""
    return low_bits(digest).hex() if len(digest) == 64 and set(digest) <= set("0123456789abcdef") else ""


def key_of(hub: int, picture: str, vector: np.ndarray) -> bytes:
    """*Pure.* The key of one record; its last byte is none that numpy would cut off."""
    kind, content = (
        (CROWD, str(hub).encode())
        if hub >= 0
        else (PICTURE, picture.encode())
        if picture
        else (VECTOR, vector.tobytes())
    )
    return kind + hashlib.blake2b(content, digest_size=KEY_BYTES - 1).digest() + b"."


@dataclass(frozen=True)
class FindThings:
    """*Worker.* Things of several records, for the task of the best; and for all shards what goes no further."""

    shards: ShardSet

    def __call__(self, parts: Iterable[tuple[int, Keys]]) -> Iterator[tuple[int, Thing | Taken]]:
        """(Number of the task of a shard, what it must know)."""
        found = [keys for _, keys in parts]
        if not found:
            return
        keys, values, positions = (
            np.concatenate([getattr(one, name) for one in found]) for name in ("keys", "values", "positions")
        )
        order = np.lexsort((positions, -values, keys))
        keys, positions = keys[order], positions[order]
        starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        ends = np.append(starts[1:], len(keys))
        for start, end in zip(starts[ends - starts > 1], ends[ends - starts > 1], strict=True):
            thing = Thing(int(positions[start]), np.sort(positions[start + 1 : end]), keys[start][:1] == CROWD)
            yield int(self.shards.owners(positions[start : start + 1])[0] % self.shards.tasks), thing
        others = np.delete(positions, starts)
        for task, mine in split_by(self.shards.owners(others) % self.shards.tasks, others):
            yield task, Taken(mine)
