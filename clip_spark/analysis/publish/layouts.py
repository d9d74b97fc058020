"""*Driver.* The files of a publication, by the layout of the tool that is to read them.

fondant          data/part-00000.parquet (id, url, embedding, ...), faiss, id_mapping/part-00000000.parquet (url, i)
clip-retrieval   image.index or text.index, metadata/metadata_00000.parquet (image_path, url, caption, ...), image.json
webdataset       00000.tar (000000000.jpg, .txt, .json with the tags, .npy with the vector)
lancedb          vectors.lance/, a table with the records and `vector`
usearch          vectors.usearch beside fondant's data/: key i is row i
embedding-atlas  atlas.parquet: the places of a map with neighbours, as export-map writes it
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clip_spark.analysis.map.export import write_atlas
from clip_spark.analysis.publish.contents import Contents
from clip_spark.analysis.publish.other_engines import TABLE, lance_files, write_usearch
from clip_spark.analysis.publish.spec import ATLAS, CLIP_RETRIEVAL, FONDANT, LANCEDB, USEARCH, WEBDATASET
from clip_spark.analysis.publish.tags import TagsByPicture
from clip_spark.analysis.publish.webdataset import write_tar
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.schema import RECORD_ID
from clip_spark.index.files.part_writer import HashingStream, write_faiss
from clip_spark.pictures.stored import is_web_address

Write = Callable[[IO[bytes]], None]
TAR_ROWS = 10_000
"""Of a webdataset, as img2dataset has it."""


@dataclass(frozen=True)
class Source:
    """*Driver.* What is published: an index, and what goes with it.

    Attributes:
        tags: of its pictures, for a webdataset.
        map: with its places, for embedding-atlas.
    """

    contents: Contents
    tags: TagsByPicture | None = None
    map: Manifest | None = None


def files(source: Source, layout: str, file_rows: int) -> dict[str, Write]:
    """*Driver.* Path of each file -> what writes it, in the order in which they are written."""
    contents = source.contents
    if layout == CLIP_RETRIEVAL:
        return _clip_retrieval(contents, file_rows)
    if layout == WEBDATASET:
        return _webdataset(source, file_rows)
    if layout == USEARCH:
        return {**_data_files(contents, file_rows), "vectors.usearch": partial(write_usearch, contents=contents)}
    if layout == ATLAS and source.map is not None:
        return {"atlas.parquet": partial(_write_atlas, manifest=source.map, gone=contents.removed)}
    return _fondant(contents, file_rows) if layout == FONDANT else {}


def folders(source: Source, layout: str) -> dict[str, Callable[[], Iterator[tuple[str, str]]]]:
    """*Driver.* Folders whose files only another library can name -> what makes them on this disk: (path, place)."""
    return {f"{TABLE}.lance": partial(lance_files, source.contents)} if layout == LANCEDB else {}


def _webdataset(source: Source, file_rows: int) -> dict[str, Write]:
    bounds = enumerate(_bounds(source.contents, min(file_rows, TAR_ROWS)))
    return {
        f"{number:05d}.tar": partial(
            write_tar, contents=source.contents, start=start, stop=stop, tags=source.tags
        )
        for number, (start, stop) in bounds
    }  # fmt: skip


def _write_atlas(stream: IO[bytes], manifest: Manifest, gone: frozenset[str]) -> None:
    write_atlas(stream, manifest, gone=gone)


def _data_files(contents: Contents, file_rows: int) -> dict[str, Write]:
    return {
        f"data/part-{number:05d}.parquet": _table_writer(contents, start, stop, _data)
        for number, (start, stop) in enumerate(_bounds(contents, file_rows))
    }


def _bounds(contents: Contents, file_rows: int) -> list[tuple[int, int]]:
    rows = len(contents.positions)
    return [(start, min(rows, start + file_rows)) for start in range(0, rows, file_rows)]


def _clip_retrieval(contents: Contents, file_rows: int) -> dict[str, Write]:
    kind, bounds = contents.info.modality, _bounds(contents, file_rows)
    found: dict[str, Write] = {
        f"metadata/metadata_{number:05d}.parquet": _table_writer(contents, start, stop, _metadata)
        for number, (start, stop) in enumerate(bounds)
    }
    return {**found, f"{kind}.json": _infos_writer(contents), f"{kind}.index": _index_writer(contents)}


def _fondant(contents: Contents, file_rows: int) -> dict[str, Write]:
    mapping = {
        f"id_mapping/part-{number:08d}.parquet": _table_writer(contents, start, stop, _mapping)
        for number, (start, stop) in enumerate(_bounds(contents, file_rows))
    }
    tables = {**_data_files(contents, file_rows), **mapping}
    return {**tables, "index_infos.json": _infos_writer(contents), "faiss": _index_writer(contents)}


def _table_writer(contents: Contents, start: int, stop: int, make: Callable[[Contents, int, int], pa.Table]) -> Write:
    """Rows as one parquet file, a block at a time."""

    def write(stream: IO[bytes]) -> None:
        writer = None
        for first, last in contents.blocks(start, stop):
            table = make(contents, first, last)
            writer = writer or pq.ParquetWriter(stream, table.schema, compression="zstd")
            writer.write_table(table)
        if writer is not None:
            writer.close()

    return write


def _metadata(contents: Contents, start: int, stop: int) -> pa.Table:
    """Records under clip-retrieval's names, their own columns beside them."""
    records = contents.records(start, stop)
    columns: dict[str, Any] = {}
    if "uri" in records.column_names:
        uris = records.column("uri").to_pylist()
        # Its server looks whether this is a file: a null there is an error of all hits.
        columns["image_path"] = pa.array(["" if is_web_address(uri or "") else uri or "" for uri in uris], pa.string())
        columns["url"] = pa.array([uri if is_web_address(uri or "") else None for uri in uris], pa.string())
    texts = [records.column(name) for name in ("caption", "text") if name in records.column_names]
    columns["caption"] = pc.coalesce(*texts) if texts else pa.nulls(records.num_rows, pa.string())
    return _with_own(columns, records)


