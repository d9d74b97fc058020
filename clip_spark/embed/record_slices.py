"""*Driver.* All records of some sets, in their order, cut into the shards of embed-text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from clip_spark.datasets.doubled import doubled_rows
from clip_spark.datasets.manifest import Manifest
from clip_spark.embed.text_records import Slice
from clip_spark.errors import DatasetError, InputError

MOST_SHARD_ROWS, LEAST_SHARD_ROWS, WANTED_SHARDS = 50_000, 1_000, 64


@dataclass(frozen=True)
class RecordShard:
    """One item of the plan: the records of one embedding shard."""

    number: int
    slices: tuple[Slice, ...]


def plan_shards(sets: Sequence[Manifest], shard_rows: int) -> list[RecordShard]:
    """*Driver.* Cut all records, in their order, into shards of nearly equal numbers of rows.

    Args:
        sets: the datasets; a record that several hold is read where it comes first.
        shard_rows: most rows of a shard; 0 chooses, so that small datasets still keep many cores busy.
    """
    rows = sum(records.rows for records in sets)
    if rows == 0:
        raise InputError(f"'{sets[0].uri}' holds no records; there is nothing to embed.")
    whole = [Slice(uri, 0, count) for records in sets for uri, count in records_files(records)]
    return cut_evenly(whole, shard_rows, doubled_in(sets))


def doubled_in(sets: Sequence[Manifest]) -> dict[str, np.ndarray]:
    """*Driver.* URI of a records file -> its rows that an earlier one has; one set has none of those."""
    files = [uri for records in sets for uri, _ in records_files(records)]
    return doubled_rows(files) if len(sets) > 1 else {}


def cut_evenly(
    slices: Sequence[Slice], shard_rows: int, doubled: Mapping[str, np.ndarray], first: int = 0
) -> list[RecordShard]:
    """*Pure.* Shards of nearly equal numbers of rows, numbered from `first`; `shard_rows` as `plan_shards` has it."""
    rows = sum(part.stop - part.start for part in slices)
    most = shard_rows or min(MOST_SHARD_ROWS, max(LEAST_SHARD_ROWS, -(-rows // WANTED_SHARDS)))
    count = -(-rows // most)
    bounds = [rows * number // count for number in range(count + 1)] if count else []
    cuts = cut_slices(slices, bounds)
    return [RecordShard(n, tuple(without(part, doubled) for part in cut)) for n, cut in enumerate(cuts, first)]


def without(part: Slice, doubled: Mapping[str, np.ndarray]) -> Slice:
    """*Pure.* A slice that leaves out those of its rows that are read elsewhere."""
    rows = doubled.get(part.uri)
    if rows is None:
        return part
    inside = rows[(rows >= part.start) & (rows < part.stop)]
    return replace(part, without=tuple(inside.tolist()))


def records_files(records: Manifest) -> list[tuple[str, int]]:
    """*Driver.* (URI, rows) of each records file, in order."""
    files = records.sized_files("records")
    if sum(rows for _, rows in files) != records.rows:
        raise DatasetError(f"'{records.uri}' lists {records.rows} records, but its files do not; build it again.")
    return files


def cut_slices(slices: Iterable[Slice], bounds: Sequence[int]) -> list[tuple[Slice, ...]]:
    """*Pure.* What holds each stretch of the concatenation of some slices; each slice is looked at once.

    Args:
        slices: in order; together at least as many rows as the last of `bounds`.
        bounds: ascending row numbers, the first of them 0; one stretch lies between each two.
    """
    found: list[list[Slice]] = [[] for _ in bounds[1:]]
    shard = first = 0
    for whole in slices:
        start, rows = 0, whole.stop - whole.start
        while start < rows and shard < len(found):
            stop = min(rows, bounds[shard + 1] - first)
            if start < stop:
                found[shard].append(Slice(whole.uri, whole.start + start, whole.start + stop))
            start, shard = stop, shard + (first + stop == bounds[shard + 1])
        first += rows
    return [tuple(cut) for cut in found]
