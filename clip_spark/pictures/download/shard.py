"""*Worker.* One task of download-images: a slice of records -> a tar of pictures, and a row for each link."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from clip_spark.datasets import schema
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.shards import ShardWriter
from clip_spark.pictures.download.checkpoints import Checkpoints
from clip_spark.pictures.download.crawl import run
from clip_spark.pictures.download.earlier import Earlier
from clip_spark.pictures.download.links import Link, host_of
from clip_spark.pictures.download.outcomes import FIELDS, Outcome
from clip_spark.pictures.download.slices import Slice, read_rows
from clip_spark.pictures.download.specs import DownloadSpec
from clip_spark.pictures.download.tar_samples import add_sample, open_tar

PICTURES, RECORDS = "images", "records"
STATUS, HOST = "status: ", "failed at host: "
"""Counters of receipts begin so."""
NAMED_HOSTS = 5
"""Hosts of a shard whose failures are counted by name."""
OWN = tuple(name for name, _ in FIELDS)


@dataclass(frozen=True)
class DownloadWork:
    """*Worker.* Downloads one shard; picklable.

    Attributes:
        output: where this run writes.
        plan: its fingerprint.
        columns: of the records that are written.
        threads: that decode and encode.
        earlier: shard number -> what an earlier run has of it; empty in a first run.
    """

    output: str
    plan: str
    spec: DownloadSpec
    columns: pa.Schema
    threads: int
    earlier: Mapping[int, Earlier] = field(default_factory=dict)

    def __call__(self, part: Slice) -> Receipt:
        """Fetch what has no outcome yet, then write the shard from the outcomes."""
        checkpoints = Checkpoints(self.output, self.plan, part.number)
        earlier = self.earlier.get(part.number)
        done = checkpoints.done() | (earlier.settled() if earlier else set())
        links = [link for link in self._links(part) if link.position not in done]
        try:
            run(self.spec, links, self.threads, checkpoints.add)
        finally:
            checkpoints.flush()  # also on an error: what has come is not asked for again
        outcomes = checkpoints.outcomes()
        receipt = self._write(part, earlier.merged(outcomes) if earlier else outcomes)
        checkpoints.remove()
        return receipt

    def _links(self, part: Slice) -> Iterator[Link]:
        position = 0
        columns = ["uri"] + ([self.spec.hash_column] if self.spec.hash_column else [])
        for table in read_rows(part, columns):
            digests = table[self.spec.hash_column].to_pylist() if self.spec.hash_column else [""] * table.num_rows
            for url, digest in zip(table["uri"].to_pylist(), digests, strict=True):
                yield Link(position, url or "", str(digest or ""))
                position += 1

    def _write(self, part: Slice, outcomes: Iterator[Outcome]) -> Receipt:
        hosts: Counter[str] = Counter()
        with ShardWriter(self.output, self.plan, part.number, {RECORDS: self.columns}) as writer:
            with writer.attached(PICTURES, "tar") as stream, open_tar(stream) as tar:
                for table in read_rows(part):
                    rows = table.to_pylist()
                    found = [next(outcomes) for _ in rows]
                    for row, outcome in zip(rows, found, strict=True):
                        writer.counters[STATUS + outcome.status] += 1
                        writer.counters["bytes fetched"] += outcome.bytes or 0
                        if outcome.is_ok:
                            add_sample(tar, outcome, self._metadata(row, outcome), row.get("text"))
                        elif host := host_of(row["uri"] or ""):
                            hosts[host] += 1
                    writer.write(RECORDS, self._records(table, found))
            writer.counters.update({HOST + name: number for name, number in hosts.most_common(NAMED_HOSTS)})
            return writer.finish()

    def _records(self, table: pa.Table, found: list[Outcome]) -> pa.Table:
        facts = [outcome.facts() for outcome in found]
        made = {name: pa.array([fact[name] for fact in facts], kind) for name, kind in FIELDS}
        kept = {own_name(name): table[name] for name in table.column_names}
        return pa.table({name: made.get(name, kept.get(name)) for name in self.columns.names}, schema=self.columns)

    def _metadata(self, row: dict[str, Any], outcome: Outcome) -> dict[str, Any]:
        """What the JSON beside a picture says: the user's columns, and what img2dataset's would."""
        own = {own_name(name): value for name, value in row.items() if name not in ("uri", "kind", "text")}
        facts = {name: value for name, value in outcome.facts().items() if value is not None and name != "seconds"}
        return {"record_id": row["record_id"], "url": row["uri"], **own, **facts}


def own_name(name: str) -> str:
    """*Pure.* What a column of the records is called beside those that a download adds."""
    return schema.own_name(name, OWN)


def columns_of(records: pa.Schema) -> pa.Schema:
    """*Pure.* The columns of the records that a download writes."""
    own = [pa.field(own_name(field.name), field.type) for field in records]
    return pa.schema([*own, *FIELDS])
