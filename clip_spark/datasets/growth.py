"""*Driver.* A dataset whose input has grown: what of it stays, what is to be done, and how that is told.

The generation that comes of it names the shards that stay under the paths that they have, and those that are added.
What vanished from the input, or changed there, stays as it is until a run with --prune takes it out or does it again:
a disk that is not mounted must not empty a dataset.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.receipt import WRITTEN_AGAIN, Receipt
from clip_spark.datasets.sources import Changes, compare, names_of, read_sources
from clip_spark.datasets.taken_over import CopiedShard, FinishedShard
from clip_spark.errors import OutputError

log = logging.getLogger(__name__)

GROWTH = "growth"
"""In a manifest's `extra`: what the run that wrote it added, and what it left as it was."""
TAKEN_OVER = "taken_over"
"""The same: how many shards and rows of the runs that were not finished it has copied."""


@dataclass(frozen=True)
class Growth:
    """What a run takes over from the generation before it, and what it adds.

    Attributes:
        kept: receipts of the shards that stay.
        items: what the tasks get; each has a `number`, that of its shard.
        sources: of the whole new generation (sources.SCHEMA); None of a dataset whose records say what it is made of.
        vanished: sources that are gone; kept, or taken out if `pruned`.
        changed: sources that have changed; kept as they were, or done again if `pruned`.
        pruned: whether --prune was given.
        cut: numbers of those items that write a shard again without what vanished.
        rewritten: rows of the generation before that are written again among the others.
    """

    kept: tuple[Receipt, ...]
    items: tuple[Any, ...]
    sources: pa.Table | None = None
    vanished: int = 0
    changed: int = 0
    pruned: bool = False
    cut: frozenset[int] = field(default=frozenset())
    rewritten: int = 0

    def is_idle(self, before: Manifest) -> bool:
        """*Pure.* True if the dataset stays as it is."""
        return not self.items and len(self.kept) == len(before.receipts)

    @property
    def numbers(self) -> list[int]:
        """*Pure.* Of the shards that are to be written, in order."""
        return sorted(item.number for item in self.items)

    def figures(self, written: Sequence[Receipt] = ()) -> dict[str, Any]:
        """*Pure.* For a manifest's `extra`; `written` are the receipts of the shards that this run wrote."""
        fresh = [receipt for receipt in written if receipt.shard not in self.cut]
        new = sum(receipt.rows - receipt.counters.get(WRITTEN_AGAIN, 0) for receipt in fresh) - self.rewritten
        return {"new_rows": new, "vanished": self.vanished, "changed": self.changed, "pruned": self.pruned}

    @property
    def copied(self) -> list[CopiedShard]:
        """*Pure.* Those items that runs before this one had finished."""
        return [item for item in self.items if isinstance(item, CopiedShard)]

    def taken_over(self) -> dict[str, Any]:
        """*Pure.* For a manifest's `extra`; nothing if there is nothing."""
        rows = sum(item.receipt.rows for item in self.copied)
        return {TAKEN_OVER: {"shards": len(self.copied), "rows": rows}} if self.copied else {}


@dataclass(frozen=True)
class AllAgain:
    """All of a dataset is to be done again; `why` is for a person."""

    why: str


Grow = Callable[[Manifest | None, Sequence[FinishedShard]], Growth | AllAgain | None]
"""What becomes of the generation that is official now (None: nothing is yet), and of the shards that runs have finished
but not committed; None if all is to be done again because the input has changed; raises OutputError if the input is
another one."""


def told(figures: dict[str, Any]) -> str:
    """*Pure.* `200 new; 3 vanished, kept; --prune takes them out`: what a person wants to know of a growth."""
    new, vanished, changed = (figures.get(name, 0) for name in ("new_rows", "vanished", "changed"))
    parts = [f"{new:,} new"] if new else []
    if figures.get("pruned"):
        parts += [f"{vanished:,} vanished, taken out"] if vanished else []
        parts += [f"{changed:,} changed, done again"] if changed else []
    elif vanished and changed:
        parts += [f"{vanished:,} vanished and {changed:,} changed, kept as they were", "--prune brings them up to date"]
    elif vanished:
        parts += [f"{vanished:,} vanished, kept", "--prune takes them out"]
    elif changed:
        parts += [f"{changed:,} changed, kept as they were", "--prune does them again"]
    return "; ".join(parts)


def changes_since(
    before: Manifest, now: pa.Table, option: str, datasets: Sequence[str] = ()
) -> tuple[pa.Table, Changes]:
    """*Driver.* The sources of a dataset, and how those of now differ from them; what is gone is named in the log.

    Args:
        before: what is official.
        now: the present sources; their shards do not matter.
        option: name of the option that gives the input, for messages.
        datasets: those of ours among the input; all of their files may have new names.

    Raises:
        OutputError: an older version did not note the sources, or not one of them is left: that is another input.
    """
    old = read_sources(before)
    if old is None:
        raise OutputError(
            f"'{before.uri}' was made of another --{option} by an older version, which did not note of what; "
            "choose another --output, or do all of it again with --overwrite."
        )
    changes = compare(old, now)
    if old.num_rows and len(changes.vanished) == old.num_rows and not len(inside_of(datasets, old)):
        raise OutputError(
            f"'{before.uri}' was made of other input: nothing of it, such as {names_of(old, changes.vanished)}, is in "
            f"--{option}. Choose another --output, or replace it with --overwrite."
        )
    for what, rows in (("vanished", changes.vanished), ("changed", changes.outdated)):
        if len(rows):
            log.info("--%s: %s %s since '%s' was made, such as %s", option, f"{len(rows):,}", what, before.uri,
                     names_of(old, rows))  # fmt: skip
    return old, changes


def inside_of(datasets: Sequence[str], sources: pa.Table) -> np.ndarray:
    """*Pure.* Rows of the sources that are files of these datasets of ours, int64."""
    found = np.zeros(sources.num_rows, bool)
    for uri in datasets:
        found |= pc.starts_with(sources["source"], uri + "/").to_numpy().astype(bool)
    return np.flatnonzero(found)


def shards_without(before: Manifest, old: pa.Table, gone: np.ndarray) -> tuple[list[Receipt], list[Receipt]]:
    """*Pure.* What sources that go (rows of `old`) leave of the shards.

    Returns:
        the receipts of shards that stay as they are, and of those that keep only a part; the others have nothing left.
    """
    shards = old["shard"].to_numpy()
    hit, left = set(shards[gone].tolist()), set(np.delete(shards, gone).tolist())
    stay = [receipt for receipt in before.receipts if receipt.shard not in hit]
    return stay, [receipt for receipt in before.receipts if receipt.shard in hit and receipt.shard in left]


def next_number(before: Manifest | None) -> int:
    """*Pure.* The first shard number that no shard of the dataset has."""
    return 1 + max((receipt.shard for receipt in before.receipts), default=-1) if before else 0
