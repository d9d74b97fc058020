"""*Driver.* Erases removed records from the files of an index: one Spark task per file, then the switch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from clip_spark import storage
from clip_spark.datasets.commit import Head
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.receipt import shard_name
from clip_spark.errors import InputError
from clip_spark.index.build.on_spark import SERVED_STILL
from clip_spark.index.change.generation import new_generation, switch
from clip_spark.index.change.opened_parts import erasable
from clip_spark.index.files import keys
from clip_spark.index.files.calibration import Calibration
from clip_spark.index.files.layout import IndexFile, IndexInfo, part_path
from clip_spark.index.files.local_copy import open_local
from clip_spark.index.files.part_writer import HashingStream, write_faiss
from clip_spark.index.open.records import RecordReader
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import map_items

STEP = "remove-records"
PARTS, RECORDS, *_ = FILES = ("parts", "records", "vectors", "penalties")
OTHER = "other"
"""Folder inside of a generation: files of the index that is kept beside the first."""


def check_erasable(uri: str, info: IndexInfo) -> None:
    """*Pure.* Before anything is taken down; raises InputError where nothing can be erased, out of a graph."""
    if keys.is_graph(info.key):
        raise InputError(
            f"'{uri}' was made by another tool as {info.key}, a graph out of which nothing can be erased; nothing was "
            "removed. Without --compact records are taken down and stay hidden; `clip-spark import-index` takes the "
            "vectors out of its file, and build-index makes an index of which records can be erased."
        )


def compact(get_spark: SessionSource, head: Head, plan: Plan, info: IndexInfo, removed: Sequence[str]) -> Manifest:
    """*Driver.* A new generation without the vectors and records of some ids, in the index that is kept beside it too.

    Positions of the others stay: a removed one has an empty record and is in no part. A small exact index needs no
    session, as it needs none to be built.

    Raises:
        TaskError: a task failed for good; the old files still serve.
        OutputError: another writer was quicker.
    """
    with new_generation(head, plan) as generation:
        smaller = _erased(get_spark, head.uri, generation, info, removed)
        if info.other is not None:
            kept = _erased(get_spark, head.uri, f"{generation}/{OTHER}", info.other.info, removed)
            smaller = dataclasses.replace(smaller, other=dataclasses.replace(info.other, info=kept))
        return switch(head, plan, dataclasses.replace(smaller, generation=generation), {})


def _erased(get_spark: SessionSource, uri: str, generation: str, info: IndexInfo, removed: Sequence[str]) -> IndexInfo:
    """*Driver.* An index whose files are written again, without some ids."""
    positions = RecordReader(uri, info.records, info.columns).find_all(removed)
    rewrite = _Rewrite(uri, generation, positions)
    items = [(what, number, file) for what in FILES for number, file in enumerate(getattr(info, what))]
    exact = keys.is_exact(info.key)
    written = [rewrite(item) for item in items] if exact else map_items(get_spark(), STEP, items, rewrite, SERVED_STILL)
    files: dict[str, Any] = {
        what: tuple(file for file, item in zip(written, items, strict=True) if item[0] == what) for what in FILES
    }
    return dataclasses.replace(info, calibration=_without(info.calibration, positions), **files)


def _without(learnt: Calibration | None, removed: np.ndarray) -> Calibration | None:
    """*Pure.* What an index has learnt without the names of records that are erased."""
    if learnt is None:
        return None
    hubs = tuple(hub for hub in learnt.hubs if hub["position"] not in removed)
    kept = tuple(position for position in learnt.quarantined if position not in removed)
    return dataclasses.replace(learnt, hubs=hubs, quarantined=kept)


@dataclasses.dataclass(frozen=True)
class _Rewrite:
    """*Worker.* Writes a file of an index again, without some positions; picklable."""

    uri: str
    generation: str
    removed: np.ndarray

    def __call__(self, item: tuple[str, int, IndexFile]) -> IndexFile:
        """`item` says what the file holds, its number among those, and which file it is."""
        what, number, file = item
        if what == PARTS:
            return self.part(file, number)
        return self.records(file, number) if what == RECORDS else self.numbers(file, number, what)

    def part(self, part: IndexFile, number: int) -> IndexFile:
        index = open_local(self.uri, part, erasable)
        index.remove_ids(self.removed)
        path = part_path(self.generation, number)
        with storage.open_write(storage.join(self.uri, path)) as stream:
            hashed = HashingStream(stream)
            write_faiss(index, hashed)
        return dataclasses.replace(part, path=path, rows=index.ntotal, **hashed.figures())

    def records(self, file: IndexFile, number: int) -> IndexFile:
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

        return self._copy(file, f"{RECORDS}/{shard_name(number)}.arrow", copy)

    def numbers(self, file: IndexFile, number: int, folder: str) -> IndexFile:
        """Vectors, or penalties, which are one number each."""
        rows = open_local(self.uri, file, lambda path: np.fromfile(path, np.float16)).reshape(file.rows, -1)
        rows[self._inside(file)] = 0
        return self._copy(file, f"{folder}/{shard_name(number)}.f16", lambda target: target.write(rows.tobytes()))

    def _inside(self, file: IndexFile) -> np.ndarray:
        """Rows of a file that are removed."""
        return self.removed[(self.removed >= file.start) & (self.removed < file.end)] - file.start

    def _copy(self, file: IndexFile, name: str, copy: Any) -> IndexFile:
        path = f"{PARTS}/{self.generation}/{name}"  # by number: files of two generations may have the same old name
        with storage.open_write(storage.join(self.uri, path)) as stream:
            hashed = HashingStream(stream)
            copy(hashed)
        return dataclasses.replace(file, path=path, **hashed.figures())
