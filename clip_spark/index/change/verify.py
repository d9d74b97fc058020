"""*Driver.* Proof that removed records are erased: no id, text or vector of theirs in any file of the index, nor in
this machine's copies. Thumbnails live in a server's memory only, and it asks for the record first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clip_spark import storage
from clip_spark.datasets import schema
from clip_spark.datasets.manifest import Manifest
from clip_spark.errors import DatasetError
from clip_spark.index.change.replaced import read_replaced
from clip_spark.index.files.layout import IndexInfo
from clip_spark.index.files.part_writer import stored_ids
from clip_spark.index.open.parts import open_part
from clip_spark.index.open.records import RecordReader
from clip_spark.index.open.vectors import VectorStore
from clip_spark.storage.local_cache import cache_folder

ARROW = b"ARROW1"
SHOWN = 3
OF_VECTORS = re.compile(r"(?:^|/)(?:part-\d{3,}\.index|\d{5}(\d{3})?\.f16)\Z|^building/[0-9a-f]{8}/")


def verify_erased(manifest: Manifest, info: IndexInfo, record_ids: Sequence[str]) -> int:
    """*Driver.* Look into every file of records below an index, of generations that were replaced too, and into this
    machine's copies; look for the positions of erased records in the parts and the vectors that are served, and for
    parts and vectors that the index does not name: whose they are cannot be seen.

    Returns:
        how many positions of the index are proven to be empty.

    Raises:
        DatasetError: something is left; the message names the first files.
    """
    uri, positions = manifest.uri, _empty(manifest.uri, info)
    found = [*_files_with(uri, record_ids), *_vectors_at(uri, info, positions), *_unnamed(manifest)]
    if info.other is not None:
        found += _vectors_at(uri, info.other.info, _empty(uri, info.other.info))
    left = list(dict.fromkeys(found))
    if left:
        raise DatasetError(
            f"Removed records are still in {len(left)} files, such as {', '.join(left[:SHOWN])}. "
            "Erase them with --compact; files that were replaced go with `clip-spark clean --older-than 0 --delete`, "
            "and copies of them may be deleted when no search has them open."
        )
    return len(positions)


def _empty(uri: str, info: IndexInfo) -> np.ndarray:
    """Positions of the records that are erased, int64."""
    records = RecordReader(uri, info.records, info.columns)
    empty = [start + np.flatnonzero(_nulls(batch)).astype(np.int64) for start, batch in records.batches()]
    return np.concatenate([np.empty(0, np.int64), *empty])


def _nulls(batch: pa.RecordBatch) -> np.ndarray:
    return pc.is_null(batch.column(schema.RECORD_ID)).to_numpy(zero_copy_only=False)


def _files_with(uri: str, record_ids: Sequence[str]) -> Iterator[str]:
    """Files of records, by their content and not by their names, that hold one of these ids."""
    wanted = pa.array(list(record_ids), pa.string())
    for place in (uri, str(cache_folder())):
        for _, file, _ in storage.iter_everything(place):
            with storage.open_read(file.uri) as stream:
                if stream.read(len(ARROW)) == ARROW and _holds(stream, wanted):
                    yield f"'{file.uri}'"


def _holds(stream: object, wanted: pa.Array) -> bool:
    reader = pa.ipc.open_file(pa.PythonFile(stream, mode="r"))
    if schema.RECORD_ID not in reader.schema.names:
        return False
    batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
    return any(pc.any(pc.is_in(batch.column(schema.RECORD_ID), value_set=wanted)).as_py() for batch in batches)


def _unnamed(manifest: Manifest) -> Iterator[str]:
    """Vectors in files of this index that it does not name, or in copies of files that it named before."""
    named, copies = set(manifest.owned()), set(read_replaced(manifest))
    for _, file, _ in storage.iter_everything(manifest.uri):
        path = file.uri[len(manifest.uri) + 1 :]
        if path not in named and OF_VECTORS.search(path):
            yield f"'{file.uri}'"
    for _, file, _ in storage.iter_everything(str(cache_folder())):
        if storage.name(file.uri) in copies:
            yield f"'{file.uri}'"


def _vectors_at(uri: str, info: IndexInfo, positions: np.ndarray) -> Iterator[str]:
    """Parts, and files of vectors, that still have something at positions whose records are erased."""
    for part in info.parts:
        if np.isin(stored_ids(open_part(uri, part)), positions).any():
            yield f"'{storage.join(uri, part.path)}'"
    for file in info.vectors:
        mine = positions[(positions >= file.start) & (positions < file.end)]
        if len(mine) and VectorStore(uri, [file], info.dim).take(mine).any():
            yield f"'{storage.join(uri, file.path)}'"
