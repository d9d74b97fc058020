"""*Driver.* --remove: all but the kept of each group are taken down from an index, as remove-records does it.

A group whose kept record the index does not have, or has taken down itself, is left alone: something of it stays.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.analysis.duplicates.write import DUPLICATES
from clip_spark.datasets import schema
from clip_spark.datasets.manifest import Manifest
from clip_spark.index.change.remove import remove_records
from clip_spark.index.files.layout import read_index
from clip_spark.index.open.records import RecordReader
from clip_spark.index.open.removals import read_removed
from clip_spark.index.specs import RemoveSpec
from clip_spark.runtime.session import SessionSource

log = logging.getLogger(__name__)

LOOKED_UP = 1_000_000
"""Ids that one scan of the index looks for."""


def take_down(get_spark: SessionSource, manifest: Manifest, index: str) -> str:
    """*Driver.* Take down what the groups in a dataset do not keep; returns what a person should hear of it."""
    found, info = read_index(index)
    records, removed = RecordReader(found.uri, info.records, info.columns), set(read_removed(found.uri))
    lonely = set[str]()
    for table in _tables(manifest, keep=True):
        kept = table["group"].to_pylist()
        lonely |= set(kept) - _live(records, kept, removed)
    doomed = list[str]()
    for table in _tables(manifest, keep=False):
        table = table.filter(pc.invert(pc.is_in(table["group"], value_set=pa.array(sorted(lonely), pa.string()))))
        doomed += sorted(_live(records, table[schema.RECORD_ID].to_pylist(), removed))
    if doomed:
        remove_records(get_spark, RemoveSpec(index=index, ids=tuple(doomed)))
    told = f"{len(doomed):,} records taken down from '{index}'"
    if lonely:
        told += f"; {len(lonely):,} groups left alone, whose kept record it does not have"
    log.info("%s", told)
    return told


def _tables(manifest: Manifest, *, keep: bool) -> Iterator[pa.Table]:
    """*Driver.* Ids and groups of the rows that are kept, or of the others, so many at once."""
    parts, rows = list[pa.Table](), 0
    for uri, count in manifest.sized_files(DUPLICATES):
        if count:
            with storage.open_read(uri) as stream:
                table = pq.read_table(stream, columns=[schema.RECORD_ID, "group", "keep"])
            parts.append(table.filter(pc.equal(table["keep"], keep)))
            rows += parts[-1].num_rows
        if rows >= LOOKED_UP:
            yield pa.concat_tables(parts)
            parts, rows = [], 0
    if rows:
        yield pa.concat_tables(parts)


def _live(records: RecordReader, ids: Sequence[str], removed: set[str]) -> set[str]:
    """*Driver.* Which of some ids the index has and has not taken down."""
    positions = records.find_all(ids)
    if not len(positions):
        return set()
    return set(records.take(positions, [schema.RECORD_ID]).column(0).to_pylist()) - removed
