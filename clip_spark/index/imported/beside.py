"""*Driver.* What lies beside a foreign Faiss index and says what its vectors are, one after the other.

metadata/, id_mapping/   parquet with a row for each vector (clip-retrieval, autofaiss, fondant)
entries.txt              a line for each vector (clip-grams)
--metadata               a folder or file of parquet, a .npy of ids, or a .txt of lines
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.spec import fingerprint
from clip_spark.embed.imported.columns import IDS, LINES
from clip_spark.embed.imported.layouts import ENTRIES, footers
from clip_spark.embed.imported.npy_files import open_npy
from clip_spark.embed.imported.sources import Source, cut, find_lines
from clip_spark.errors import InputError
from clip_spark.storage import FileInfo

FOLDERS = ("metadata", "id_mapping")
"""Folders beside an index with a row for each vector, as clip-retrieval and fondant call them."""
ROW_NUMBER = "i"
"""What autofaiss calls the column of ids in an id mapping."""


@dataclass(frozen=True)
class Beside:
    """What the vectors of an index are.

    Attributes:
        parts: runs of vectors, each with what lies beside it, in the order of the vectors.
        schemas: columns of what lies beside, with the name of each file.
        ids: whether the user's own ids tell records apart, which may be doubled.
    """

    parts: tuple[Source, ...]
    schemas: tuple[tuple[str, pa.Schema], ...]
    ids: bool = False


def find_beside(index: FileInfo, rows: int, metadata: str, shard_rows: int) -> Beside:
    """*Driver.* What lies beside an index of so many vectors, in parts of at most `shard_rows`.

    Args:
        index: its (first) file.
        rows: vectors of all its files.
        metadata: where the user says that it lies; empty looks beside the index.
        shard_rows: most rows of a part.

    Raises:
        InputError: it does not belong to the index: other rows, another order, no file that can be read.
    """
    files = _named(metadata) if metadata else _found(index)
    whole = Source(index.uri, index.bytes, rows, _stamp(index), start=0, stop=rows)
    if not files:
        return Beside(tuple(cut([whole], shard_rows)), ((index.uri, pa.schema([])),))
    first = files[0]
    if first.uri.endswith(".npy"):
        return _of_ids(whole, index, first, shard_rows)
    if first.uri.endswith(".txt"):
        one = Source(index.uri, index.bytes, rows, _stamp(index, first), lines=first.uri)
        return Beside(tuple(find_lines(cut([one], shard_rows))), ((first.uri, pa.schema([(LINES, pa.string())])),))
    return _of_tables(whole, index, files, shard_rows)


def _found(index: FileInfo) -> list[FileInfo]:
    folder = index.uri.rpartition("/")[0]
    for name in FOLDERS:
        if found := _tables(storage.list_files(storage.join(folder, name))):
            return found
    return storage.list_files(storage.join(folder, ENTRIES))


def _named(metadata: str) -> list[FileInfo]:
    listed = storage.list_files(metadata)
    if len(listed) == 1 and listed[0].uri.endswith((".npy", ".txt")):
        return listed
    if found := _tables(listed):
        return found
    raise InputError(
        f"--metadata '{metadata}' holds no parquet file, and is neither a .npy of ids nor a .txt of lines."
    )


def _tables(listed: Sequence[FileInfo]) -> list[FileInfo]:
    return [file for file in listed if file.uri.endswith(".parquet")]


def _of_ids(whole: Source, index: FileInfo, ids: FileInfo, shard_rows: int) -> Beside:
    shape = open_npy(ids.uri, ids.bytes).shape
    if shape != (whole.rows,):
        raise InputError(
            f"'{index.uri}' has {whole.rows:,} vectors and '{ids.uri}' is an array of shape {shape}; each vector needs "
            f"one id, so ({whole.rows},)."
        )
    one = Source(index.uri, index.bytes, whole.rows, _stamp(index, ids), ids=ids.uri, ids_bytes=ids.bytes)
    return Beside(tuple(cut([one], shard_rows)), ((ids.uri, pa.schema([(IDS, pa.string())])),), ids=True)


def _of_tables(whole: Source, index: FileInfo, files: Sequence[FileInfo], shard_rows: int) -> Beside:
    looked = footers(files)
    _check_order(files, [columns for _, columns in looked])
    counts = [rows for rows, _ in looked]
    if sum(counts) != whole.rows:
        raise InputError(
            f"'{index.uri}' has {whole.rows:,} vectors and its metadata ('{files[0].uri}', ...) {sum(counts):,} rows; "
            "each vector needs one."
        )
    sources, first = [], 0
    for other, count in zip(files, counts, strict=True):
        sources.append(Source(index.uri, index.bytes, count, _stamp(index, other), beside=other.uri, first=first))
        first += count
    schemas = tuple((file.uri, columns) for file, (_, columns) in zip(files, looked, strict=True))
    return Beside(tuple(cut(sources, shard_rows)), schemas)


def _stamp(index: FileInfo, *others: FileInfo) -> str:
    return fingerprint([index.stamp, index.bytes, *(other.stamp for other in others)])[:16]


def _check_order(beside: Sequence[FileInfo], schemas: Sequence[pa.Schema]) -> None:
    """*Driver.* Raise InputError where an id mapping of autofaiss does not come in the order of the vectors.

    A Spark task of its that was tried twice has left its rows twice.
    """
    first = 0
    for file, columns in zip(beside, schemas, strict=True):
        if ROW_NUMBER not in columns.names or not pa.types.is_integer(columns.field(ROW_NUMBER).type):
            return
        with storage.open_read(file.uri) as stream:
            numbers = pq.read_table(stream, columns=[ROW_NUMBER]).column(0).to_numpy()
        if not np.array_equal(numbers, np.arange(first, first + len(numbers))):
            raise InputError(
                f"'{file.uri}': its column '{ROW_NUMBER}' is not {first:,}, {first + 1:,}, ...: these rows are not "
                "those of the vectors in their order. Write them again, sorted by it and each once."
            )
        first += len(numbers)
