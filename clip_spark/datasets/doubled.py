"""*Driver.* Records that several sets hold: one id is one record, so that a removal or a tag means a single row.

The ids of all sets are compared in rounds of bounded size: about 600 MB, and a second for a million ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.schema import RECORD_ID, record_id

IDS_AT_ONCE = 16_000_000
ID_DIGITS, ID_BYTES = 32, 16
Numbers = np.ndarray
"""uint64 (n, 2): the 128 bits of ids."""


def doubled_rows(files: Sequence[str]) -> dict[str, np.ndarray]:
    """*Driver.* The rows whose id an earlier row has, in the same file or another.

    Args:
        files: URIs of parquet files with ids, in the order of the sets.

    Returns:
        URI -> ascending row numbers (int64); files without such rows are left out.
    """
    with_counts = [(uri, _row_count(uri)) for uri in files]
    rounds = max(1, -(-sum(rows for _, rows in with_counts) // IDS_AT_ONCE))
    found = sorted(place for number in range(rounds) for place in _doubled(files, rounds, number))
    return {
        files[file]: np.array([row for _, row in places], np.int64)
        for file, places in groupby(found, key=lambda place: place[0])
    }


def _row_count(uri: str) -> int:
    with storage.open_read(uri) as stream:
        return int(pq.read_metadata(stream).num_rows)


def _doubled(files: Sequence[str], rounds: int, number: int) -> Iterator[tuple[int, int]]:
    """(Number of the file, row) of the ids of one round that an earlier row has."""
    ids, owners, rows = [np.empty((0, 2), np.uint64)], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for owner, uri in enumerate(files):
        for first, values in _read_ids(uri):
            mine = np.flatnonzero(values[:, 0] % np.uint64(rounds) == number)
            ids.append(values[mine])
            rows.append(first + mine)
            owners.append(np.full(len(mine), owner))
    values, files_of, rows_of = np.concatenate(ids), np.concatenate(owners), np.concatenate(rows)
    order = np.lexsort((values[:, 1], values[:, 0]))  # stable: of equal ids the earlier row stays the first
    again = np.flatnonzero((values[order[1:]] == values[order[:-1]]).all(axis=1)) + 1
    yield from zip(files_of[order[again]].tolist(), rows_of[order[again]].tolist(), strict=True)


def _read_ids(uri: str) -> Iterator[tuple[int, Numbers]]:
    first = 0
    with storage.open_read(uri) as stream:
        for batch in pq.ParquetFile(stream).iter_batches(columns=[RECORD_ID]):
            yield first, id_numbers(batch.column(0))
            first += batch.num_rows


def id_numbers(ids: pa.Array) -> Numbers:
    """*Pure.* Ids as numbers, uint64 (n, 2); ids that are not ours are taken as texts of records."""
    texts = ids.to_pylist()
    found = _packed(texts)
    if found is None:
        found = b"".join(_packed([text]) or bytes.fromhex(record_id(str(text))) for text in texts)
    return np.frombuffer(found, ">u8").reshape(-1, 2).astype(np.uint64)


def _packed(ids: list[str | None]) -> bytes | None:
    """16 bytes of each id, or None where one has not 32 hex digits."""
    try:
        if {*map(len, ids)} - {ID_DIGITS}:  # type: ignore[arg-type]
            return None
        found = bytes.fromhex("".join(ids))  # type: ignore[arg-type]
    except (TypeError, ValueError):  # a null, or other characters
        return None
    return found if len(found) == ID_BYTES * len(ids) else None
