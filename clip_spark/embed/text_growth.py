"""*Driver.* embed-text on records that have grown: files of records that are new make new shards, the others stay.

A shard stays if all that it was made of is still there; nothing of a dataset is kept that its records have lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clip_spark import storage
from clip_spark.datasets.growth import Growth, next_number
from clip_spark.datasets.manifest import Manifest, file_of
from clip_spark.datasets.sources import SCHEMA, read_sources, sources_table
from clip_spark.datasets.spec import fingerprint
from clip_spark.datasets.taken_over import FinishedShard, copies
from clip_spark.embed.pending import of_one_encoder
from clip_spark.embed.record_slices import RecordShard, cut_evenly, doubled_in, without
from clip_spark.embed.text_records import Slice


def sources_of(sets: Sequence[Manifest], shards: Sequence[RecordShard]) -> pa.Table:
    """*Pure.* Each slice of a records file with the shard that it is in (sources.SCHEMA); `file:start-stop`."""
    names = {uri: name for name, (uri, _) in _files(sets).items()}
    rows = [(part, shard.number) for shard in shards for part in shard.slices]
    slices = [f"{names[part.uri]}:{part.start}-{part.stop}" for part, _ in rows]
    return sources_table(slices, [_stamp(part) for part, _ in rows], [number for _, number in rows])


def _files(sets: Sequence[Manifest]) -> dict[str, tuple[str, int]]:
    """Identity of each file of records -> URI and rows, in order."""
    return {
        receipt.identity: (storage.join(records.uri, file_of(receipt, "records")), receipt.rows)
        for records in sets
        for receipt in records.receipts
    }


def _stamp(part: Slice) -> str:
    return fingerprint(part.without)[:16] if part.without else ""


def grow_texts(
    sets: Sequence[Manifest], shard_rows: int, before: Manifest | None, finished: Sequence[FinishedShard]
) -> Growth | None:
    """*Driver.* What becomes of a dataset when its records are these now; None if nothing of it can stay."""
    old = read_sources(before) if before else SCHEMA.empty_table()
    if old is None:
        return None
    files, doubled = _files(sets), doubled_in(sets)
    lost = {row["shard"] for row in old.to_pylist() if not _is_there(row, files, doubled)}
    kept = [receipt for receipt in before.receipts if receipt.shard not in lost] if before else []
    stays = old.filter(pc.invert(pc.is_in(old["shard"], value_set=pa.array(sorted(lost), pa.int32()))))
    whole = [
        one
        for one in of_one_encoder(finished, before)
        if all(_is_there(row, files, doubled) for row in one.sources.to_pylist())
    ]
    covered = [_slice(name, files) for name in stays["source"].to_pylist()]
    taken = _apart(whole, covered, files)
    if not kept and not taken:
        return None
    copied, of_copied = copies(taken, next_number(before))
    left = _uncovered(files, covered)
    shards = cut_evenly(left, shard_rows, doubled, next_number(before) + len(copied))
    sources = pa.concat_tables([stays, of_copied, sources_of(sets, shards)]).combine_chunks()
    return Growth(kept=tuple(kept), items=(*copied, *shards), sources=sources)


def _apart(
    finished: Sequence[FinishedShard], covered: list[Slice], files: Mapping[str, tuple[str, int]]
) -> list[FinishedShard]:
    """Those shards of which no row is in another that is taken; their slices are added to what is covered."""
    by_file: dict[str, list[Slice]] = {}
    for part in covered:
        by_file.setdefault(part.uri, []).append(part)
    taken = []
    for shard in finished:
        slices = [_slice(name, files) for name in shard.sources["source"].to_pylist()]
        if any(a.start < b.stop and b.start < a.stop for a in slices for b in by_file.get(a.uri, ())):
            continue
        taken.append(shard)
        covered += slices
        for part in slices:
            by_file.setdefault(part.uri, []).append(part)
    return taken


def _slice(name: str, files: Mapping[str, tuple[str, int]]) -> Slice:
    identity, _, rows = name.partition(":")
    start, _, stop = rows.partition("-")
    return Slice(files[identity][0], int(start), int(stop))


def _is_there(row: Mapping[str, str], files: Mapping[str, tuple[str, int]], doubled: Mapping[str, np.ndarray]) -> bool:
    """True if the file of a slice is still there, and the slice would still leave out the same rows."""
    if row["source"].partition(":")[0] not in files:
        return False
    return _stamp(without(_slice(row["source"], files), doubled)) == row["stamp"]


def _uncovered(files: Mapping[str, tuple[str, int]], covered: Sequence[Slice]) -> list[Slice]:
    """What of the files no slice holds, in order."""
    by_file: dict[str, list[Slice]] = {}
    for part in covered:
        by_file.setdefault(part.uri, []).append(part)
    found = []
    for uri, rows in files.values():
        at = 0
        for part in sorted(by_file.get(uri, ()), key=lambda part: part.start):
            if at < part.start:
                found.append(Slice(uri, at, part.start))
            at = part.stop
        if at < rows:
            found.append(Slice(uri, at, rows))
    return found
