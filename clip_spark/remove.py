"""*Driver.* remove-records: take records of an index down, and erase what was taken down. No Spark."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import numpy as np
import pyarrow as pa

from clip_spark import schema, storage
from clip_spark.errors import InputError
from clip_spark.generation import new_generation, switch
from clip_spark.index.cache import local_path
from clip_spark.index.layout import IndexFile, IndexInfo, part_path
from clip_spark.index.library import load_faiss
from clip_spark.index.records import RecordReader
from clip_spark.index.removals import add_removed
from clip_spark.index.selection import select_where
from clip_spark.index.writer import HashingStream, write_faiss
from clip_spark.manifest import Manifest, Plan
from clip_spark.report import Table
from clip_spark.search import Searcher
from clip_spark.specs.search import RemoveSpec

log = logging.getLogger(__name__)


def remove_records(spec: RemoveSpec) -> Table:
    """*Driver.* Take records down; open searchers follow within seconds.

    Raises:
        InputError: no record of the index is meant.
    """
    searcher = Searcher.open(spec.index)
    wanted = _meant(spec, searcher)
    if len(wanted) == 0 and (spec.ids or spec.where):
        raise InputError(f"No record of '{spec.index}' is meant by --ids or --where; nothing was removed.")
    ids = searcher.records.take(wanted, [schema.RECORD_ID]).column(0).drop_null().to_pylist() if len(wanted) else []
    everything = add_removed(searcher.manifest.uri, ids)
    if spec.compact:
        compact(searcher.manifest, searcher.info, searcher.records.find_all(everything))
    rows = [("removed now", len(ids)), ("removed in all", len(everything)), ("erased from the files", spec.compact)]
    return Table("remove-records", ("what", "value"), rows)


def _meant(spec: RemoveSpec, searcher: Searcher) -> np.ndarray:
    """Positions of the records that a spec names."""
    positions = searcher.records.find_all(spec.ids)
    if len(positions) < len(set(spec.ids)):
        log.warning("%d of the ids are not in the index", len(set(spec.ids)) - len(positions))
    if spec.where:
        chosen = select_where(searcher.records, searcher.info.rows, spec.where)
        positions = np.union1d(positions, np.flatnonzero(chosen.mask))
    return positions


def compact(manifest: Manifest, info: IndexInfo, removed: np.ndarray) -> Manifest:
    """*Driver.* A new generation without the vectors and records at some positions (sorted int64).

    Positions of the others stay: a removed one has an empty record and is in no part.
    """
    plan = Plan(manifest.kind, manifest.spec, manifest.inputs, len(manifest.receipts))
    with new_generation(manifest.uri, plan) as generation:
        rewrite = _Rewrite(manifest.uri, generation, removed)
        smaller = dataclasses.replace(
            info,
            generation=generation,
            parts=tuple(rewrite.part(part, number) for number, part in enumerate(info.parts)),
            records=tuple(map(rewrite.records, info.records)),
            vectors=tuple(map(rewrite.vectors, info.vectors)),
        )
        return switch(manifest.uri, plan, smaller, {})


@dataclasses.dataclass(frozen=True)
class _Rewrite:
    """Writes files of an index again, without some positions."""

    uri: str
    generation: str
    removed: np.ndarray

    def part(self, part: IndexFile, number: int) -> IndexFile:
        faiss = load_faiss()
        index = faiss.read_index(local_path(self.uri, part))
        index.remove_ids(self.removed)
        path = part_path(self.generation, number)
        with storage.open_write(storage.join(self.uri, path)) as stream:
            hashed = HashingStream(stream)
            write_faiss(index, hashed)
        return dataclasses.replace(part, path=path, rows=index.ntotal, **hashed.figures())

    def records(self, file: IndexFile) -> IndexFile:
        reader = RecordReader(self.uri, [file])
        gone = self._inside(file)

        def copy(target: Any) -> None:
            sink = pa.PythonFile(target, mode="w")
            at = 0
            for _, batch in reader.batches():
                rows = np.arange(batch.num_rows)
                # Taking "no row" leaves no bytes behind; setting nulls would keep the text under them.
                kept = pa.array(rows, pa.int64(), mask=np.isin(rows + at, gone))
                if at == 0:
                    writer = pa.ipc.new_file(sink, batch.schema)
                writer.write_batch(batch.take(kept))
                at += batch.num_rows
            writer.close()

        return self._copy(file, copy)

    def vectors(self, file: IndexFile) -> IndexFile:
        rows = np.fromfile(local_path(self.uri, file), np.float16).reshape(file.rows, -1)
        rows[self._inside(file)] = 0
        return self._copy(file, lambda target: target.write(rows.tobytes()))

    def _inside(self, file: IndexFile) -> np.ndarray:
        """Rows of a file that are removed."""
        return self.removed[(self.removed >= file.start) & (self.removed < file.end)] - file.start

    def _copy(self, file: IndexFile, copy: Any) -> IndexFile:
        head, _, name = file.path.rpartition("/")
        path = "/".join(["parts", self.generation, head.rsplit("/", 1)[-1], name])
        with storage.open_write(storage.join(self.uri, path)) as stream:
            hashed = HashingStream(stream)
            copy(hashed)
        return dataclasses.replace(file, path=path, **hashed.figures())
