"""*Worker.* The fit of a map: tasks send the rows that may be anchors, one task fits them and writes the frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.analysis.map.fit import fit, graph_size
from clip_spark.analysis.map.frame import KINDS, PICTURE, TEXT, Frame, locate, write_frame
from clip_spark.analysis.map.levels import Square, make_levels
from clip_spark.analysis.map.measures import far_limit, fit_figures, share_within
from clip_spark.analysis.map.neighbours import build_lists, graph
from clip_spark.analysis.map.place import kernel_width
from clip_spark.analysis.map.sample import hashes, share_to_take, smallest
from clip_spark.analysis.map.shards import FRAME_SHARD, PointShard
from clip_spark.datasets import schema
from clip_spark.datasets.receipt import has_receipt
from clip_spark.datasets.shards import ShardWriter
from clip_spark.errors import InputError
from clip_spark.index.build.read_vectors import VectorFile, VectorReader


@dataclass(frozen=True)
class Sampled:
    """Rows of one shard that may be in the sample: hashes float64 (m,), ids, vectors float32 (m, d)."""

    kind: str
    hashes: np.ndarray
    ids: list[str]
    vectors: np.ndarray


@dataclass(frozen=True)
class TakeSample:
    """*Worker.* The rows of a shard whose hashes are small enough; picklable.

    Attributes:
        rows: kind -> rows of the whole set.
        wanted: rows of each kind in the sample.
        seed: of the hashes.
        dim: d of the vectors.
    """

    rows: Mapping[str, int]
    wanted: int
    seed: int
    dim: int

    def __call__(self, shard: PointShard) -> Iterator[Sampled]:
        """At most one part; only the row groups that hold some of it are read."""
        if not shard.rows:
            return
        with storage.open_read(shard.embeddings) as stream:
            ids = pq.read_table(stream, columns=[schema.RECORD_ID]).column(0)
        found = hashes(ids, self.seed)
        rows = shard.kept(np.flatnonzero(found < share_to_take(self.rows[shard.kind], self.wanted)))
        if len(rows):
            reader = VectorReader([VectorFile(shard.embeddings, 0, shard.rows)], self.dim)
            yield Sampled(shard.kind, found[rows], ids.take(pa.array(rows)).to_pylist(), reader.take(rows))


@dataclass(frozen=True)
class FitFrame:
    """*Worker.* Fits the sample of pictures and writes the frame; picklable, called with all parts of it."""

    output: str
    plan: str
    method: str
    wanted: int
    seed: int
    rows: Mapping[str, int]
    shards: int

    def __call__(self, parts: Iterable[Sampled]) -> Iterator[int]:
        """Write the frame, unless a task has done so; gives the number of anchors."""
        if has_receipt(self.output, FRAME_SHARD):
            return
        by_kind: dict[str, list[Sampled]] = {kind: [] for kind in KINDS}
        for part in parts:
            by_kind[part.kind].append(part)
        ids, vectors = together(by_kind[PICTURE], self.wanted)
        if len(np.unique(vectors, axis=0)) < 3:
            raise InputError("Of the pictures hardly any differ from each other; there is no map to be made of them.")
        with ShardWriter(self.output, self.plan, FRAME_SHARD, {}) as writer:
            with writer.watch("fit"):
                frame = self.fitted(ids, vectors, together(by_kind[TEXT], self.wanted)[1])
            writer.counters["anchors"] = len(ids)
            write_frame(writer, frame)
            writer.finish()
        yield len(ids)

    def fitted(self, ids: list[str], vectors: np.ndarray, texts: np.ndarray) -> Frame:
        """*Worker.* The frame of anchors, given by their hashes; texts (float32 (t, d)) are a sample, or none."""
        index = build_lists(vectors, self.seed)
        scores, numbers = graph(index, vectors, graph_size(self.method, len(vectors)))
        places = fit(self.method, vectors, (scores, numbers), self.seed)
        width = kernel_width(places, numbers)
        square, figures = Square.around(places), fit_figures(scores, numbers, places, width)
        levels, far = {PICTURE: make_levels(square, places, self.rows[PICTURE])}, {PICTURE: far_limit(scores[:, 0])}
        if len(texts):
            placed, near, _ = locate(index, places, texts, width)
            levels[TEXT], far[TEXT] = make_levels(square, placed, self.rows[TEXT]), far_limit(near[:, 0])
            figures["best_text_near"] = round(best_texts_near(vectors, places, texts, placed), 4)
        return Frame(
            ids=pa.array(ids),
            places=places,
            index=index,
            square=square,
            width=width,
            seed=self.seed,
            levels=levels,
            far=far,
            rows=self.rows,
            shards=self.shards,
            figures=figures,
        )


def together(parts: list[Sampled], wanted: int) -> tuple[list[str], np.ndarray]:
    """*Pure.* Ids and vectors (float32 (m, d)) of the `wanted` smallest hashes, in their order."""
    if not parts:
        return [], np.empty((0, 0), np.float32)
    ids = [name for part in parts for name in part.ids]
    order = smallest(np.concatenate([part.hashes for part in parts]), ids, wanted)
    return [ids[row] for row in order], np.concatenate([part.vectors for part in parts])[order]


def best_texts_near(vectors: np.ndarray, places: np.ndarray, texts: np.ndarray, placed: np.ndarray) -> float:
    """*Worker.* How many of some pictures have their best text of a sample among the nearest 1 % of it on the map.

    Args:
        vectors: of anchors, float32 (n, d).
        places: of anchors, float32 (n, 2).
        texts: vectors of the sample of texts, float32 (t, d).
        placed: their places, float32 (t, 2).
    """
    asked = slice(0, 1000)
    best = (vectors[asked] @ texts.T).argmax(axis=1)
    return share_within(placed[best], places[asked], placed)
