"""*Driver.* import-embeddings where there are more files than before: what is new makes new shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from clip_spark.datasets.growth import Growth, changes_since, next_number, shards_without
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.sources import SCHEMA, compare, sources_table
from clip_spark.datasets.taken_over import FinishedShard, copies, unchanged
from clip_spark.embed.imported.sources import ImportShard, Source, pack
from clip_spark.embed.pending import of_one_encoder


def grow(
    parts: Sequence[Source],
    shard_rows: int,
    option: str,
    prune: bool,
    before: Manifest | None,
    finished: Sequence[FinishedShard],
) -> Growth:
    """*Driver.* What becomes of a dataset when these are the parts of its input now.

    With `prune` a shard that loses a part goes, and what is left of it is written again behind the others.

    Raises:
        OutputError: nothing of what it was made of is among them.
    """
    now = as_sources([ImportShard(0, tuple(parts))])
    nothing = (SCHEMA.empty_table(), compare(now[:0], now))
    old, changes = changes_since(before, now, option) if before else nothing
    gone = np.union1d(changes.vanished, changes.outdated) if prune else np.zeros(0, np.int64)
    stay, _ = shards_without(before, old, gone) if before else ([], [])
    numbers = {receipt.shard for receipt in stay}
    stays = np.isin(old["shard"].to_numpy(), list(numbers))
    again = np.setdiff1d(np.flatnonzero(~stays), gone)
    names = dict(zip(now["source"].to_pylist(), range(now.num_rows), strict=True))
    rewritten = np.array([names[name] for name in old["source"].take(pa.array(again)).to_pylist()], np.int64)
    todo = np.union1d(np.union1d(changes.new, changes.changed) if prune else changes.new, rewritten)
    taken, rest = unchanged(of_one_encoder(finished, before), now, todo)
    copied, of_copied = copies(taken, next_number(before))
    had = set(rewritten.tolist())
    shards = pack(
        [replace(parts[row], again=row in had) for row in rest.tolist()], shard_rows, next_number(before) + len(copied)
    )
    left = old.take(pa.array(np.flatnonzero(stays)))
    return Growth(
        kept=tuple(stay),
        items=(*copied, *shards),
        sources=pa.concat_tables([left, of_copied, as_sources(shards)]).combine_chunks(),
        vanished=len(changes.vanished),
        changed=len(changes.changed),
        pruned=prune,
    )


def as_sources(shards: Sequence[ImportShard]) -> pa.Table:
    """*Pure.* What each shard is made of (datasets.sources.SCHEMA)."""
    rows = [(part.name, part.stamp, shard.number) for shard in shards for part in shard.parts]
    names, stamps, numbers = zip(*rows, strict=True) if rows else ((), (), ())
    return sources_table(names, stamps, numbers)
