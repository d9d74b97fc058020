"""*Driver.* What a dataset was made of: each thing that was read, a stamp of its content, and the shard it went into.

<place>/sources.parquet    source, stamp, shard; written by the driver, read when the input has changed

A source is the least that can come and go by itself: a picture with the texts beside it, a tar, a file of text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.manifest import Manifest, inside

SOURCES = "sources.parquet"
SCHEMA = pa.schema([("source", pa.large_string()), ("stamp", pa.string()), ("shard", pa.int32())])
NO_SHARD = -1
"""Of a source whose rows are spread over all shards, such as a file of a corpus."""
EXAMPLES = 3


@dataclass(frozen=True)
class Changes:
    """How what there is now differs from what a dataset was made of; int64 row numbers, rising.

    Attributes:
        new: rows of the present sources.
        changed: rows of the present sources.
        outdated: rows of the old sources: those that have changed.
        vanished: rows of the old sources.
    """

    new: np.ndarray
    changed: np.ndarray
    outdated: np.ndarray
    vanished: np.ndarray


def sources_table(names: Sequence[str], stamps: Sequence[str], shards: Sequence[int] | np.ndarray) -> pa.Table:
    """*Pure.* SCHEMA; names in the order of the plan."""
    columns = [_texts(names), _texts(stamps).cast(pa.string()), _numbers(shards)]
    return pa.table(columns, schema=SCHEMA)


def _texts(texts: Sequence[str]) -> pa.Array:
    """*Pure.* large_string (n,), without pa.array, which imports pandas to see whether it is given a Series."""
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.large_string(), len(encoded), buffers)


def _numbers(numbers: Sequence[int] | np.ndarray) -> pa.Array:
    """*Pure.* int32 (n,), without pa.array."""
    values = np.ascontiguousarray(numbers, np.int32)
    return pa.Array.from_buffers(pa.int32(), len(values), [None, pa.py_buffer(values)])


def write_sources(place: str, sources: pa.Table) -> None:
    """*Driver.* Leave the sources of a generation in its place, before its tasks: a later run may take over shards."""
    with storage.open_write(storage.join(place, SOURCES)) as stream:
        pq.write_table(sources, stream, compression="zstd")


def read_sources(manifest: Manifest) -> pa.Table | None:
    """*Driver.* What a dataset was made of; None if an older version made it, which did not note that."""
    if inside(manifest.place, SOURCES) not in manifest.beside:
        return None
    return read_sources_of(storage.join(manifest.uri, *filter(None, [manifest.place])))


def read_sources_of(place: str) -> pa.Table:
    """*Driver.* The sources that a run has left in its place; raises FileNotFoundError if there are none."""
    with storage.open_read(storage.join(place, SOURCES)) as stream:
        return pq.read_table(stream).cast(SCHEMA)


def compare(old: pa.Table, now: pa.Table) -> Changes:
    """*Pure.* What is new, changed and vanished; sources are the same if their names are."""
    at = pc.index_in(now["source"].combine_chunks(), value_set=old["source"].combine_chunks())
    found = at.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    known = np.flatnonzero(found >= 0)
    before = old["stamp"].take(pa.array(found[known]))
    differs = pc.not_equal(before, now["stamp"].take(pa.array(known))).to_numpy().astype(bool)
    left = np.ones(old.num_rows, bool)
    left[found[known]] = False
    return Changes(np.flatnonzero(found < 0), known[differs], found[known[differs]], np.flatnonzero(left))


def names_of(sources: pa.Table, rows: np.ndarray) -> str:
    """*Pure.* A few of these sources, for a message."""
    some = sources["source"].take(pa.array(rows[:EXAMPLES])).to_pylist()
    return ", ".join(f"'{name}'" for name in some) + (", ..." if len(rows) > EXAMPLES else "")
