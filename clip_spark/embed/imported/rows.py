"""*Worker.* The rows of what is taken over, in blocks: vectors and what lies beside them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.row_groups import row_groups
from clip_spark.embed.imported.columns import IDS, LINES
from clip_spark.embed.imported.npy_files import open_npy, open_vectors
from clip_spark.embed.imported.sources import Source
from clip_spark.errors import InputError

BLOCK_ROWS = 4096
MARK = "\ufeff"
"""What some editors put before a text."""


@dataclass(frozen=True)
class Block:
    """Some rows in order.

    Attributes:
        first: number of the first in its file.
        vectors: float (n, d), as they are stored; rows of NaN where there is no vector of d numbers.
        beside: n rows of columns; without columns if nothing lies beside.
    """

    first: int
    vectors: np.ndarray
    beside: pa.Table


Vectors = Callable[[Source], AbstractContextManager[Iterator[np.ndarray]]]
"""What gives the vectors of a source, at most BLOCK_ROWS at a time, as long as its block lasts."""


@contextmanager
def npy_vectors(source: Source) -> Iterator[Iterator[np.ndarray]]:
    """*Worker.* Those of a .npy file."""
    yield open_vectors(source.uri, source.bytes).blocks(source.start, source.stop, BLOCK_ROWS)


def read_blocks(source: Source, column: str, dim: int, vectors: Vectors = npy_vectors) -> Generator[Block]:
    """*Worker.* The rows that a source means.

    Args:
        source: where they are.
        column: the one of vectors, where they are in parquet.
        dim: numbers of a vector.
        vectors: what reads them elsewhere.
    """
    yield from _of_parquet(source, column, dim) if source.parquet else _beside_each_other(source, vectors)


def _of_parquet(source: Source, column: str, dim: int) -> Iterator[Block]:
    first = source.start
    for table in _tables(source.uri, source):
        yield Block(first, matrix(table.column(column), dim), table.drop_columns([column]))
        first += table.num_rows


def matrix(column: pa.ChunkedArray, dim: int) -> np.ndarray:
    """*Pure.* A column of lists as float (n, d); a row of NaN where a list is missing or of another length."""
    found = column.combine_chunks()
    whole = pc.equal(pc.list_value_length(found), dim).fill_null(False)
    values = found.filter(whole).flatten().to_numpy(zero_copy_only=False)
    if len(found) == (rows := int(pc.sum(whole).as_py() or 0)):
        return values.reshape(rows, dim)
    vectors = np.full((len(found), dim), np.nan, values.dtype)
    vectors[whole.to_numpy(zero_copy_only=False)] = values.reshape(rows, dim)
    return vectors


def _beside_each_other(source: Source, vectors: Vectors) -> Iterator[Block]:
    with ExitStack() as files:
        beside = _beside(source, files)
        first = source.start
        for block in files.enter_context(vectors(source)):
            yield Block(first, block, beside(len(block)))
            first += len(block)


def _beside(source: Source, files: ExitStack) -> Any:
    """A function: how many rows -> the next rows of what lies beside the vectors."""
    if source.beside:
        return _Rows(_tables(source.beside, source))
    if source.ids:
        ids = open_npy(source.ids, source.ids_bytes).blocks(source.start, source.stop, BLOCK_ROWS)
        return lambda rows: pa.table({IDS: pa.array([as_text(value) for value in next(ids).tolist()], pa.string())})
    if source.lines:
        stream = files.enter_context(storage.open_read(source.lines))
        stream.seek(source.line_at)
        return lambda rows: pa.table({LINES: pa.array(_lines(source.lines, stream, rows), pa.string())})
    return lambda rows: pa.Table.from_batches([pa.RecordBatch.from_arrays([], schema=pa.schema([]))])


def as_text(value: Any) -> str:
    """*Pure.* An id of a .npy file as text; whole numbers without a point."""
    return value.decode() if isinstance(value, bytes) else str(value)


def _lines(uri: str, stream: Any, rows: int) -> list[str]:
    """The next lines as clip-grams reads them: without white space around."""
    first = stream.tell() == 0
    try:
        found = [line.decode().strip() for line in islice(iter(stream.readline, b""), rows)]
        return [found[0].removeprefix(MARK), *found[1:]] if first and found else found
    except UnicodeDecodeError as error:
        raise InputError(f"'{uri}' is not UTF-8 ({error.reason}); write it again in UTF-8.") from error


class _Rows:
    """Tables of any size as tables of the sizes that are asked for."""

    def __init__(self, tables: Iterator[pa.Table]) -> None:
        self._tables, self._left = tables, next(tables)

    def __call__(self, rows: int) -> pa.Table:
        while self._left.num_rows < rows:
            self._left = pa.concat_tables([self._left, next(self._tables)])
        found, self._left = self._left.slice(0, rows), self._left.slice(rows)
        return found


@contextmanager
def readable(uri: str) -> Iterator[None]:
    """*Worker.* What Arrow cannot read is the file's fault; raises InputError."""
    try:
        yield
    except pa.ArrowException as error:
        why = str(error).splitlines()[0][:200]
        raise InputError(
            f"'{uri}' cannot be read ({why}); lists of a fixed size, some of them missing, are such a case, "
            "and can be written as plain lists."
        ) from error


def _tables(uri: str, source: Source) -> Iterator[pa.Table]:
    """The rows of a parquet file that a source means, at most BLOCK_ROWS at a time; other row groups are not read."""
    with storage.open_read(uri) as stream, readable(uri):
        file = pq.ParquetFile(stream)
        groups, skip = row_groups(file.metadata, source.start, source.stop)
        left = source.stop - source.start
        for batch in file.iter_batches(BLOCK_ROWS, row_groups=groups):
            rows = batch.slice(skip, left)
            skip, left = max(0, skip - batch.num_rows), left - rows.num_rows
            if rows.num_rows:
                yield pa.Table.from_batches([rows])
        if left:
            raise InputError(f"'{uri}' has fewer rows than before; it was changed meanwhile.")
