"""*Driver.* How the links of now differ from those that downloads have, by record ids; in rounds of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.doubled import id_numbers
from clip_spark.datasets.sources import compare

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


def compare_links(old: Sequence[str], now: Sequence[str], rows: int, at_once: int = ROWS_AT_ONCE) -> LinkChanges:
    """*Driver.* Compare by record ids and links, in rounds of bounded size.

    Args:
        old: files of records of downloads; of a row that comes twice the second one has vanished.
        now: files of the records that there are now.
        rows: of the larger side, about.
        at_once: rows of one round.
    """
    rounds = max(1, -(-rows // at_once))
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
