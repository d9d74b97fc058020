"""*Worker.* Runs: different keys in rising order with their counts; counting, merging, and their form on the wire.

Keys are counted by sorting: on 64-bit integers a good sort is five times faster than a hash table, and its result
is what merging, cutting into shards and delta coding need.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np
import pyarrow as pa

from clip_spark.texts.ngrams.counting.packed_keys import Columns, Layout, slices

MERGE_ROWS = 1 << 22
"""Keys that are gathered before they are merged into what was merged before."""
CODEC = "zstd"
HEAD = "<Bqq"
"""Of a message: columns, rows, counts that do not fit into a byte."""


@dataclass(frozen=True)
class Run:
    """Different keys in rising order, and how often each was seen (int64)."""

    columns: Columns
    counts: np.ndarray

    def __len__(self) -> int:
        return len(self.counts)

    def slice(self, rows: slice) -> Run:
        """*Pure.* Some of the rows."""
        return Run(tuple(column[rows] for column in self.columns), self.counts[rows])


def sort_integers(values: np.ndarray) -> np.ndarray:
    """*Worker.* Sorted uint64; on a CPU with AVX-512 by numpy (4 million in 0.12 s, polars 0.27), else by polars (a
    branch-free sort, 2.5 times as fast as numpy's) where it is installed."""
    if _numpy_has_avx512():
        return np.sort(values)
    try:
        os.environ.setdefault("POLARS_MAX_THREADS", "1")  # the cores belong to the other tasks
        os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:0,muzzy_decay_ms:0")  # and the memory to all
        import polars
    except ImportError:
        return np.sort(values)
    series = cast("polars.Series", polars.from_arrow(pa.array(values)))  # no copy; from numpy it would be one
    return series.sort().to_numpy()


@lru_cache(1)
def _numpy_has_avx512() -> bool:
    """*Worker.* Whether numpy (1.25 and later) has found the instructions that its sort is fast with."""
    core = getattr(np, "_core", None) or np.core
    return bool(core._multiarray_umath.__cpu_features__.get("AVX512_SKX"))


def sort_rows(columns: Columns) -> tuple[Columns, np.ndarray | None]:
    """*Worker.* Keys in rising order, and the order as row numbers if there is more than one column."""
    if len(columns) == 1:
        return (sort_integers(columns[0]),), None
    order = np.lexsort(columns[::-1])
    return tuple(column[order] for column in columns), order


def boundaries(columns: Columns) -> np.ndarray:
    """*Pure.* Row numbers (int64) at which sorted keys change, the first row among them."""
    rows = len(columns[0])
    changes = np.zeros(rows, bool)
    changes[:1] = True
    for column in columns:
        changes[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(changes)


def count_keys(columns: Columns) -> Run:
    """*Worker.* Each different key with the number of its rows."""
    columns, _ = sort_rows(columns)  # under the same name, so that the unsorted keys are let go
    starts = boundaries(columns)
    counts = np.diff(starts, append=len(columns[0]))
    return Run(tuple(column[starts] for column in columns), counts)


def merge(runs: Sequence[Run]) -> Run:
    """*Worker.* One run with the counts of equal keys summed."""
    runs = [run for run in runs if len(run)] or runs[:1]
    if len(runs) == 1:
        return runs[0]
    columns = tuple(np.concatenate(parts) for parts in zip(*(run.columns for run in runs), strict=True))
    if len(columns) == 1:
        return _merge_single(columns[0], runs)
    ordered, order = sort_rows(columns)
    counts = np.concatenate([run.counts for run in runs])[order]
    starts = boundaries(ordered)
    summed = np.add.reduceat(counts, starts) if len(starts) else counts
    return Run(tuple(column[starts] for column in ordered), summed)


def _merge_single(keys: np.ndarray, runs: Sequence[Run]) -> Run:
    """*Worker.* Sort the keys, each with what it counts above one in the bits that keys leave free, if that has room;
    what has none is added afterwards."""
    free = 64 - int(max(run.columns[0][-1] for run in runs)).bit_length()
    room = np.uint64((1 << free) - 1)
    above = np.concatenate([run.counts for run in runs]).view(np.uint64) - np.uint64(1)
    ordered = sort_integers((keys << np.uint64(free)) | above * (above <= room))
    keys = ordered >> np.uint64(free)
    starts = boundaries((keys,))
    unique = keys[starts]
    counts = np.add.reduceat(ordered & room, starts).view(np.int64) + np.diff(starts, append=len(keys))
    for run in runs:
        more = np.flatnonzero(run.counts - 1 > int(room))
        counts[np.searchsorted(unique, run.columns[0][more])] += run.counts[more] - 1  # keys differ within a run
    return Run((unique,), counts)


def merge_all(runs: Iterable[Run], layout: Layout) -> Run:
    """*Worker.* Merge any number of runs; holds the result and at most MERGE_ROWS more keys."""
    held: list[Run] = [empty(layout)]
    gathered = 0
    for run in runs:
        held.append(run)
        gathered += len(run)
        if gathered >= max(MERGE_ROWS, len(held[0])):
            held, gathered = [merge(held)], 0
    return merge(held)


def empty(layout: Layout) -> Run:
    """*Pure.* A run without keys."""
    return Run(tuple(np.zeros(0, np.uint64) for _ in layout.widths), np.zeros(0, np.int64))


def prefixes(run: Run, layout: Layout, words: int) -> Run:
    """*Worker.* The n-grams of a shorter order: counts of equal beginnings summed; `columns` stay whole keys."""
    if len(run) and words < layout.order:
        starts = boundaries(layout.prefix(run.columns, words))
        run = Run(tuple(column[starts] for column in run.columns), np.add.reduceat(run.counts, starts))
    return filtered(run, layout.word(run.columns, words - 1) != 0)


def filtered(run: Run, keep: np.ndarray) -> Run:
    """*Pure.* The rows for which `keep` (bool) is true."""
    return Run(tuple(column[keep] for column in run.columns), run.counts[keep])


def encode(run: Run) -> bytes:
    """*Worker.* A run as bytes: the first column as differences, all columns as planes of bytes, compressed.

    Neighbouring keys share their high bytes, and most counts are 1: about 4 bytes per key are left.
    """
    first, *others = run.columns
    planes = [np.diff(first, prepend=np.uint64(0)), *others]
    small = np.minimum(run.counts, 255).astype(np.uint8)
    large = run.counts[small == 255]
    body = b"".join([*(_to_planes(each).data for each in planes), small.tobytes(), large.astype(np.int64).tobytes()])
    head = struct.pack(HEAD, len(run.columns), len(run), len(large))
    return head + pa.Codec(CODEC).compress(body, asbytes=True)


def decode(data: bytes) -> Run:
    """*Worker.* The inverse of `encode`."""
    columns, rows, large = struct.unpack_from(HEAD, data)
    body = pa.Codec(CODEC).decompress(
        data[struct.calcsize(HEAD) :], decompressed_size=rows * (8 * columns + 1) + 8 * large, asbytes=True
    )
    planes = np.frombuffer(body, np.uint8, 8 * columns * rows).reshape(columns, 8, rows)
    values = [_from_planes(each) for each in planes]
    values[0] = np.cumsum(values[0], dtype=np.uint64)
    counts = np.frombuffer(body, np.uint8, rows, 8 * columns * rows).astype(np.int64)
    if large:
        counts[counts == 255] = np.frombuffer(body, np.int64, large, (8 * columns + 1) * rows)
    return Run(tuple(values), counts)


def _to_planes(values: np.ndarray) -> np.ndarray:
    """*Pure.* uint64 (rows,) as all first bytes, all second bytes, ...: uint8 (8, rows). By hand: T takes 5 times as
    long."""
    planes, rows = np.empty((8, len(values)), np.uint8), values.view(np.uint8).reshape(-1, 8)
    for place in range(8):
        planes[place] = rows[:, place]
    return planes


def _from_planes(planes: np.ndarray) -> np.ndarray:
    """*Pure.* The inverse of `_to_planes`."""
    rows = np.empty((planes.shape[1], 8), np.uint8)
    for place in range(8):
        rows[:, place] = planes[place]
    return rows.view(np.uint64).reshape(-1)


def encode_parts(run: Run, cuts: np.ndarray) -> Iterator[bytes]:
    """*Worker.* One message for each shard, in order."""
    for rows in slices(cuts):
        yield encode(run.slice(rows))
