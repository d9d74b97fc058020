"""*Worker.* What a killed task leaves to the next: outcomes, in files of a minute each.

    <output>/_work/<plan>/<shard>/<random>.arrow   some outcomes, in order of their positions; whole or not there
    <output>/_work/<plan>/<shard>/taken.json       which of them became the shard: the first who writes it decides

Two attempts at one shard may run at once, and the web may tell them different things. Both write checkpoints under
names of their own; both then make the shard of what `taken.json` names, so that they write the same bytes.
"""

from __future__ import annotations

import heapq
import json
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import groupby

import pyarrow as pa

from clip_spark import storage
from clip_spark.datasets.receipt import shard_name
from clip_spark.pictures.download.outcomes import SCHEMA, Outcome, from_batch, to_table

SECONDS, BYTES = 60.0, 64 << 20
"""A checkpoint is written after so long, or so many bytes of pictures."""
BATCH_ROWS = 64
TAKEN = "taken.json"


class Checkpoints:
    """*Worker.* The checkpoints of one shard, those of earlier attempts too."""

    def __init__(self, output: str, plan: str, shard: int) -> None:
        self.place = storage.join(output, "_work", plan, shard_name(shard))
        self._names = sorted(
            storage.name(file.uri) for file in storage.iter_files(self.place) if file.uri.endswith(".arrow")
        )
        self._kept: list[Outcome] = []
        self._kept_bytes = 0
        self._since = time.monotonic()

    def done(self) -> set[int]:
        """Positions that have an outcome."""
        found: set[int] = set()
        for name in self._names:
            with storage.open_read(storage.join(self.place, name)) as stream, pa.ipc.open_file(stream) as file:
                for number in range(file.num_record_batches):
                    found.update(file.get_batch(number)["position"].to_pylist())
        return found

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
        place = storage.join(self.place, TAKEN)
        storage.create_bytes(place, json.dumps(sorted(self._names)).encode())
        names = json.loads(storage.read_bytes(place))
        with ExitStack() as files:
            rows = [self._rows(files, storage.join(self.place, name)) for name in names]
            merged = heapq.merge(*rows, key=lambda outcome: outcome.position)
            for _, same in groupby(merged, key=lambda outcome: outcome.position):
                yield next(same)  # merge is stable: of two attempts' outcomes always the same one

    def _rows(self, files: ExitStack, uri: str) -> Iterator[Outcome]:
        stream = files.enter_context(storage.open_read(uri))
        file = files.enter_context(pa.ipc.open_file(stream))
        for number in range(file.num_record_batches):
            yield from from_batch(file.get_batch(number))

    def remove(self) -> None:
        """The shard has its receipt: nobody needs them any more."""
        storage.remove_files([storage.join(self.place, name) for name in (*self._names, TAKEN)])
        storage.remove_empty_folders(self.place)
