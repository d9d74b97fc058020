"""*Worker.* One task of download-images: some links -> a tar of pictures, and a row for each link."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from clip_spark.datasets.receipt import Receipt, found_receipt
from clip_spark.datasets.shards import ShardWriter
from clip_spark.errors import SpecError
from clip_spark.pictures.download.checkpoints import Checkpoints
from clip_spark.pictures.download.crawl import run
from clip_spark.pictures.download.earlier import OldShard
from clip_spark.pictures.download.links import Link
from clip_spark.pictures.download.outcomes import FIELDS, PICTURES, RECORDS, Outcome
from clip_spark.pictures.download.samples import ENDING_OF, open_samples
from clip_spark.pictures.download.slices import NewShard, own_name
from clip_spark.pictures.download.specs import DownloadSpec
from clip_spark.pictures.download.tally import Pace, Tally
from clip_spark.runtime.row_counts import count_rows


@dataclass(frozen=True)
class DownloadWork:
    """*Worker.* Downloads one shard; picklable.

    Attributes:
        output: where this run writes.
        plan: its fingerprint.
        columns: of the records that are written of new rows.
        threads: that decode and encode.
        tasks: that run at the same time.
    """

    output: str
    plan: str
    spec: DownloadSpec
    columns: pa.Schema
    threads: int
    tasks: int = 1

    def __call__(self, part: NewShard | OldShard) -> Receipt:
        """Fetch what has no outcome yet, then write the shard from the outcomes; another attempt may be quicker."""
        receipt = self._finished(part)
        if receipt is None:
            checkpoints = self.fetch(part)
            checkpoints.decide()  # before the next look: who decides after another has finished finds its receipt
            receipt = self._finished(part) or self._written(part, checkpoints)
        Checkpoints(self.output, self.plan, part.number).remove()
        return receipt

    def _finished(self, part: NewShard | OldShard) -> Receipt | None:
        return found_receipt(self.output, self.plan, part.number)

    def _written(self, part: NewShard | OldShard, checkpoints: Checkpoints) -> Receipt:
        """The shard of its checkpoints, which go as soon as another attempt has written it."""
        try:
            outcomes = checkpoints.outcomes()
            outcomes = part.merged(outcomes) if isinstance(part, OldShard) else outcomes
            if self.spec.dedup != "no":
                outcomes = _stored_once(outcomes, checkpoints.doubles())
            return self._write(part, outcomes)
        except (FileNotFoundError, SpecError):
            if (receipt := self._finished(part)) is None:
                raise
            return receipt

    def fetch(self, part: NewShard | OldShard) -> Checkpoints:
        """Every row has an outcome then."""
        checkpoints = Checkpoints(self.output, self.plan, part.number)
        done = checkpoints.done() | (part.settled() if isinstance(part, OldShard) else set())
        links = {link.position: link for link in self._links(part) if link.position not in done}
        pace = Pace()

        def take(outcome: Outcome) -> None:
            checkpoints.add(outcome)
            pace.add(links[outcome.position].url, outcome)
            count_rows(1, pace.figures)

        try:
            run(self.spec, links.values(), self.threads, take, self.tasks)
        finally:
            checkpoints.flush()  # also on an error: what has come is not asked for again
        return checkpoints

    def _links(self, part: NewShard | OldShard) -> Iterator[Link]:
        position, digest_column = 0, own_name(self.spec.hash_column)
        for table in part.tables({"uri", digest_column}):
            digests = table[digest_column].to_pylist() if digest_column else [""] * table.num_rows
            for url, digest in zip(table["uri"].to_pylist(), digests, strict=True):
                yield Link(position, url or "", str(digest or ""))
                position += 1

    def _write(self, part: NewShard | OldShard, outcomes: Iterator[Outcome]) -> Receipt:
        tally = Tally()
        columns = part.columns(self.columns)
        with ShardWriter(self.output, self.plan, part.number, {RECORDS: columns}) as writer:
            ending = ENDING_OF[self.spec.format]
            with (
                writer.attached(PICTURES, ending) as stream,
                open_samples(self.spec.format, stream, columns) as samples,
            ):
                for table in part.tables():
                    rows = table.to_pylist()
                    found = [next(outcomes) for _ in rows]
                    for row, outcome in zip(rows, found, strict=True):
                        tally.add(row["uri"] or "", outcome)
                        if outcome.is_stored:
                            samples.add(row, outcome)
                    writer.write(RECORDS, _records(table, found, columns))
            writer.counters.update(tally.counters())
            return writer.finish()


@dataclass(frozen=True)
class Fetch:
    """*Worker.* The first half of a shard's work: all outcomes, to be compared with those of the others; picklable."""

    work: DownloadWork

    def __call__(self, part: NewShard | OldShard) -> int:
        """The shard's number."""
        if found_receipt(self.work.output, self.work.plan, part.number) is None:
            self.work.fetch(part)
        return part.number


def _stored_once(outcomes: Iterator[Outcome], doubles: Mapping[int, str]) -> Iterator[Outcome]:
    """Outcomes of which those whose picture another row stores keep no file."""
    for outcome in outcomes:
        held = doubles.get(outcome.position)
        yield outcome if held is None else dataclasses.replace(outcome, stored_as=held, ending="", data=b"")


def _records(table: pa.Table, found: Sequence[Outcome], columns: pa.Schema) -> pa.Table:
    """Rows with what became of them."""
    facts = [outcome.facts() for outcome in found]
    made = {name: pa.array([fact[name] for fact in facts], kind) for name, kind in FIELDS}
    made |= {name: table[name] for name in table.column_names}
    return pa.table({name: made[name] for name in columns.names}, schema=columns)


def columns_of(records: pa.Schema) -> pa.Schema:
    """*Pure.* The columns of the records that a download writes."""
    own = [pa.field(own_name(field.name), field.type) for field in records]
    return pa.schema([*own, *FIELDS])