def _data(contents: Contents, start: int, stop: int) -> pa.Table:
    """Records with their vectors, as fondant's data set has them."""
    records, vectors = contents.records(start, stop), contents.vectors(start, stop)
    values = pa.array(np.ascontiguousarray(vectors, np.float32).reshape(-1))
    columns = {"id": records.column(RECORD_ID), "url": _address(records)}
    columns["embedding"] = pa.FixedSizeListArray.from_arrays(values, contents.info.dim).cast(pa.list_(pa.float32()))
    return _with_own(columns, records)


def _mapping(contents: Contents, start: int, stop: int) -> pa.Table:
    records = contents.records(start, stop)
    return pa.table({"url": _address(records), "i": pa.array(np.arange(start, stop, dtype=np.int64))})


def _address(records: pa.Table) -> pa.ChunkedArray | pa.Array:
    known = "uri" in records.column_names
    return records.column("uri").cast(pa.string()) if known else pa.nulls(records.num_rows, pa.string())


def _with_own(columns: Mapping[str, Any], records: pa.Table) -> pa.Table:
    """*Pure.* The columns that a tool asks for, then those of the records that it has not."""
    own = {name: records.column(name) for name in records.column_names if name not in {*columns, "uri"}}
    return pa.table({**columns, **own})


def _index_writer(contents: Contents) -> Write:
    def write(stream: IO[bytes]) -> None:
        write_faiss(contents.faiss_index(), stream if isinstance(stream, HashingStream) else HashingStream(stream))

    return write


def _infos_writer(contents: Contents) -> Write:
    """What autofaiss writes beside an index, as far as it is known here."""
    info = contents.info
    found = {
        "index_key": info.key,
        "index_param": f"nprobe={info.settings.nprobe}",
        "nb vectors": len(contents.positions),
    }
    found |= {"vectors dimension": info.dim, "metric": info.metric, **info.measured}

    def write(stream: IO[bytes]) -> None:
        stream.write((json.dumps(found, indent=1) + "\n").encode())

    return write
