"""*Driver.* The records of an adopted index, made of what lies beside it, as files of the index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clip_spark import storage
from clip_spark.datasets.doubled import id_numbers
from clip_spark.datasets.receipt import shard_name
from clip_spark.datasets.schema import RECORD_ID
from clip_spark.embed.imported.columns import Columns
from clip_spark.embed.imported.rows import Block, read_blocks
from clip_spark.embed.imported.sources import Source
from clip_spark.errors import InputError
from clip_spark.index.files.layout import PARTS, IndexFile
from clip_spark.index.files.part_writer import HashingStream
from clip_spark.index.imported.beside import Beside
from clip_spark.index.open.records import BATCH_ROWS


def write_records(
    output: str, generation: str, beside: Beside, columns: Columns, removed: Sequence[str]
) -> list[IndexFile]:
    """*Driver.* One file for each part of what lies beside an index.

    Args:
        output: of the index.
        generation: that is being written.
        beside: the parts.
        columns: how records are made.
        removed: ids that were taken down there.

    Raises:
        InputError: a record has no id, two have one, or one was taken down: its bytes would come back.
    """
    files, ids, start = [], [np.empty((0, 2), np.uint64)], 0
    for number, source in enumerate(beside.parts):
        path = f"{PARTS}/{generation}/records/{shard_name(number)}.arrow"
        with storage.open_write(storage.join(output, path)) as stream:
            hashed = HashingStream(stream)
            with pa.ipc.new_file(pa.PythonFile(hashed, mode="w"), columns.schema) as writer:
                for block in read_blocks(source, "", 0, _no_vectors):
                    batch = _batch(source, block, columns)
                    _check_live(batch, removed, output)
                    writer.write_batch(batch)
                    if beside.ids or columns.id:
                        ids.append(id_numbers(batch.column(RECORD_ID)))
        rows = source.stop - source.start
        files.append(IndexFile(path, start, rows, **hashed.figures()))
        start += rows
    _check_once(np.concatenate(ids), beside.parts[0])
    return files


@contextmanager
def _no_vectors(source: Source) -> Iterator[Iterator[np.ndarray]]:
    """As many rows as a batch of records has, each without numbers."""
    sizes = (min(BATCH_ROWS, source.stop - first) for first in range(source.start, source.stop, BATCH_ROWS))
    yield (np.empty((size, 0), np.float32) for size in sizes)


def _batch(source: Source, block: Block, columns: Columns) -> pa.RecordBatch:
    rows = range(block.first, block.first + len(block.vectors))
    records = columns.records(block.beside, [source.row_name(row) for row in rows])
    missing = np.flatnonzero(records.column(RECORD_ID).is_null().to_numpy())
    if len(missing):
        raise InputError(f"'{source.row_name(rows[int(missing[0])])}' has no id; each vector of an index needs one.")
    return records.combine_chunks().to_batches()[0]


def _check_live(batch: pa.RecordBatch, removed: Sequence[str], output: str) -> None:
    gone = pc.sum(pc.is_in(batch.column(RECORD_ID), value_set=pa.array(removed, pa.string()))).as_py() or 0
    if gone:
        raise InputError(
            f"{gone:,} of the records were taken down from '{output}', and a file that is served as it is would bring "
            "their vectors back. `clip-spark import-index` takes the vectors out, and build-index leaves those away."
        )


def _check_once(ids: np.ndarray, source: Source) -> None:
    """Raise InputError where the user's ids do not tell records apart; (n, 2), 16 bytes each."""
    order = np.lexsort((ids[:, 1], ids[:, 0]))
    doubled = int((ids[order[1:]] == ids[order[:-1]]).all(axis=1).sum())
    if doubled:
        raise InputError(
            f"{doubled:,} ids beside '{source.uri}' come more than once; give an --id-column (or a .npy) that tells "
            "records apart, or none, which takes the place of each row."
        )
