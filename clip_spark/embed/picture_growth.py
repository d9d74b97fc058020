"""*Driver.* embed-images on folders that have grown: the new pictures make new shards, the others stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.growth import Growth, changes_since, inside_of, next_number, shards_without
from clip_spark.datasets.manifest import Manifest, file_of
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.run import Run
from clip_spark.datasets.sources import SCHEMA, compare, sources_table
from clip_spark.datasets.taken_over import FinishedShard, copies, unchanged
from clip_spark.embed.cut_shard import CutShard
from clip_spark.embed.pending import of_one_encoder
from clip_spark.pictures.find import FoundPictures, PictureShard, plan_shards
from clip_spark.pictures.records import MetadataColumn
from clip_spark.pictures.sources import FilesPart


def sources_of(found: FoundPictures, shards: Sequence[PictureShard]) -> pa.Table:
    """*Pure.* Each picture, tar and parquet file with its stamp and the shard that it is in (sources.SCHEMA)."""
    sizes = [len(shard.part.files) if isinstance(shard.part, FilesPart) else 1 for shard in shards]
    return sources_table(found.names, found.stamps, np.repeat([shard.number for shard in shards], sizes))


def grow_pictures(
    found: FoundPictures, shard_rows: int, prune: bool, before: Manifest | None, finished: Sequence[FinishedShard]
) -> Growth:
    """*Driver.* What becomes of a dataset when its pictures are these now.

    A dataset of ours says itself what it holds: shards that it has replaced, or pruned, are followed at once.

    Raises:
        OutputError: none of the pictures that it was made of is among them.
    """
    now = sources_table(found.names, found.stamps, np.zeros(len(found.stamps), np.int32))
    nothing = (SCHEMA.empty_table(), compare(now[:0], now))
    old, changes = changes_since(before, now, "images", found.datasets) if before else nothing
    todo = np.union1d(changes.new, changes.changed) if prune else changes.new
    replaced = np.intersect1d(changes.vanished, inside_of(found.datasets, old))
    gone = np.union1d(changes.vanished, changes.outdated) if prune else replaced
    taken, rest = unchanged(of_one_encoder(finished, before), now, todo)
    copied, of_copied = copies(taken, next_number(before))
    new = found.only(rest.tolist())
    shards = plan_shards(new, shard_rows, next_number(before) + len(copied))
    stay, cut = shards_without(before, old, gone) if before else ([], [])
    cuts = [_cut(before, receipt, old, gone) for receipt in cut if before]
    left = old.take(pa.array(np.delete(np.arange(old.num_rows), gone)))
    return Growth(
        kept=tuple(stay),
        items=(*cuts, *copied, *shards),
        sources=pa.concat_tables([left, of_copied, sources_of(new, shards)]).combine_chunks(),
        vanished=len(changes.vanished) - (0 if prune else len(replaced)),
        changed=len(changes.changed),
        pruned=prune,
        cut=frozenset(receipt.shard for receipt in cut),
    )


def _cut(before: Manifest, receipt: Receipt, old: pa.Table, gone: np.ndarray) -> CutShard:
    here = gone[old["shard"].to_numpy()[gone] == receipt.shard]
    return CutShard(receipt.shard, before.uri, receipt, tuple(old["source"].take(pa.array(here)).to_pylist()))


def typed_as_before(columns: tuple[MetadataColumn, ...], run: Run) -> tuple[MetadataColumn, ...]:
    """*Driver.* The columns of metadata with the types that the shards which stay, or are taken over, have.

    What new pictures hold of another type is counted, and stays in `metadata`.
    """
    stored = _stored_records(run) if columns else ""
    if not stored:
        return columns
    with storage.open_read(stored) as stream:
        types = pq.read_schema(stream)
    known = {each.name: str(types.field(each.name).type) for each in columns if each.name in types.names}
    return tuple(replace(each, type=known.get(each.name, each.type)) for each in columns)


def _stored_records(run: Run) -> str:
    """URI of a file of records of a shard that stays or is taken over; empty if there is none."""
    before, copied = run.grown_from, run.growth.copied if run.growth else []
    shards = [(before.uri, receipt) for receipt in before.receipts] if before else []
    shards += [(item.place, item.receipt) for item in copied]
    return next((storage.join(uri, path) for uri, receipt in shards if (path := file_of(receipt, "records"))), "")
