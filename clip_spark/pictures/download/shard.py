"""*Worker.* One task of download-images: some links -> a tar of pictures, and a row for each link."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.shards import ShardWriter
from clip_spark.pictures.download.checkpoints import Checkpoints
from clip_spark.pictures.download.crawl import run
from clip_spark.pictures.download.earlier import OldShard
from clip_spark.pictures.download.links import Link
from clip_spark.pictures.download.outcomes import FIELDS, HOST, PICTURES, RECORDS, STATUS, Outcome
from clip_spark.pictures.download.slices import NewShard, own_name
from clip_spark.pictures.download.specs import DownloadSpec
from clip_spark.pictures.download.tar_samples import add_sample, open_tar
from clip_spark.pictures.hosts import host_of
from clip_spark.runtime.row_counts import count_rows

NAMED_HOSTS = 5
"""Hosts of a shard whose failures are counted by name."""


@dataclass(frozen=True)
class DownloadWork:
    """*Worker.* Downloads one shard; picklable.

    Attributes:
        output: where this run writes.
        plan: its fingerprint.
        columns: of the records that are written of new rows.
        threads: that decode and encode.
    """

    output: str
    plan: str
    spec: DownloadSpec
    columns: pa.Schema
    threads: int

    def __call__(self, part: NewShard | OldShard) -> Receipt:
        """Fetch what has no outcome yet, then write the shard from the outcomes."""
        checkpoints = Checkpoints(self.output, self.plan, part.number)
        done = checkpoints.done() | (part.settled() if isinstance(part, OldShard) else set())
        links = [link for link in self._links(part) if link.position not in done]

        def take(outcome: Outcome) -> None:
            checkpoints.add(outcome)
            count_rows(1)

        try:
            run(self.spec, links, self.threads, take)
        finally:
            checkpoints.flush()  # also on an error: what has come is not asked for again
        outcomes = checkpoints.outcomes()
        receipt = self._write(part, part.merged(outcomes) if isinstance(part, OldShard) else outcomes)
        checkpoints.remove()
        return receipt

    def _links(self, part: NewShard | OldShard) -> Iterator[Link]:
        position, digest_column = 0, own_name(self.spec.hash_column)
        for table in part.tables({"uri", digest_column}):
            digests = table[digest_column].to_pylist() if digest_column else [""] * table.num_rows
            for url, digest in zip(table["uri"].to_pylist(), digests, strict=True):
                yield Link(position, url or "", str(digest or ""))
                position += 1

    def _write(self, part: NewShard | OldShard, outcomes: Iterator[Outcome]) -> Receipt:
        hosts: Counter[str] = Counter()
        columns = part.columns(self.columns)
        with ShardWriter(self.output, self.plan, part.number, {RECORDS: columns}) as writer:
            with writer.attached(PICTURES, "tar") as stream, open_tar(stream) as tar:
                for table in part.tables():
                    rows = table.to_pylist()
                    found = [next(outcomes) for _ in rows]
                    for row, outcome in zip(rows, found, strict=True):
                        writer.counters[STATUS + outcome.status] += 1
                        writer.counters["bytes fetched"] += outcome.bytes or 0
                        if outcome.is_ok:
                            add_sample(tar, outcome, _metadata(row, outcome), row.get("text"))
                        elif host := host_of(row["uri"] or ""):
                            hosts[host] += 1
                    writer.write(RECORDS, _records(table, found, columns))
            writer.counters.update({HOST + name: number for name, number in hosts.most_common(NAMED_HOSTS)})
            return writer.finish()


def _records(table: pa.Table, found: Sequence[Outcome], columns: pa.Schema) -> pa.Table:
    """Rows with what became of them."""
    facts = [outcome.facts() for outcome in found]
    made = {name: pa.array([fact[name] for fact in facts], kind) for name, kind in FIELDS}
    made |= {name: table[name] for name in table.column_names}
    return pa.table({name: made[name] for name in columns.names}, schema=columns)


def _metadata(row: dict[str, Any], outcome: Outcome) -> dict[str, Any]:
    """What is said beside a picture: the user's columns, and what img2dataset's JSON would say."""
    own = {name: value for name, value in row.items() if name not in ("uri", "kind", "text")}
    facts = {name: value for name, value in outcome.facts().items() if value is not None and name != "seconds"}
    return {"record_id": row["record_id"], "url": row["uri"], **own, **facts}


def columns_of(records: pa.Schema) -> pa.Schema:
    """*Pure.* The columns of the records that a download writes."""
    own = [pa.field(own_name(field.name), field.type) for field in records]
    return pa.schema([*own, *FIELDS])
