"""*Worker.* Rows whose pictures are the same: of all of them one keeps its file, and the others point at it.

    task of a shard --(key, who)--> by key: the first of each --(row, who keeps the file)--> doubles.json of each shard

The first is that which has its file already (of a shard that stays), else the first in the order of the shards. So the
same rows make the same decision however they are cut, and after a kill again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.arrow_stream import to_stream
from clip_spark.datasets.manifest import file_of
from clip_spark.datasets.receipt import found_receipt
from clip_spark.pictures.download.checkpoints import Checkpoints
from clip_spark.pictures.download.earlier import OldShard, is_again
from clip_spark.pictures.download.outcomes import RECORDS
from clip_spark.pictures.download.pdq import low_bits
from clip_spark.pictures.download.slices import NewShard
from clip_spark.pictures.download.statuses import OK

KEYS = pa.schema(
    [
        ("key", pa.binary()),
        ("rank", pa.int8()),
        ("shard", pa.int32()),
        ("row", pa.int32()),
        ("record_id", pa.string()),
    ]
)
"""`rank` is 0 of a row that has a file already."""
FACTS = ("status", "sha256", "pdq", "stored_as")
Found = tuple[int, int, str]
"""A shard, a row of it, and the record that keeps its picture."""


@dataclass(frozen=True)
class Shards:
    """What is compared.

    Attributes:
        output: where the run writes.
        plan: its fingerprint.
        by: `sha256` or `perceptual`.
        written: (shard, its file of records) of all that are there.
        pending: those whose rows have only checkpoints.
    """

    output: str
    plan: str
    by: str
    written: Sequence[tuple[int, str]]
    pending: Sequence[NewShard | OldShard]

    @property
    def items(self) -> list[tuple[int, str] | NewShard | OldShard]:
        """All shards."""
        return [*self.written, *self.pending]


@dataclass(frozen=True)
class ReadKeys:
    """*Worker.* The keys of a shard's pictures, packed for the tasks that compare them; picklable."""

    output: str
    plan: str
    by: str
    partitions: int

    def __call__(self, item: tuple[int, str] | NewShard | OldShard) -> Iterator[tuple[int, bytes]]:
        """(Number of the task, some rows of KEYS)."""
        rows = written_facts(item[1]) if isinstance(item, tuple) else self._pending(item)
        number = item[0] if isinstance(item, tuple) else item.number
        parts: dict[int, list[dict[str, Any]]] = {}
        for position, record_id, facts in rows:
            if facts["status"] == OK:
                key = key_of(facts, self.by)
                held = bool(facts.get("held")) and facts["stored_as"] is None
                row = {"key": key, "rank": 1 - held, "shard": number, "row": position, "record_id": record_id}
                parts.setdefault(int.from_bytes(key[-4:]) % self.partitions, []).append(row)
        for part, found in parts.items():
            yield part, to_stream(pa.Table.from_pylist(found, KEYS), "zstd")

    def _pending(self, part: NewShard | OldShard) -> Iterator[tuple[int, str, dict[str, Any]]]:
        if (done := found_receipt(self.output, self.plan, part.number)) is not None:  # by another run of this command
            yield from written_facts(storage.join(self.output, file_of(done, RECORDS)))
            return
        fresh = Checkpoints(self.output, self.plan, part.number).facts(FACTS)
        old = written_facts(part.records) if isinstance(part, OldShard) else ()
        reasons = part.reasons if isinstance(part, OldShard) else ()
        yield from (row for row in old if not is_again(row[2]["status"], reasons))
        position = 0
        for table in part.tables({"record_id"}):
            for record_id in table["record_id"].to_pylist():
                if position in fresh:
                    yield position, record_id, fresh[position]
                position += 1


def key_of(facts: dict[str, Any], by: str) -> bytes:
    """*Pure.* What two rows share if their pictures are taken for the same; where one shows too little, its bytes."""
    return low_bits(facts["pdq"]) if by == "perceptual" and facts["pdq"] else bytes.fromhex(facts["sha256"])


def written_facts(records: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """*Worker.* (Row, record id, facts) of a written shard."""
    position = 0
    with storage.open_read(records) as stream:
        for batch in pq.ParquetFile(stream).iter_batches(columns=["record_id", *FACTS]):
            for row in batch.to_pylist():
                yield position, row["record_id"], {**row, "held": True}
                position += 1


def doubles_of(blocks: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, Found]]:
    """*Worker.* Of the rows of one task: (shard, what it must know) of each that is not the first with its key."""
    tables = [pa.ipc.open_stream(block).read_all() for _, block in blocks]
    if not tables:
        return
    order = [(name, "ascending") for name in ("key", "rank", "shard", "row")]
    found = pa.concat_tables(tables).sort_by(order).combine_chunks()
    keys = found["key"].to_numpy()
    is_first = np.ones(len(keys), bool)
    is_first[1:] = keys[1:] != keys[:-1]
    first = np.maximum.accumulate(np.where(is_first, np.arange(len(keys)), 0))
    again = np.flatnonzero(~is_first & (found["rank"].to_numpy() > 0))
    held = found["record_id"].take(pa.array(first[again])).to_pylist()
    for shard, row, record_id in zip(
        *(found[name].take(pa.array(again)).to_pylist() for name in ("shard", "row")), held, strict=True
    ):
        yield shard, (shard, row, record_id)


@dataclass(frozen=True)
class WriteDoubles:
    """*Worker.* Leaves the doubles of its shards, also of those that have none; picklable."""

    output: str
    plan: str
    pending: tuple[int, ...]
    writers: int

    def __call__(self, index: int, found: Iterable[tuple[int, Found]]) -> Iterator[int]:
        """The part of the pending shards that is this task's."""
        mine: dict[int, dict[int, str]] = {n: {} for n in self.pending if n % self.writers == index}
        for shard, (_, row, record_id) in found:
            if shard in mine:
                mine[shard][row] = record_id
        for shard, doubles in mine.items():
            Checkpoints(self.output, self.plan, shard).write_doubles(doubles)
            yield shard
