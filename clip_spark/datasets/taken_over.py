"""*Driver.* Shards that a run had finished when it was killed, for a run whose input has changed since.

The same command goes on where it stopped. Where its input has changed meanwhile it has another plan; but a shard all of
whose sources are there as they were is what that plan would make of them. Such shards are copied: a manifest names
files of its own writer only, and the other run may still be alive, or be cleaned away.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clip_spark import storage
from clip_spark.datasets.commit import Head, named_places
from clip_spark.datasets.manifest import GENERATIONS
from clip_spark.datasets.plan import Plan, check_plan, found_plan, same_places
from clip_spark.datasets.receipt import Receipt, shard_name, write_receipt
from clip_spark.datasets.receipt_files import ReadMany, ReceiptReader
from clip_spark.datasets.sources import SCHEMA, SOURCES, read_sources_of

COPY_BYTES = 16 << 20


@dataclass(frozen=True)
class FinishedShard:
    """A shard that no manifest names.

    Attributes:
        place: URI of the folder of its run.
        receipt: its paths are relative to the place.
        sources: what it was made of (sources.SCHEMA); none where its run has not noted that.
    """

    place: str
    receipt: Receipt
    sources: pa.Table


@dataclass(frozen=True)
class CopiedShard:
    """*Worker.* One item of a plan: a finished shard is copied under a number of its own; picklable."""

    number: int
    place: str
    receipt: Receipt

    def __len__(self) -> int:
        return self.receipt.rows

    def write(self, output: str, plan: str) -> Receipt:
        """*Worker.* Copy the files, the receipt last; its figures tell of the work that was done."""
        files = {}
        for path, size in self.receipt.files.items():
            copy = path.replace(f"/{shard_name(self.receipt.shard)}.", f"/{shard_name(self.number)}.")
            with (
                storage.open_read(storage.join(self.place, path)) as source,
                storage.open_write(storage.join(output, copy)) as target,
            ):
                shutil.copyfileobj(source, target, COPY_BYTES)
            files[copy] = size
        check_plan(output, plan)
        receipt = dataclasses.replace(self.receipt, shard=self.number, plan=plan, files=files)
        write_receipt(output, receipt)
        return receipt


@dataclass(frozen=True)
class MakeOrCopy:
    """*Worker.* Makes a shard, or copies one that another run has made; picklable."""

    output: str
    plan: str
    make: Callable[[Any], Receipt]

    def __call__(self, item: Any) -> Receipt:
        """Write the shard."""
        return item.write(self.output, self.plan) if isinstance(item, CopiedShard) else self.make(item)


def find_finished(head: Head, plan: Plan, read: ReadMany) -> list[FinishedShard]:
    """*Driver.* The shards of all runs of the same options and places that were never committed, in a fixed order."""
    found: list[FinishedShard] = []
    with suppress(FileNotFoundError):  # `clean` is at it, or was stopped
        for place in _unfinished_places(head):
            found += _finished_in(place, plan, read)
    return found


def _unfinished_places(head: Head) -> list[str]:
    taken = {*named_places(head.manifest), *head.manifest.fenced} if head.manifest else set()
    aside = [f"{GENERATIONS}/{name}" for name in storage.folder_names(storage.join(head.uri, GENERATIONS))]
    top = [] if head.manifest else [head.uri]
    return [*top, *(storage.join(head.uri, place) for place in aside if place not in taken)]


def _finished_in(place: str, plan: Plan, read: ReadMany) -> Iterator[FinishedShard]:
    other = found_plan(place)
    if other is None or other.fingerprint == plan.fingerprint or not same_places(other, plan):
        return
    receipts = [receipt for receipt in ReceiptReader(place, read).read() if receipt.plan == other.fingerprint]
    if not storage.exists(storage.join(place, SOURCES)):
        yield from (FinishedShard(place, receipt, SCHEMA.empty_table()) for receipt in receipts)
        return
    sources = read_sources_of(place)
    order = np.argsort(sources["shard"].to_numpy(), kind="stable")
    numbers = sources["shard"].to_numpy()[order]
    for receipt in receipts:
        low, high = np.searchsorted(numbers, (receipt.shard, receipt.shard + 1))
        if low < high:
            yield FinishedShard(place, receipt, sources.take(pa.array(order[low:high])))


def unchanged(
    finished: Sequence[FinishedShard], now: pa.Table, todo: np.ndarray
) -> tuple[list[FinishedShard], np.ndarray]:
    """*Pure.* Which shards can be taken over, no source twice.

    Args:
        finished: what there is.
        now: the present sources (sources.SCHEMA).
        todo: the rows of them that are to be done; int64, rising.

    Returns:
        the shards, and what is left to be done.
    """
    wanted = now.take(pa.array(todo)).combine_chunks()
    theirs = pa.concat_tables([SCHEMA.empty_table(), *(one.sources for one in finished)]).combine_chunks()
    rows = pc.index_in(theirs["source"], value_set=wanted["source"].combine_chunks()).combine_chunks()
    same = pc.equal(wanted["stamp"].take(rows), theirs["stamp"]).fill_null(False).to_numpy(zero_copy_only=False)
    at, left = rows.fill_null(0).to_numpy().astype(np.int64), np.ones(len(todo), bool)
    taken, start = [], 0
    for shard in finished:
        mine = slice(start, start := start + shard.sources.num_rows)
        if same[mine].all() and left[at[mine]].all():
            left[at[mine]] = False
            taken.append(shard)
    return taken, todo[left]


def copies(taken: Sequence[FinishedShard], first: int) -> tuple[list[CopiedShard], pa.Table]:
    """*Pure.* Items for these shards, numbered from `first`, and their sources under the new numbers."""
    items = [CopiedShard(number, one.place, one.receipt) for number, one in enumerate(taken, first)]
    tables = [SCHEMA.empty_table()]
    for item, one in zip(items, taken, strict=True):
        numbers = pa.array(np.full(one.sources.num_rows, item.number, np.int32))
        tables.append(one.sources.set_column(2, SCHEMA.field("shard"), numbers))
    return items, pa.concat_tables(tables).combine_chunks()
