"""*Worker.* What people read of the groups: the largest ones as a page and as a contact sheet."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.analysis.duplicates.shards import Shard
from clip_spark.analysis.duplicates.write import DUPLICATES
from clip_spark.datasets import schema
from clip_spark.datasets.receipt import shard_name
from clip_spark.search.contact_sheet import draw_sheet, sheet_page
from clip_spark.search.hits import Hit, Hits

PAGE, SHEET = PAGES = ("report.html", "contact-sheet.png")
SHOWN = 12
"""Records of a group that a page shows."""
FACTS = (schema.RECORD_ID, "uri", "text", "caption", "offset", "size", "width", "height")
Group = tuple[int, str]
"""Its size below 0, and the id of the kept: the largest come first."""


@dataclass(frozen=True)
class LargestGroups:
    """*Worker.* The largest groups whose kept record is in a shard; picklable."""

    output: str
    count: int

    def __call__(self, shard: Shard) -> list[Group]:
        """At most `count`."""
        table = read_groups(self.output, shard)
        kept = table.filter(table["keep"])
        pairs = zip(kept["group_size"].to_pylist(), kept["group"].to_pylist(), strict=True)
        return heapq.nsmallest(self.count, ((-size, group) for size, group in pairs))


@dataclass(frozen=True)
class MembersOf:
    """*Worker.* Records of some groups that are in a shard, with what a page shows of them; picklable."""

    output: str
    groups: tuple[str, ...]

    def __call__(self, shard: Shard) -> dict[str, list[tuple[bool, float, dict[str, Any]]]]:
        """Group -> (others, -cosine, record), the kept first, then the nearest; at most SHOWN."""
        table = read_groups(self.output, shard)
        mine = table.filter(pc.is_in(table["group"], value_set=pa.array(self.groups, pa.string())))
        if not mine.num_rows:
            return {}
        records = shard.columns(FACTS)
        rows = records.take(pc.index_in(mine[schema.RECORD_ID], value_set=records[schema.RECORD_ID].combine_chunks()))
        found: dict[str, list[tuple[bool, float, dict[str, Any]]]] = {}
        for row, record in zip(mine.to_pylist(), rows.to_pylist(), strict=True):
            found.setdefault(row["group"], []).append((not row["keep"], -row["cosine"], record))
        return {group: best_of(members) for group, members in found.items()}


def best_of(members: Sequence[tuple[bool, float, dict[str, Any]]]) -> list[tuple[bool, float, dict[str, Any]]]:
    """*Pure.* The kept one and those nearest to it; ids decide between equals."""
    return heapq.nsmallest(SHOWN, members, key=lambda one: (*one[:2], one[2][schema.RECORD_ID]))


@dataclass(frozen=True)
class DrawPages:
    """*Worker.* Writes the pages; picklable.

    Attributes:
        output: where the run writes.
        groups: sizes with the records that are shown.
        pictures: whether the records are pictures.
    """

    output: str
    groups: tuple[tuple[int, list[tuple[bool, float, dict[str, Any]]]], ...]
    pictures: bool

    def __call__(self, title: str) -> int:
        """Write them under a title; returns the number of groups."""
        answers = [group_hits(size, members) for size, members in self.groups]
        storage.write_bytes(storage.join(self.output, PAGE), sheet_page(answers, title).encode())
        if self.pictures and answers:
            storage.write_bytes(storage.join(self.output, SHEET), draw_sheet(answers))
        return len(answers)


def group_hits(size: int, members: Sequence[tuple[bool, float, dict[str, Any]]]) -> Hits:
    """*Pure.* A group as pages show hits: the kept one first."""
    found = tuple(Hit(rank, -cosine, record) for rank, (_, cosine, record) in enumerate(members, 1))
    return Hits(found, f"{size:,} nearly the same; 1 is kept")


def read_groups(output: str, shard: Shard) -> pa.Table:
    """*Worker.* The rows of one shard of groups."""
    with storage.open_read(storage.join(output, DUPLICATES, f"{shard_name(shard.number)}.parquet")) as stream:
        return pq.read_table(stream)
