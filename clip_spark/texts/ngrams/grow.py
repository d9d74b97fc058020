"""*Driver.* count-ngrams on a corpus that has grown: the new files are counted, and what was counted is added to them.

The result is that of counting all files from the start: of what was read before, its counts enter the sums as one more
part (counted_shard.py), and each of its splits keeps its receipt, with totals and rejects, under a new number.
That is exact only where every n-gram was kept; a count with a higher --min-count is made again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from clip_spark import storage
from clip_spark.datasets.growth import GROWTH, AllAgain, Growth, changes_since
from clip_spark.datasets.manifest import REPORT, Manifest, file_of, inside
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.run import Run
from clip_spark.datasets.taken_over import CopiedShard
from clip_spark.texts.corpus import CorpusFile, Split
from clip_spark.texts.made_again import check_none_gone
from clip_spark.texts.ngrams.counting.counted_shard import CountedShard
from clip_spark.texts.specs import CountSpec


@dataclass(frozen=True)
class _Item:
    """One receipt of a count: of a shard of counts, of a split that is to be read, or of one that was read before."""

    number: int
    split: Split = ()
    copied: CopiedShard | None = None


@dataclass(frozen=True)
class Todo:
    """What a run counts.

    Attributes:
        shards: of counts.
        splits: to be read; their receipts come behind those of the shards.
        counted: what was counted before, to be added.
        copies: receipts of the splits that were read for that; they come last.
        points: how the vocabulary grew in them (growth.py).
    """

    shards: int
    splits: list[Split]
    counted: tuple[CountedShard, ...] = ()
    copies: tuple[CopiedShard, ...] = ()
    points: Sequence[Sequence[int]] = ()

    @property
    def receipts_of_splits(self) -> int:
        """How many receipts are not those of shards."""
        return len(self.splits) + len(self.copies)


@dataclass(frozen=True)
class CountGrowth:
    """What becomes of a count when its corpus is this one now; the `grow` of begin_run.

    Attributes:
        spec: what is counted.
        files: of the corpus.
        sources: the same (sources.SCHEMA).
        shards: of the new count.
        plan: fingerprint of the plan of all files.
        cut: deals files out to splits.
    """

    spec: CountSpec
    files: Sequence[CorpusFile]
    sources: pa.Table
    shards: int
    plan: str
    cut: Callable[[Sequence[CorpusFile]], list[Split]]

    def __call__(self, before: Manifest | None, finished: object) -> Growth | AllAgain | None:
        """*Driver.* The items of a run that adds to a count, or why there can be none.

        Raises:
            OutputError: files are gone, all would have to be counted again, and --prune was not given.
        """
        if before is None:
            return None
        if before.fingerprint == self.plan and not before.extra.get(GROWTH, {}).get("vanished"):
            return Growth(before.receipts, ())  # asked for by --prune: there is nothing to take out
        old, changes = changes_since(before, self.sources, "corpus")
        gone, changed = len(changes.vanished), len(changes.outdated)
        if not (gone or changed or len(changes.new)):  # what was gone is back
            return Growth(before.receipts, ())
        why = self._why_all_again(gone, changed)
        if why:
            check_none_gone(before, old, changes, "corpus", self.spec.prune)
            return AllAgain(why)
        if not len(changes.new):
            return Growth(before.receipts, (), old, gone)
        sources = pa.concat_tables([old, self.sources.take(pa.array(changes.new))]).combine_chunks()
        items = self._items(before, self.cut([self.files[row] for row in changes.new]))
        return Growth((), tuple(items), sources, gone, rewritten=before.rows)

    def _why_all_again(self, gone: int, changed: int) -> str:
        if gone and self.spec.prune:
            return f"{gone:,} files are gone, and what they were counted for cannot be taken out: all is counted again"
        if changed:
            return f"{changed:,} files have changed since, so all is counted again"
        least = self.spec.least()
        if set(least.values()) != {1}:
            return (
                "what was seen less often than --min-count was not kept, so all is counted again; counts of "
                "--min-count 1 grow by their new files alone, and filter-ngrams has a --min-count of its own"
            )
        return "" if 1 in least else "single words were not counted (--orders 1), so all is counted again"

    def _items(self, before: Manifest, splits: Sequence[Split]) -> list[_Item]:
        """*Driver.* Numbered: shards, new splits, splits of before."""
        items = [_Item(number) for number in range(self.shards)]
        items += [_Item(number, split=split) for number, split in enumerate(splits, self.shards)]
        read = [receipt for receipt in before.receipts if not file_of(receipt, "counts")]
        place = storage.join(before.uri, before.place) if before.place else before.uri
        copies = [
            CopiedShard(number, place, _inside(receipt, before.place))
            for number, receipt in enumerate(read, len(items))
        ]
        return [*items, *(_Item(copy.number, copied=copy) for copy in copies)]


def _inside(receipt: Receipt, place: str) -> Receipt:
    """*Pure.* A receipt with its paths relative to the place of its generation; a count has files of one only."""
    files = {path.removeprefix(inside(place, "")): size for path, size in receipt.files.items()}
    return dataclasses.replace(receipt, files=files)


def todo_of(run: Run, shards: int, splits: list[Split]) -> Todo:
    """*Driver.* What a run counts: all splits of its plan, or what a growth leaves to do."""
    before = run.grown_from
    if before is None or run.growth is None:
        return Todo(shards, splits)
    items: tuple[_Item, ...] = run.growth.items
    counted = tuple(map(CountedShard, before.files("counts")))
    copies = tuple(item.copied for item in items if item.copied is not None)  # the receipt of a split has no rows
    points: Any = storage.read_json(before.locate(REPORT)).get("growth", [])
    return Todo(shards, [item.split for item in items if item.split], counted, copies, points)
