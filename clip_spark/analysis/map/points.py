"""*Worker.* The points of one shard of embeddings: places, levels, and what a person wants to read of a record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.analysis.map.frame import PICTURE, Frame, open_frame
from clip_spark.analysis.map.sample import hashes
from clip_spark.analysis.map.shards import PointShard
from clip_spark.analysis.map.spec import MapSpec
from clip_spark.datasets import schema
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.record_schema import unify
from clip_spark.datasets.shards import ShardWriter
from clip_spark.errors import SpecError
from clip_spark.index.build.read_vectors import VectorFile, VectorReader
from clip_spark.runtime.row_counts import count_rows

POINTS = "points"
BLOCK_ROWS = 8192
FIXED = pa.schema(
    [
        (schema.RECORD_ID, pa.string()),
        ("kind", pa.string()),
        ("x", pa.float32()),
        ("y", pa.float32()),
        ("level", pa.uint8()),
        ("text", pa.string()),
        ("uri", pa.string()),
        ("offset", pa.int64()),
        ("size", pa.int64()),
    ]
)
"""Of every map. `text` is a picture's caption; offset and size say where in its tar a picture lies. More columns come
from the records, as --columns names them."""


def points_schema(shards: Sequence[PointShard], spec: MapSpec) -> pa.Schema:
    """*Driver.* The columns of the points: those of every map, and those that --columns names.

    Raises:
        SpecError: no record has such a column, or every map has one of that name.
        InputError: pictures and texts have it in types that do not go together.
    """
    first = {shard.owner: shard for shard in reversed(shards) if shard.rows}
    known = unify([(owner, _schema_of(shard.records)) for owner, shard in first.items()])
    schema.check_columns(spec.columns, known.names)
    taken = [name for name in spec.columns if name in FIXED.names]
    if taken:
        raise SpecError(f"--columns names '{taken[0]}', which every map has by itself; leave it out.")
    return pa.schema([*FIXED, *(known.field(name) for name in dict.fromkeys(spec.columns))])


def _schema_of(uri: str) -> pa.Schema:
    with storage.open_read(uri) as stream:
        return pq.read_schema(stream)


@dataclass(frozen=True)
class PlacePoints:
    """*Worker.* Places one shard; picklable.

    Attributes:
        output: URI where the run writes.
        plan: fingerprint.
        frame: URI of the frame without its ending.
        dim: d of the vectors.
        columns: of the points file.
    """

    output: str
    plan: str
    frame: str
    dim: int
    columns: pa.Schema

    def __call__(self, shard: PointShard) -> Receipt:
        """Write the points of one shard, in the order of its records."""
        frame = open_frame(self.frame)
        with ShardWriter(self.output, self.plan, shard.number, {POINTS: self.columns}) as writer:
            for records, vectors in self._blocks(shard):
                with writer.watch("place"):
                    table, best, anchors = points_of(frame, shard.kind, records, vectors, self.columns)
                writer.write(POINTS, table)
                added = anchors < 0
                writer.counters[f"placed_{shard.kind}"] += int(added.sum())
                writer.counters[f"far_{shard.kind}"] += int((added & (best < frame.far.get(shard.kind, -1.0))).sum())
                writer.counters[f"rows_{shard.kind}"] += len(vectors)
                count_rows(len(vectors))
            return writer.finish()

    def _blocks(self, shard: PointShard) -> Iterator[tuple[pa.Table, np.ndarray]]:
        if not shard.rows:
            return
        with storage.open_read(shard.records) as stream:
            file = pq.ParquetFile(stream)
            wanted = {"text", "caption", *self.columns.names}
            records = file.read(columns=[name for name in file.schema_arrow.names if name in wanted])
        reader = VectorReader([VectorFile(shard.embeddings, 0, shard.rows)], self.dim)
        for first, vectors in reader.blocks(rows=BLOCK_ROWS):
            rows = shard.kept(np.arange(first, first + len(vectors)))
            yield records.take(pa.array(rows)), vectors[rows - first]


def points_of(
    frame: Frame, kind: str, records: pa.Table, vectors: np.ndarray, columns: pa.Schema
) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """*Worker.* Rows of a points file.

    Args:
        frame: of the map.
        kind: image or text.
        records: with `record_id`, and of the other columns those that there are.
        vectors: of the same rows, float32 (m, d).
        columns: of the table that comes out.

    Returns:
        the table; the cosine of each row to its nearest anchor, float32 (m,); the anchor that each row is, or -1.
    """
    places, scores, _ = frame.locate(vectors)
    ids = records.column(schema.RECORD_ID).combine_chunks()
    own = frame.own(ids) if kind == PICTURE else np.full(len(ids), -1)
    places[own >= 0] = frame.places[own[own >= 0]]
    levels = frame.levels.get(kind, frame.levels[PICTURE])  # texts may come to a map that was fitted without any
    shown = levels.of(frame.square, places, hashes(ids, frame.seed))
    found = {
        schema.RECORD_ID: ids,
        "kind": pa.array([kind] * len(ids), pa.string()),
        "x": pa.array(places[:, 0]),
        "y": pa.array(places[:, 1]),
        "level": pa.array(shown),
        "text": _column(records, "text" if kind != PICTURE else "caption"),
        **{name: _column(records, name) for name in ("uri", "offset", "size")},
    }
    values = [found[field.name] if field.name in found else _column(records, field.name) for field in columns]
    table = pa.table([_cast(value, field) for value, field in zip(values, columns, strict=True)], schema=columns)
    return table, scores[:, 0], own


def _column(records: pa.Table, name: str) -> pa.Array:
    if name not in records.column_names:
        return pa.nulls(records.num_rows)
    return records.column(name).combine_chunks()


def _cast(value: pa.Array, field: pa.Field) -> pa.Array:
    return value if value.type == field.type else value.cast(field.type, safe=False)
