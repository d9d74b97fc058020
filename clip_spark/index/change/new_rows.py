"""*Driver.* What of some sets of embeddings an index does not hold yet: by their shards, then by the ids of the rows.

An index notes the shards of each set that it was made of. Of a set that has grown only the other shards are looked at,
and of those only the rows whose id is not in the index: one id is one record, whatever set it comes from. Rows of
records that were taken down are left out, of an index that is built again too: what was erased must not come back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets import schema
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.receipt import shard_name
from clip_spark.datasets.shards import RECORD_ROW_GROUP_ROWS
from clip_spark.index.build.embedding_sets import SHARDS, as_source, sets_files
from clip_spark.index.build.on_spark import SERVED_STILL, STEP
from clip_spark.index.build.read_vectors import VectorFile
from clip_spark.index.files.keys import is_exact
from clip_spark.index.files.layout import BUILDING
from clip_spark.index.files.part_writer import PartWriter
from clip_spark.index.open.records import RecordReader
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import map_items

IDS_AT_ONCE = 4_000_000
"""Ids of new rows that are compared with the index in one pass over it; a few hundred MB."""

ADOPTED = "index"
"""Name of the input of an index that adopt-index has made."""
Files = tuple[tuple[VectorFile, ...], tuple[VectorFile, ...]]
"""Embeddings and records, side by side."""


@dataclass(frozen=True)
class NewRows:
    """What is to be added; file by file, side by side.

    Attributes:
        embeddings: files of vectors.
        records: files of their records.
        keep: of each file the rows to add, bool (rows,); None for all of them.
        known: rows that are left out because the index has their ids.
        removed: rows that are left out because they were taken down, and the index has them no more.
    """

    embeddings: tuple[VectorFile, ...]
    records: tuple[VectorFile, ...]
    keep: tuple[np.ndarray | None, ...]
    known: int = 0
    removed: int = 0

    @property
    def rows(self) -> int:
        """To add."""
        return sum(file.rows for file in self.embeddings) - self.known - self.removed

    def told(self) -> str:
        """*Pure.* `3 left out, which it has already`."""
        parts = [f"{self.known:,} left out, which it has already"] if self.known else []
        parts += [f"{self.removed:,} left out, which were taken down"] if self.removed else []
        return "; ".join(parts)


def was_adopted(index: Manifest) -> bool:
    """*Pure.* Whether an index began as a file of another tool, of whose records there are no embeddings."""
    return ADOPTED in index.inputs


def held_sources(index: Manifest) -> dict[str, dict[str, Any]]:
    """*Pure.* URI -> the input, of each set of embeddings that an index holds."""
    return {source["uri"]: source for name, source in index.inputs.items() if name.startswith("embeddings")}


def without_held(index: Manifest, embeddings: Manifest) -> Manifest:
    """*Pure.* A set with only those of its shards that the index was not made of."""
    held = set(held_sources(index).get(embeddings.uri, {}).get(SHARDS, ()))
    new = tuple(receipt for receipt in embeddings.receipts if receipt.identity not in held)
    return dataclasses.replace(embeddings, receipts=new)


def sources_with(index: Manifest, sets: Sequence[Manifest]) -> dict[str, dict[str, Any]]:
    """*Pure.* The inputs of an index once these sets are in it as they are now."""
    inputs = dict(index.inputs)
    names = {source["uri"]: name for name, source in inputs.items() if name.startswith("embeddings")}
    for one in sets:
        name = names.setdefault(one.uri, f"embeddings-{len(inputs) + 1}")
        before = inputs.get(name, {}).get(SHARDS, [])
        source = as_source(one)
        inputs[name] = {**source, SHARDS: list(dict.fromkeys([*before, *source[SHARDS]]))}
    return inputs


def find_new_rows(index: RecordReader | None, sets: Sequence[Manifest], removed: Sequence[str]) -> NewRows:
    """*Driver.* Compare ids; the ids of the new rows are in memory, IDS_AT_ONCE of them, those of the index stream by.

    Args:
        index: its records; None for one that is built: nothing is in it yet.
        sets: what may be new.
        removed: ids that were taken down.
    """
    embeddings, records = sets_files(sets, "embeddings"), sets_files(sets, "records")
    if index is None and not removed:
        return NewRows(embeddings, records, (None,) * len(records))
    down = pa.array(removed, pa.string())
    keep: list[np.ndarray | None] = []
    known = taken = 0
    for files in _portions(records):
        ids = [_read_ids(file) for file in files]
        held = pa.array([], pa.string()) if index is None else _held(index, ids)
        for found in ids:
            here, gone = (pc.is_in(found, value_set=some).to_numpy(zero_copy_only=False) for some in (held, down))
            new = ~(here | gone)
            keep.append(None if new.all() else new)
            known, taken = known + int(here.sum()), taken + int((gone & ~here).sum())
    return NewRows(embeddings, records, tuple(keep), known, taken)


def _held(index: RecordReader, ids: Sequence[pa.Array]) -> pa.Array:
    """Those of the ids that the index has."""
    positions = index.find_all([text for found in ids for text in found.to_pylist()])
    return index.take(positions, [schema.RECORD_ID]).column(0).combine_chunks().cast(pa.string())


def _portions(files: Sequence[VectorFile]) -> Iterator[list[VectorFile]]:
    some: list[VectorFile] = []
    for file in files:
        if some and sum(one.rows for one in some) + file.rows > IDS_AT_ONCE:
            yield some
            some = []
        some.append(file)
    if some:
        yield some


def _read_ids(file: VectorFile) -> pa.Array:
    with storage.open_read(file.uri) as stream:
        return pq.read_table(stream, columns=[schema.RECORD_ID]).column(0).combine_chunks().cast(pa.string())


@dataclass(frozen=True)
class CopyNew:
    """*Worker.* Copies the new rows of a shard that holds others too; picklable. What it writes is only for the build.

    Attributes:
        folder: where to.
        new: what is to be added.
    """

    folder: str
    new: NewRows

    def __call__(self, number: int) -> None:
        """Copy the vectors and the records of one file."""
        rows = pa.array(self.new.keep[number])
        for files in (self.new.embeddings, self.new.records):
            with storage.open_read(files[number].uri) as stream:
                table = pq.read_table(stream).filter(rows)
            with storage.open_write(self.uri(files[number], number)) as stream:
                pq.write_table(table, stream, row_group_size=RECORD_ROW_GROUP_ROWS, compression="zstd")

    def uri(self, file: VectorFile, number: int) -> str:
        """*Pure.* Of the copy."""
        kind = "embeddings" if file in self.new.embeddings else "records"
        return storage.join(self.folder, kind, f"{shard_name(number)}.parquet")

    def items(self) -> list[int]:
        """*Pure.* Numbers of the files of which a part is new."""
        return [number for number, rows in enumerate(self.new.keep) if rows is not None and rows.any()]

    def files(self, start: int) -> Files:
        """*Pure.* Files that hold exactly the new rows, their positions from `start` on: (embeddings, records)."""
        found: tuple[list[VectorFile], list[VectorFile]] = ([], [])
        for number, rows in enumerate(self.new.keep):
            pair = (self.new.embeddings[number], self.new.records[number])
            count = pair[0].rows if rows is None else int(rows.sum())
            for file, into in zip(pair, found, strict=True) if count else ():
                into.append(VectorFile(file.uri if rows is None else self.uri(file, number), start, count))
            start += count
        return tuple(found[0]), tuple(found[1])


def files_of_new(get_spark: SessionSource, key: str, new: NewRows, writer: PartWriter, start: int) -> Files:
    """*Driver.* Files of exactly the new rows: those of the sets, and copies where a shard holds others too.

    Args:
        get_spark: starts Spark, if there is much to copy.
        key: of the index; a small exact one needs no session.
        new: what is to be added.
        writer: of the generation.
        start: position of the first row.
    """
    copy = CopyNew(storage.join(writer.output, BUILDING, writer.generation, "new"), new)
    if is_exact(key):
        for item in copy.items():
            copy(item)
    elif items := copy.items():
        map_items(get_spark(), STEP, items, copy, SERVED_STILL)
    return copy.files(start)
