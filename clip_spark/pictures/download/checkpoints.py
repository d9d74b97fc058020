"""*Worker.* What a killed task leaves to the next: outcomes, in files of a minute each.

    <output>/_work/<plan>/<shard>/<random>.arrow   some outcomes, in order of their positions; whole or not there
    <output>/_work/<plan>/<shard>/taken.json       which of them became the shard: the first who writes it decides
    <output>/_work/<plan>/<shard>/doubles.json     with --dedup: position -> record whose file shows the same

Two attempts at one shard may run at once, and the web may tell them different things. Both write checkpoints under
names of their own; both then make the shard of what `taken.json` names, so that they write the same bytes. Who has its
receipt takes all of it away; an attempt that comes later finds the receipt.
"""

from __future__ import annotations

import heapq
import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import groupby
from typing import Any

import pyarrow as pa

from clip_spark import storage
from clip_spark.datasets.receipt import shard_name
from clip_spark.errors import SpecError
from clip_spark.pictures.download.outcomes import SCHEMA, Outcome, from_batch, to_table

SECONDS, BYTES = 60.0, 64 << 20
"""A checkpoint is written after so long, or so many bytes of pictures."""
BATCH_ROWS = 64
TAKEN, DOUBLES = "taken.json", "doubles.json"
WORK = "_work"
"""Folder of all checkpoints of a run."""


class Checkpoints:
    """*Worker.* The checkpoints of one shard, those of earlier attempts too."""

    def __init__(self, output: str, plan: str, shard: int) -> None:
        self.place = storage.join(output, WORK, plan, shard_name(shard))
        self._names = sorted(
            storage.name(file.uri) for file in storage.iter_files(self.place) if file.uri.endswith(".arrow")
        )
        self._kept: list[Outcome] = []
        self._kept_bytes = 0
        self._since = time.monotonic()

    def done(self) -> set[int]:
        """Positions that have an outcome."""
        return {row["position"] for name in self._names for row in self._some(name, ["position"])}

    def facts(self, columns: Sequence[str]) -> dict[int, dict[str, Any]]:
        """Some columns of the outcomes that were taken, by position; pictures are not read."""
        found: dict[int, dict[str, Any]] = {}
        for name in self._taken():
            for row in self._some(name, ["position", *columns]):
                found.setdefault(row["position"], row)  # as `outcomes` decides
        return found

    def _some(self, name: str, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Some columns of a checkpoint; only their bytes are read."""
        with storage.open_read(storage.join(self.place, name)) as stream:
            there = pa.ipc.open_file(stream).schema.names
            fields = [there.index(column) for column in columns]
            stream.seek(0)
            file = pa.ipc.open_file(stream, options=pa.ipc.IpcReadOptions(included_fields=fields))
            for number in range(file.num_record_batches):
                yield from file.get_batch(number).to_pylist()

    def add(self, outcome: Outcome) -> None:
        """Keep an outcome; write a checkpoint when it is time."""
        self._kept.append(outcome)
        self._kept_bytes += len(outcome.data)
        if self._kept_bytes >= BYTES or time.monotonic() - self._since >= SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is kept."""
        if self._kept:
            name = f"{uuid.uuid4().hex}.arrow"
            table = to_table(sorted(self._kept, key=lambda outcome: outcome.position))
            uri = storage.join(self.place, name)
            with storage.open_write(uri) as stream, pa.ipc.new_file(stream, SCHEMA) as file:
                file.write_table(table, max_chunksize=BATCH_ROWS)
            self._names.append(name)
        self._kept, self._kept_bytes, self._since = [], 0, time.monotonic()

    def outcomes(self) -> Iterator[Outcome]:
        """The shard's outcomes by position, from the checkpoints that were taken; a few rows of each in memory."""
        with ExitStack() as files:
            rows = [self._rows(files, storage.join(self.place, name)) for name in self._taken()]
            merged = heapq.merge(*rows, key=lambda outcome: outcome.position)
            for _, same in groupby(merged, key=lambda outcome: outcome.position):
                yield next(same)  # merge is stable: of two attempts' outcomes always the same one

    def decide(self) -> None:
        """Name the checkpoints that make the shard, unless another attempt has named some."""
        storage.create_bytes(storage.join(self.place, TAKEN), json.dumps(sorted(self._names)).encode())

    def _taken(self) -> list[str]:
        self.decide()
        return list(json.loads(storage.read_bytes(storage.join(self.place, TAKEN))))

    def _rows(self, files: ExitStack, uri: str) -> Iterator[Outcome]:
        stream = files.enter_context(storage.open_read(uri))
        file = files.enter_context(pa.ipc.open_file(stream))
        for number in range(file.num_record_batches):
            yield from from_batch(file.get_batch(number))

    def write_doubles(self, doubles: Mapping[int, str]) -> None:
        """Leave for the task that writes the shard which rows have a picture that another one stores."""
        storage.write_json(storage.join(self.place, DOUBLES), {str(row): held for row, held in doubles.items()})

    def doubles(self) -> dict[int, str]:
        """What `write_doubles` left.

        Raises:
            SpecError: nobody has compared this shard with the others.
        """
        place = storage.join(self.place, DOUBLES)
        if not storage.exists(place):
            raise SpecError(
                "With --dedup a shard cannot be written alone: its rows are compared with those of all others."
            )
        return {int(row): held for row, held in storage.read_json(place).items()}

    def remove(self) -> None:
        """The shard has its receipt: nobody needs them any more."""
        storage.remove_files([storage.join(self.place, name) for name in (*self._names, TAKEN, DOUBLES)])
        storage.remove_empty_folders(self.place)
