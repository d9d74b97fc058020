"""*Driver.* A map whose embeddings have grown: what is there stays, and what is new is placed in its frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from clip_spark import storage
from clip_spark.analysis.map.frame import KINDS, TEXT
from clip_spark.analysis.map.listing import NAMES
from clip_spark.analysis.map.shards import FRAME_SHARD, NamesShard, PointShard, tile_shards, whole_shard
from clip_spark.datasets.commit import read_head
from clip_spark.datasets.doubled import doubled_rows
from clip_spark.datasets.growth import Growth, next_number
from clip_spark.datasets.manifest import Manifest, file_of
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.sources import read_sources, sources_table
from clip_spark.errors import InputError, OutputError


def sources_of(shards: Sequence[PointShard]) -> pa.Table:
    """*Pure.* What a map is made of: shards of embeddings by their identities, each with its dataset."""
    return sources_table([s.identity for s in shards], [s.owner for s in shards], [s.number for s in shards])


def grow_map(shards: Sequence[PointShard], append: bool, before: Manifest | None, _: Any) -> Growth | None:
    """*Driver.* What becomes of the map that is official now.

    A set that is named again is brought up to date: its new shards are placed, those that it has no more go. Sets that
    came by --append stay. Names stay too; a map without any gets them from the first texts that it is given.

    Args:
        shards: of the sets that are named now.
        append: whether the map's own sets stay, though they are not named.
        before: the map; None if there is none yet.

    Raises:
        OutputError: the map was made of other sets.
        InputError: records are to be appended that are on the map already.
    """
    if before is None:
        return None
    old = read_sources(before)
    known = {row["source"]: row for row in old.to_pylist()} if old is not None else {}
    now = {shard.identity: shard for shard in shards}
    owners, named = {row["stamp"] for row in known.values()}, {shard.owner for shard in shards}
    if not append and not now.keys() & known.keys() and not owners & named:
        raise OutputError(
            f"'{before.uri}' was made of other embeddings. --append adds these to it, --overwrite makes another map."
        )
    gone = {} if append else {key: row for key, row in known.items() if key not in now and row["stamp"] in named}
    new = [shard for key, shard in now.items() if key not in known]
    naming = any(shard.kind == TEXT and shard.points for shard in shards) and not _has_names(before)
    if not new and not gone and not naming:
        return Growth(kept=before.receipts, items=())
    left = {key: row for key, row in known.items() if key not in gone}
    return _growth(before, left, {key: row["shard"] for key, row in gone.items()}, new, naming)


def names_of(receipts: Sequence[Receipt]) -> Receipt:
    """*Pure.* The receipt of a map's names, of all of its receipts."""
    return next(receipt for receipt in receipts if file_of(receipt, NAMES))


def _has_names(before: Manifest) -> bool:
    zooms = storage.read_json(storage.join(before.uri, file_of(names_of(before.receipts), NAMES)))
    return any(region["name"] for zoom in zooms for region in zoom["regions"])


def _growth(
    before: Manifest, left: dict[str, Any], gone: dict[str, int], new: Sequence[PointShard], naming: bool
) -> Growth:
    """What stays and what is new; `left` and `gone` are by identity. A shard may go and come without some rows."""
    by_number = {receipt.shard: receipt for receipt in before.receipts}
    points = {row["shard"] for row in left.values()}
    names = set() if naming else {names_of(before.receipts).shard}
    kept = tuple(by_number[number] for number in sorted({FRAME_SHARD} | names | points))
    first = next_number(before)
    named = [NamesShard(first)] if naming else []
    placed = [_numbered(shard, first + len(named) + at) for at, shard in enumerate(new)]
    _check_new(before, {number: key for key, row in left.items() for number in [row["shard"]]}, by_number, placed)
    rows = sum(receipt.rows for receipt in kept) + sum(shard.points for shard in placed)
    again = {whole_shard(shard.identity): shard.points for shard in placed}
    out = {number: again.get(whole_shard(key), 0) for key, number in gone.items()}
    stay = [PointShard(row["shard"], "", row["stamp"], "", "", 0, key) for key, row in left.items()]
    return Growth(
        kept=kept,
        items=(*named, *placed, *tile_shards(rows, first + len(named) + len(placed))),
        sources=sources_of(sorted([*stay, *placed], key=lambda shard: shard.number)),
        vanished=sum(by_number[number].rows - placed_again for number, placed_again in out.items()),
        pruned=True,
        rewritten=sum(out.values()),
    )


def _numbered(shard: PointShard, number: int) -> PointShard:
    return replace(shard, number=number)


def _check_new(before: Manifest, kept: dict[int, str], receipts: dict[int, Receipt], new: Sequence[PointShard]) -> None:
    """*Driver.* Raise InputError if a record of the new shards is on the map already, as the same kind of point."""
    for kind in KINDS:
        held = [
            storage.join(before.uri, file_of(receipts[number], "points"))
            for number, key in sorted(kept.items())
            if key.startswith(kind + ":") and receipts[number].rows
        ]
        fresh = [shard for shard in new if shard.kind == kind and shard.points]
        doubled = doubled_rows([*held, *(shard.records for shard in fresh)]) if held and fresh else {}
        count = sum(len(shard.kept(rows)) for shard in fresh if (rows := doubled.get(shard.records)) is not None)
        if count:
            raise InputError(
                f"{count:,} of these {kind} records are on the map '{before.uri}' already; append sets that share none "
                "with it, or make another map with --overwrite."
            )


def check_there(output: str) -> None:
    """*Driver.* Raise InputError unless there is a map to append to."""
    head = read_head(output)
    if head.manifest is None:
        raise InputError(f"--append adds to a map, and there is none at '{head.uri}'; leave it out to make one.")
