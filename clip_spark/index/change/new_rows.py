"""*Driver.* What of some sets of embeddings an index does not hold yet: by their shards, then by the ids of the rows.

An index notes the shards of each set that it was made of. Of a set that has grown only the other shards are looked at,
and of those only the rows whose id is not in the index: one id is one record, whatever set it comes from.
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
from clip_spark.index.build.read_vectors import VectorFile
from clip_spark.index.open.records import RecordReader

IDS_AT_ONCE = 4_000_000
"""Ids of new rows that are compared with the index in one pass over it; a few hundred MB."""


@dataclass(frozen=True)
class NewRows:
    """What is to be added; file by file, side by side.

    Attributes:
        embeddings: files of vectors.
        records: files of their records.
        keep: of each file the rows to add, bool (rows,); None for all of them.
        known: rows that are left out because the index has their ids.
    """

    embeddings: tuple[VectorFile, ...]
    records: tuple[VectorFile, ...]
    keep: tuple[np.ndarray | None, ...]
    known: int

    @property
    def rows(self) -> int:
        """To add."""
        return sum(file.rows for file in self.embeddings) - self.known


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


def find_new_rows(index: RecordReader, sets: Sequence[Manifest]) -> NewRows:
    """*Driver.* Compare ids; the ids of the new rows are in memory, IDS_AT_ONCE of them, those of the index stream by.

    Args:
        index: its records.
        sets: what may be new.
    """
    embeddings, records = sets_files(sets, "embeddings"), sets_files(sets, "records")
    keep: list[np.ndarray | None] = []
    for files in _portions(records):
        ids = [_read_ids(file) for file in files]
        positions = index.find_all([text for found in ids for text in found.to_pylist()])
        known = index.take(positions, [schema.RECORD_ID]).column(0).combine_chunks().cast(pa.string())
        for found in ids:
            new = pc.invert(pc.is_in(found, value_set=known)).to_numpy(zero_copy_only=False)
            keep.append(None if new.all() else new)
    return NewRows(embeddings, records, tuple(keep), sum(int((~new).sum()) for new in keep if new is not None))


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

    def files(self, start: int) -> tuple[tuple[VectorFile, ...], tuple[VectorFile, ...]]:
        """*Pure.* Files that hold exactly the new rows, their positions from `start` on: (embeddings, records)."""
        found: tuple[list[VectorFile], list[VectorFile]] = ([], [])
        for number, rows in enumerate(self.new.keep):
            pair = (self.new.embeddings[number], self.new.records[number])
            count = pair[0].rows if rows is None else int(rows.sum())
            for file, into in zip(pair, found, strict=True) if count else ():
                into.append(VectorFile(file.uri if rows is None else self.uri(file, number), start, count))
            start += count
        return tuple(found[0]), tuple(found[1])
