"""*Driver.* export-map: the points of a map as one file for other programs; streamed, without Spark.

CSV has the columns of points/. The parquet has them too, and what embedding-atlas reads beside them: `neighbors`, and
with --pictures `image`.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator, Mapping
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.analysis.map.export_spec import CSV, ExportMapSpec
from clip_spark.analysis.map.frame import PICTURE, Frame, open_frame
from clip_spark.analysis.map.points import POINTS
from clip_spark.analysis.map.shards import frame_of, whole_shard
from clip_spark.datasets import schema
from clip_spark.datasets.manifest import Manifest, file_of, read_manifest
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.sources import read_sources
from clip_spark.errors import ClipSparkError, InputError
from clip_spark.index.build.read_vectors import VectorFile, VectorReader
from clip_spark.pictures.stored import has_picture
from clip_spark.runtime.ahead import map_ordered
from clip_spark.search.contact_sheet import thumbnail

log = logging.getLogger(__name__)

BLOCK_ROWS = 8192
THREADS, AHEAD = 8, 64
NEIGHBORS = pa.struct([("ids", pa.list_(pa.int64())), ("distances", pa.list_(pa.float32()))])
THUMBNAIL = pa.struct([("bytes", pa.binary())])
"""As embedding-atlas names and reads them: ids are numbers of rows of the file, from 0; distances are 1 - cosine."""


def export_map(spec: ExportMapSpec) -> int:
    """*Driver.* Write the file, in the order of the map's shards; returns the number of rows.

    Raises:
        InputError: there is no map, or the embeddings that it was made of are not there any more.
    """
    manifest = read_manifest(spec.map, "map")
    columns = _columns(manifest)
    with storage.open_write(spec.output) as stream:
        if spec.ending == CSV:
            return _write_csv(stream, _blocks(manifest), columns)
        return write_atlas(stream, manifest, spec.pictures)


def _shards(manifest: Manifest) -> list[Receipt]:
    """Those with points."""
    return [receipt for receipt in manifest.receipts if file_of(receipt, POINTS) and receipt.rows]


def _columns(manifest: Manifest) -> pa.Schema:
    with storage.open_read(manifest.files(POINTS)[0]) as stream:
        return pq.read_schema(stream)


def _blocks(manifest: Manifest) -> Iterator[pa.Table]:
    """All points, a part of a shard at a time."""
    for receipt in _shards(manifest):
        with storage.open_read(storage.join(manifest.uri, file_of(receipt, POINTS))) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(BLOCK_ROWS):
                yield pa.Table.from_batches([batch])


def _write_csv(stream: IO[bytes], blocks: Iterator[pa.Table], columns: pa.Schema) -> int:
    """Lists and objects become JSON: a cell of CSV holds no more than a text."""
    nested = [field.name for field in columns if pa.types.is_nested(field.type)]
    flat = pa.schema([pa.field(f.name, pa.string() if f.name in nested else f.type) for f in columns])
    rows = 0
    with pa_csv.CSVWriter(stream, flat) as writer:
        for block in blocks:
            found = {name: block[name] for name in block.column_names}
            found |= {name: pa.array([_as_json(value) for value in block[name].to_pylist()]) for name in nested}
            writer.write_table(pa.table(found).cast(flat))
            rows += block.num_rows
    return rows


def _as_json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, default=str)


def write_atlas(
    stream: IO[bytes], manifest: Manifest, pictures: bool = False, gone: frozenset[str] = frozenset()
) -> int:
    """*Driver.* The points as embedding-atlas reads them, without some records; returns the number of rows."""
    frame = open_frame(frame_of(manifest))
    row_of = _rows_of_anchors(manifest, frame, gone)
    wanted = pa.schema([*_columns(manifest), ("neighbors", NEIGHBORS), *([("image", THUMBNAIL)] if pictures else [])])
    rows = 0
    with pq.ParquetWriter(stream, wanted, compression="zstd") as writer:
        for whole, vectors in zip(_blocks(manifest), _vector_blocks(manifest), strict=True):
            kept = _kept(whole, gone)
            block = whole.filter(pa.array(kept))
            if not block.num_rows:
                continue
            found = {name: block[name] for name in block.column_names}
            own = np.arange(rows, rows + block.num_rows)
            found["neighbors"] = _neighbors(frame, vectors[kept], row_of, own)
            if pictures:
                found["image"] = _thumbnails(block)
            writer.write_table(pa.table(found, schema=wanted))
            rows += block.num_rows
            log.info("%s of %s points", f"{rows:,}", f"{manifest.rows:,}")
    return rows


def _kept(block: pa.Table, gone: frozenset[str]) -> np.ndarray:
    """Which rows are not among those, bool (n,)."""
    ids = block[schema.RECORD_ID].to_pylist() if gone else ()
    return np.array([name not in gone for name in ids], bool) if gone else np.ones(block.num_rows, bool)


def _rows_of_anchors(manifest: Manifest, frame: Frame, gone: frozenset[str]) -> np.ndarray:
    """The row of the export that each anchor has, int64 (n,); -1 for those that are gone from the map."""
    found, row = np.full(len(frame.ids), -1), 0
    for whole in _blocks(manifest):
        block = whole.filter(pa.array(_kept(whole, gone)))
        if not block.num_rows:
            continue
        if block["kind"][0].as_py() == PICTURE:
            anchors = frame.own(block[schema.RECORD_ID].combine_chunks())
            found[anchors[anchors >= 0]] = row + np.flatnonzero(anchors >= 0)
        row += block.num_rows
    return found


def _vector_blocks(manifest: Manifest) -> Iterator[np.ndarray]:
    """The vectors behind the blocks of points, float32 (m, d)."""
    for receipt, uri in zip(_shards(manifest), _embedding_files(manifest), strict=True):
        with storage.open_read(storage.join(manifest.uri, file_of(receipt, POINTS))) as stream:
            ids = pq.read_table(stream, columns=[schema.RECORD_ID]).column(0)
        with storage.open_read(uri) as stream:
            held = pq.read_table(stream, columns=[schema.RECORD_ID]).column(0)
        rows = pc.index_in(ids, value_set=held).to_numpy()  # some of the shard may have been taken down
        reader = VectorReader([VectorFile(uri, 0, len(held))], manifest.extra["dim"])
        yield from (reader.take(rows[at : at + BLOCK_ROWS]) for at in range(0, len(rows), BLOCK_ROWS))


def _embedding_files(manifest: Manifest) -> list[str]:
    """The files of vectors of the shards with points, in their order."""
    sources = read_sources(manifest)
    known = {row["shard"]: row for row in sources.to_pylist()} if sources is not None else {}
    files: dict[str, dict[str, str]] = {}
    found = []
    for receipt in _shards(manifest):
        owner, identity = known[receipt.shard]["stamp"], whole_shard(known[receipt.shard]["source"])
        if owner not in files:
            files[owner] = _files_of(owner)
        if identity not in files[owner]:
            raise InputError(
                f"The neighbours are read from the embeddings, and '{owner}' has changed since the map "
                f"'{manifest.uri}' was made; bring it up to date with make-map first, or export CSV."
            )
        found.append(files[owner][identity])
    return found


def _files_of(owner: str) -> dict[str, str]:
    """Identity of each shard of a set of embeddings, as a map notes it -> URI of its vectors."""
    try:
        held = read_manifest(owner, "embeddings")
    except (ClipSparkError, OSError) as error:
        raise InputError(
            f"The neighbours are read from the embeddings that the map was made of: {error} CSV needs none of them."
        ) from error
    kind = held.extra["modality"]
    return {
        f"{kind}:{receipt.identity}": storage.join(held.uri, file_of(receipt, "embeddings"))
        for receipt in held.receipts
        if receipt.rows
    }


def _neighbors(frame: Frame, vectors: np.ndarray, row_of: np.ndarray, own: np.ndarray) -> pa.Array:
    """The nearest anchors of some rows, without themselves and without those that are gone from the map."""
    _, scores, numbers = frame.locate(vectors)
    rows = row_of[numbers]
    kept = (rows >= 0) & (rows != own[:, None])
    kept[:, 1:] &= rows[:, 1:] != rows[:, :-1]  # the first stands in where lists held too few
    offsets = pa.array(np.concatenate([[0], kept.sum(axis=1).cumsum()]).astype(np.int32))
    lists = (pa.array(rows[kept]), pa.array((1 - scores[kept]).clip(0).astype(np.float32)))
    return pa.StructArray.from_arrays(
        [pa.ListArray.from_arrays(offsets, each) for each in lists], fields=list(NEIGHBORS)
    )


def _thumbnails(block: pa.Table) -> pa.Array:
    """Thumbnails; null for texts, and for pictures that cannot be read."""
    names = [name for name in ("uri", "offset", "size") if name in block.column_names]
    small = map_ordered(_thumbnail, block.select(names).to_pylist(), THREADS, AHEAD)
    return pa.array([{"bytes": data} if data else None for data in small], THUMBNAIL)


def _thumbnail(record: Mapping[str, Any]) -> bytes:
    small = thumbnail(record) if has_picture(record) else None
    if small is None:
        return b""
    data = io.BytesIO()
    small.save(data, "WEBP", quality=80)
    return data.getvalue()
