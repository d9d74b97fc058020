"""*Driver.* Which shards of killed runs a download goes on from: those whose links are all there as they were."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.growth import next_number
from clip_spark.datasets.manifest import Manifest, file_of
from clip_spark.datasets.taken_over import FinishedShard
from clip_spark.pictures.download.link_changes import compare_links
from clip_spark.pictures.download.outcomes import RECORDS


def records_of(shard: FinishedShard) -> str:
    """*Pure.* The file of a shard's records."""
    return storage.join(shard.place, file_of(shard.receipt, RECORDS))


def takeable(before: Manifest | None, finished: Sequence[FinishedShard], records: Manifest) -> list[FinishedShard]:
    """*Driver.* Those shards all of whose links are among the records, and in no other shard.

    Args:
        before: what is official.
        finished: shards that no manifest names.
        records: the links that there are now.
    """
    new = {records_of(one): one for one in finished if one.receipt.shard >= next_number(before)}
    if not new:
        return []
    held = before.files(RECORDS) if before else []
    rows = max(records.rows, sum(one.receipt.rows for one in new.values()))
    changes = compare_links([*held, *new], records.files(RECORDS), rows)
    same = [uri for uri in new if uri not in changes.vanished and uri not in changes.outdated]
    return [new[uri] for uri in _complete(same, held)]


def _complete(shards: list[str], held: Sequence[str]) -> list[str]:
    """Those files of records of which each row that has no picture of its own points at one that stays (--dedup)."""
    pointed = {uri: _column(uri, "stored_as").drop_null().unique() for uri in shards}
    wanted = pa.chunked_array([pa.array([], pa.string()), *pointed.values()]).unique()
    if not len(wanted):
        return shards
    stays = [pc.is_in(wanted, value_set=_column(uri, "record_id")) for uri in held]
    stored = {uri: pc.is_in(wanted, value_set=_column(uri, "record_id")) for uri in shards}
    while stored:
        there = reduce(pc.or_, [*stays, *stored.values()])
        kept = {
            uri: mask for uri, mask in stored.items() if pc.all(there.take(pc.index_in(pointed[uri], wanted))).as_py()
        }
        if len(kept) == len(stored):
            break
        stored = kept
    return list(stored)


def _column(uri: str, name: str) -> pa.Array:
    """A column of a file of records; nulls where an older version wrote the file without it."""
    with storage.open_read(uri) as stream:
        table = pq.read_table(stream, columns=[name])
    return table[name].combine_chunks() if name in table.column_names else pa.nulls(table.num_rows, pa.string())
