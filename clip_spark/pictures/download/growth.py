"""*Driver.* download-images on records that have grown, or once more for what failed: what is fetched, and what stays.

Records are made anew when their tables grow, and their rows then lie elsewhere. So rows are told by their ids, and a
download's own records say what it has. Shards that stay are not touched, new links make new ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.doubled import id_numbers
from clip_spark.datasets.growth import Growth, next_number
from clip_spark.datasets.manifest import Manifest, file_of
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.sources import compare
from clip_spark.errors import OutputError
from clip_spark.pictures.download.earlier import OldShard, is_again
from clip_spark.pictures.download.outcomes import PICTURES, RECORDS
from clip_spark.pictures.download.slices import NewShard, cut
from clip_spark.pictures.download.tally import STATUS

ROWS_AT_ONCE = 4_000_000
"""Links that are compared in one round: about a gigabyte."""
Places = Mapping[str, np.ndarray]
"""URI of a file of records -> numbers of some of its rows, rising."""
LINKS = pa.schema([("record_id", pa.string()), ("uri", pa.string()), ("file", pa.int32()), ("row", pa.int64())])


@dataclass(frozen=True)
class LinkChanges:
    """How the links of now differ from those of a download: new and changed of now, outdated and vanished of it."""

    new: Places = field(default_factory=dict)
    changed: Places = field(default_factory=dict)
    outdated: Places = field(default_factory=dict)
    vanished: Places = field(default_factory=dict)


@dataclass(frozen=True)
class GrowLinks:
    """What becomes of a finished download (growth.Grow).

    Attributes:
        records: the links that there are now.
        shard_rows: most rows of a new shard.
        reasons: for which rows are fetched again.
        prune: whether rows are taken out whose links are gone.
    """

    records: Manifest
    shard_rows: int
    reasons: Collection[str] = ()
    prune: bool = False

    def __call__(self, before: Manifest | None, finished: object) -> Growth:
        """Raises OutputError if not one of its links is left: those are other records; or if it was never finished."""
        if before is None:
            raise OutputError(
                f"'{self.records.uri}' has changed since this download was stopped, and nothing is fetched twice "
                "unasked: give another --output, or --overwrite."
            )
        changes = self._changes(before)
        gone = _together(changes.vanished, changes.outdated) if self.prune else {}
        todo = _together(changes.new, changes.changed) if self.prune else changes.new
        old = [self._old(before, receipt, gone) for receipt in before.receipts]
        again = {shard.number for shard in old if shard is not None}
        order = [uri for uri, _ in self.records.sized_files(RECORDS) if uri in todo]
        new: list[NewShard] = cut(((uri, todo[uri]) for uri in order), self.shard_rows, next_number(before))
        return Growth(
            kept=tuple(receipt for receipt in before.receipts if receipt.shard not in again),
            items=(*(shard for shard in old if shard is not None and not shard.is_empty), *new),
            vanished=_count(changes.vanished),
            changed=_count(changes.outdated),
            pruned=self.prune,
            cut=frozenset(again),
        )

    def _changes(self, before: Manifest) -> LinkChanges:
        if before.inputs["records"]["fingerprint"] == self.records.content_fingerprint and not self.prune:
            return LinkChanges()
        changes = compare_links(before, self.records)
        if before.rows and _count(changes.vanished) == before.rows:
            raise OutputError(
                f"'{before.uri}' was made of other links: none of them is in '{self.records.uri}'. Choose another "
                "--output, or replace it with --overwrite."
            )
        return changes

    def _old(self, before: Manifest, receipt: Receipt, gone: Places) -> OldShard | None:
        """The shard if it is to be written again."""
        records, pictures = (storage.join(before.uri, file_of(receipt, folder)) for folder in (RECORDS, PICTURES))
        found = [name.removeprefix(STATUS) for name in receipt.counters if name.startswith(STATUS)]
        if not any(is_again(status, self.reasons) for status in found) and records not in gone:
            return None
        rows = gone.get(records, np.empty(0, np.int64))
        reasons = tuple(sorted(self.reasons))
        return OldShard(receipt.shard, receipt.rows, records, pictures, reasons, tuple(rows.tolist()))


def _count(places: Places) -> int:
    return sum(map(len, places.values()))


def _together(one: Places, other: Places) -> Places:
    nothing = np.empty(0, np.int64)
    return {uri: np.union1d(one.get(uri, nothing), other.get(uri, nothing)) for uri in {*one, *other}}


def compare_links(before: Manifest, records: Manifest, at_once: int = ROWS_AT_ONCE) -> LinkChanges:
    """*Driver.* Compare by record ids and links, in rounds of bounded size.

    Args:
        before: a download.
        records: the links that there are now.
        at_once: rows of one round.
    """
    old, now = before.files(RECORDS), records.files(RECORDS)
    rounds = max(1, -(-max(before.rows, records.rows) // at_once))
    found = [_compare(old, now, rounds, number) for number in range(rounds)]
    sides = {"new": now, "changed": now, "outdated": old, "vanished": old}
    return LinkChanges(**{name: _by_file(side, [one[name] for one in found]) for name, side in sides.items()})


def _compare(old: Sequence[str], now: Sequence[str], rounds: int, number: int) -> dict[str, pa.Table]:
    """The rows of one round that differ, by how they do."""
    before, after = (_links(files, rounds, number) for files in (old, now))
    changes = compare(
        *(side.select(["record_id", "uri"]).rename_columns(["source", "stamp"]) for side in (before, after))
    )
    sides = {"new": after, "changed": after, "outdated": before, "vanished": before}
    return {name: side.take(pa.array(getattr(changes, name))) for name, side in sides.items()}


def _links(files: Sequence[str], rounds: int, number: int) -> pa.Table:
    """The ids and links of one round, with the numbers of their files and rows."""
    parts = [table for file, uri in enumerate(files) for table in _links_of(uri, file, rounds, number)]
    return pa.concat_tables([LINKS.empty_table(), *parts]).combine_chunks()


def _links_of(uri: str, file: int, rounds: int, number: int) -> Iterator[pa.Table]:
    first = 0
    with storage.open_read(uri) as stream:
        for batch in pq.ParquetFile(stream).iter_batches(columns=["record_id", "uri"]):
            ids = batch.column("record_id")
            mine = np.flatnonzero(id_numbers(ids)[:, 0] % np.uint64(rounds) == number)
            links = batch.column("uri").fill_null("")
            columns = [ids.take(pa.array(mine)), links.take(pa.array(mine)), np.full(len(mine), file), first + mine]
            yield pa.table(dict(zip(LINKS.names, columns, strict=True))).cast(LINKS)
            first += batch.num_rows


def _by_file(files: Sequence[str], parts: Sequence[pa.Table]) -> Places:
    """Rows by the URI of their file; files without one are left out."""
    owners, rows = (np.concatenate([part[name].to_numpy() for part in parts]) for name in ("file", "row"))
    return {files[file]: np.sort(rows[owners == file]) for file in np.unique(owners)}
