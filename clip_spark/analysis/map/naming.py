"""*Worker.* The texts nearest to each of some pictures, found shard by shard and merged: names of regions come of them.

A text that is near to every picture would name every region: so half of its mean cosine to the pictures that it is
nearest to is taken off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.analysis.map.frame import open_frame
from clip_spark.analysis.map.levels import Square
from clip_spark.analysis.map.names import NEAREST, OF_FINEST, best_names
from clip_spark.analysis.map.regions import Regions, find_regions
from clip_spark.analysis.map.sample import hashes, share_to_take
from clip_spark.analysis.map.shards import PointShard
from clip_spark.datasets import schema
from clip_spark.index.build.read_vectors import VectorFile, VectorReader

PICTURES = 10_000
"""Anchors that are asked, those with the smallest hashes."""
MOST_TEXTS = 1_000_000
"""More texts are not asked: a sample of them names regions as well."""
HUB, HUB_PICTURES = 0.5, 5
STEPS_OF_SCORE = 65_536
"""Cosines are compared in such steps; between equals a text's hash decides, not the last bits."""
BLOCK_ROWS = 2048


@dataclass(frozen=True)
class NearTexts:
    """The best texts of each picture so far.

    Attributes:
        keys: float64 (n, k), falling; -inf where there is no text.
        numbers: int64 (n, k), of `texts`; -1 for none.
        texts: those that are among the best of some picture.
    """

    keys: np.ndarray
    numbers: np.ndarray
    texts: list[str]

    def merged(self, other: NearTexts) -> NearTexts:
        """*Pure.* The best of both."""
        numbers = np.where(other.numbers >= 0, other.numbers + len(self.texts), -1)
        return best_of(
            np.hstack([self.keys, other.keys]), np.hstack([self.numbers, numbers]), [*self.texts, *other.texts]
        )

    def first(self, count: int) -> NearTexts:
        """*Pure.* The first so many of each picture."""
        return NearTexts(self.keys[:, :count], self.numbers[:, :count], self.texts)


def best_of(keys: np.ndarray, numbers: np.ndarray, texts: list[str]) -> NearTexts:
    """*Pure.* The NEAREST best of each row, and only the texts that are among them."""
    order = np.argsort(-keys, axis=1, kind="stable")[:, :NEAREST]
    numbers = np.take_along_axis(numbers, order, 1)
    known, new = np.unique(numbers[numbers >= 0], return_inverse=True)
    kept = np.full(numbers.shape, -1, np.int64)
    kept[numbers >= 0] = new
    return NearTexts(np.take_along_axis(keys, order, 1), kept, [texts[number] for number in known])


@dataclass(frozen=True)
class FindNearTexts:
    """*Worker.* The best texts of one shard for the pictures that are asked; picklable."""

    frame: str
    dim: int
    texts: int

    def __call__(self, shard: PointShard) -> NearTexts:
        """The best texts of a shard of embeddings."""
        frame = open_frame(self.frame)
        count = min(PICTURES, len(frame.places))
        found = NearTexts(np.empty((count, 0)), np.empty((count, 0), np.int64), [])
        if not shard.rows:
            return found
        pictures = _vectors(frame.index, count)
        for texts, hash_of, vectors in self._blocks(shard, frame.seed):
            keys = scores_without_hubs(pictures, vectors) + hash_of
            best = np.argpartition(-keys, min(NEAREST, keys.shape[1] - 1), axis=1)[:, :NEAREST]
            found = found.merged(best_of(np.take_along_axis(keys, best, 1), best, texts))
        return found

    def _blocks(self, shard: PointShard, seed: int) -> Iterator[tuple[list[str], np.ndarray, np.ndarray]]:
        with storage.open_read(shard.records) as stream:
            records = pq.read_table(stream, columns=[schema.RECORD_ID, "text"])
        hash_of = hashes(records.column(schema.RECORD_ID), seed)
        rows = shard.kept(np.flatnonzero(hash_of < share_to_take(self.texts, MOST_TEXTS)))
        reader = VectorReader([VectorFile(shard.embeddings, 0, shard.rows)], self.dim)
        for first, vectors in reader.blocks(rows=BLOCK_ROWS):
            mine = rows[(rows >= first) & (rows < first + len(vectors))]
            if len(mine):
                yield records.column("text").take(pa.array(mine)).to_pylist(), hash_of[mine], vectors[mine - first]


def scores_without_hubs(pictures: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """*Pure.* How near texts (float32 (t, d)) are to pictures (float32 (n, d)), in whole steps, float64 (n, t)."""
    scores = pictures @ texts.T
    some = min(HUB_PICTURES, len(pictures))
    hubs = np.partition(scores, len(pictures) - some, axis=0)[-some:].mean(axis=0)
    return np.floor((scores - HUB * hubs).astype(np.float64) * STEPS_OF_SCORE)


def merge(one: NearTexts, other: NearTexts) -> NearTexts:
    """*Worker.* For a tree of merges."""
    return one.merged(other)


def _vectors(index: Any, count: int) -> np.ndarray:
    """*Worker.* The first vectors of an inverted file, which finds them by number once it is told to."""
    index.make_direct_map()
    found: np.ndarray = index.reconstruct_n(0, count)
    return found


def regions_of(base: str) -> list[Regions]:
    """*Worker.* The regions of each zoom of the frame at `<base>.*`."""
    frame = open_frame(base)
    return find_regions(frame.square, frame.places, _vectors(frame.index, len(frame.places)))


def region_list(
    square: Square, zooms: Sequence[Regions], places: np.ndarray, near: NearTexts | None
) -> list[dict[str, Any]]:
    """*Pure.* The regions of each zoom for `regions.json`.

    Args:
        square: of zoom 0.
        zooms: regions, coarse to fine.
        places: of all anchors, float32 (n, 2).
        near: the nearest texts of the first of them; None leaves regions without names.
    """
    looked = [NEAREST] * (len(zooms) - 1) + [OF_FINEST]
    return [
        {"zoom": zoom, "regions": _described(square, regions, places, near and near.first(count))}
        for zoom, (regions, count) in enumerate(zip(zooms, looked, strict=True))
    ]


def _described(square: Square, regions: Regions, places: np.ndarray, near: NearTexts | None) -> list[dict[str, Any]]:
    of = regions.of(square, places)
    names: Mapping[int, list[int]] = {}
    if near is not None and near.texts:
        names = dict(enumerate(best_names(of[: len(near.numbers)], near.numbers, near.texts)))
    found = []
    for number in range(len(regions.peaks)):
        mine = places[of == number]
        centre = np.median(mine, axis=0)
        words = [near.texts[text] for text in names.get(number, [])] if near is not None else []
        found.append(
            {
                "name": words[0] if words else "",
                "also": words[1:],
                "x": round(float(centre[0]), 4),
                "y": round(float(centre[1]), 4),
                "share": round(len(mine) / len(places), 5),
            }
        )
    return found
