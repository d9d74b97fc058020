"""*Worker.* What the tasks of embed-text and embed-images share: the encoder, its identity, its figures."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa

from clip_spark import storage
from clip_spark.datasets.embeddings import UNIT_TOLERANCE, embedding_table
from clip_spark.datasets.schema import RECORD_ID
from clip_spark.datasets.shards import ShardWriter
from clip_spark.datasets.stopwatch import Stopwatch
from clip_spark.encoders import EncoderSpec, load_encoder
from clip_spark.errors import ModelError
from clip_spark.runtime.devices import use_threads

if TYPE_CHECKING:
    from clip_spark.encoders.open_clip import Encoder

Item = TypeVar("Item")
ENCODER = "encoder.json"
"""Written by the first task that has loaded the encoder; all others compare theirs with it."""
IDENTITY = ("model", "weights_sha256", "preprocess", "dim", "context_length")
"""What must be the same on all nodes; the precision may follow the device."""


@dataclass(frozen=True)
class EncodeTask:
    """The part of a task that is the same for all shards; picklable.

    Attributes:
        output: the dataset's URI.
        plan: fingerprint of the plan.
        encoder: the model.
        batch_size: tokens or pictures per forward pass; 0 chooses by device.
        threads: torch's threads; 0 takes the task's cores.
    """

    output: str
    plan: str
    encoder: EncoderSpec
    batch_size: int = 0
    threads: int = 0

    def load(self) -> Encoder:
        """*Worker.* The process's encoder, proven to be the one of the other tasks."""
        use_threads(self.threads)
        encoder = load_encoder(self.encoder)
        agree(self.output, encoder.info())
        return encoder


def agree(output: str, info: dict[str, Any]) -> None:
    """*Worker.* Note the encoder in the dataset, or compare it with what another task has noted.

    Raises:
        ModelError: this node loaded other weights than the node before it (or than the run before this one).
    """
    uri = storage.join(output, ENCODER)
    if not storage.exists(uri):
        storage.write_json(uri, info)
    noted = storage.read_json(uri)  # also after writing: of two writers at once, one is last
    odd = [key for key in IDENTITY if noted.get(key) != info[key]]
    if odd:
        raise ModelError(
            f"The model '{info['model']}' is not the same everywhere: {odd[0]} is {info[odd[0]]} here, but other "
            f"shards of '{output}' were made with {noted.get(odd[0])}. Use the same weights on all nodes."
        )


def write_rows(writer: ShardWriter, records: pa.Table, vectors: np.ndarray) -> None:
    """*Worker.* Append records and their vectors, float32 (n, d); a vector without a direction is rejected.

    A model in half precision can overflow on a single record; that must not end the task.
    """
    lengths = np.linalg.norm(vectors, axis=1)
    usable = np.abs(lengths - 1) < UNIT_TOLERANCE  # false for NaN too
    ids = records.column(RECORD_ID).to_pylist()
    for index in np.flatnonzero(~usable):
        writer.reject(ids[index], "no direction", f"the model's vector has length {lengths[index]}")
    if not usable.all():
        records, vectors = records.filter(pa.array(usable)), vectors[usable]
    writer.write("embeddings", embedding_table(records.column(RECORD_ID).to_pylist(), vectors))
    writer.write("records", records)


def timed(items: Iterable[Item], watch: Stopwatch, stage: str) -> Iterator[Item]:
    """*Worker.* The same items; the seconds it takes to get each are added to `stage`."""
    iterator = iter(items)
    while True:
        with watch(stage):
            item = next(iterator, None)
        if item is None:
            return
        yield item


class Usage:
    """*Worker.* What one shard took from the encoder: seconds by stage and counters since this was made.

    The seconds of loading count for the first shard of the process, though they come before it.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder, self._start = encoder, time.perf_counter()
        self._seconds, self._counters = {**encoder.watch.seconds, "load": 0.0}, dict(encoder.counters)

    def add_to(self, writer: ShardWriter) -> None:
        """Add it to the figures of the shard's receipt."""
        for stage, seconds in self._encoder.watch.seconds.items():
            writer.watch.seconds[stage] += seconds - self._seconds.get(stage, 0.0)
        for name, count in self._encoder.counters.items():
            writer.counters[name] += count - self._counters.get(name, 0)
        self._encoder.watch.seconds["load"] = 0.0
        writer.watch.seconds["task"] += time.perf_counter() - self._start
