"""*Driver.* download-images on records that have grown, or once more for what failed: what is fetched, and what stays.

Records are made anew when their tables grow, and their rows then lie elsewhere. So rows are told by their ids, and a
download's own records say what it has. Shards that stay are not touched, new links make new ones, and shards of a run
that was killed before the records grew are copied.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from clip_spark import storage
from clip_spark.datasets.growth import Growth, next_number
from clip_spark.datasets.manifest import Manifest, file_of
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.taken_over import CopiedShard, FinishedShard
from clip_spark.errors import OutputError
from clip_spark.pictures.download.earlier import OldShard, is_again
from clip_spark.pictures.download.link_changes import LinkChanges, Places, compare_links
from clip_spark.pictures.download.outcomes import PICTURES, RECORDS
from clip_spark.pictures.download.slices import NewShard, cut
from clip_spark.pictures.download.taken_links import records_of, takeable
from clip_spark.pictures.download.tally import STATUS


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

    def __call__(self, before: Manifest | None, finished: Sequence[FinishedShard]) -> Growth | None:
        """None where there is nothing to go on from.

        Raises:
            OutputError: not one of the links of a download is left: those are other records.
        """
        taken = takeable(before, finished, self.records)
        if before is None and not taken:
            return None
        changes = self._changes(before, taken)
        gone = _together(changes.vanished, changes.outdated) if self.prune else {}
        todo = _together(changes.new, changes.changed) if self.prune else changes.new
        old = [self._old(before, receipt, gone) for receipt in before.receipts] if before else []
        again = {shard.number for shard in old if shard is not None}
        order = [uri for uri, _ in self.records.sized_files(RECORDS) if uri in todo]
        first = next_number(before)
        copied = [CopiedShard(number, one.place, one.receipt) for number, one in enumerate(taken, first)]
        new: list[NewShard] = cut(((uri, todo[uri]) for uri in order), self.shard_rows, first + len(copied))
        return Growth(
            kept=tuple(receipt for receipt in before.receipts if receipt.shard not in again) if before else (),
            items=(*(shard for shard in old if shard is not None and not shard.is_empty), *copied, *new),
            vanished=_count(changes.vanished),
            changed=_count(changes.outdated),
            pruned=self.prune,
            cut=frozenset(again),
        )

    def _changes(self, before: Manifest | None, taken: Sequence[FinishedShard]) -> LinkChanges:
        held = before.files(RECORDS) if before else []
        is_same = before and before.inputs["records"]["fingerprint"] == self.records.content_fingerprint
        if is_same and not taken and not self.prune:
            return LinkChanges()
        there = [records_of(one) for one in taken]
        rows = max(before.rows if before else 0, self.records.rows)
        changes = compare_links([*held, *there], self.records.files(RECORDS), rows)
        if before and before.rows and _count(changes.vanished) == before.rows:
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
