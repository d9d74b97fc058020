"""*Worker.* What the tasks of embed-text and embed-images share: the encoder, its identity, its figures."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa

from clip_spark import storage
from clip_spark.datasets.embeddings import UNIT_TOLERANCE, embedding_table
from clip_spark.datasets.plan import check_plan
from clip_spark.datasets.schema import RECORD_ID
from clip_spark.datasets.shards import ShardWriter
from clip_spark.datasets.stopwatch import Stopwatch
from clip_spark.encoders import EncoderSpec, load_encoder
from clip_spark.errors import ModelError
from clip_spark.runtime.devices import CPU, use_threads

if TYPE_CHECKING:
    from clip_spark.encoders.protocol import Encoder

Item = TypeVar("Item")
ENCODER = "encoder.json"
"""Created by the first task that has loaded the encoder; all others, and every resumed run, follow it."""
IDENTITY = ("model", "weights_sha256", "preprocess", "precision", "dim", "context_length")
"""What must be the same on all nodes."""
GPU_MS = "gpu milliseconds"
"""Counter of a receipt: how long its task held a GPU; a machine with one costs a hundred times as much as a core."""
RATES = "rates"
"""In ENCODER beside the identity: billions of operations a second by tower and precision, where those decided."""
SAMPLE = "sample"
"""In ENCODER, too: what a sample of the input has shown of int8, where it was tried."""
Choose = Callable[["Encoder", EncoderSpec, str], tuple["Encoder", dict[str, Any]]]
"""(encoder, its spec, the plan's fingerprint) -> the encoder to take in its place, and why, ready for JSON."""


@dataclass(frozen=True)
class EncodeTask:
    """The part of a task that is the same for all shards; picklable.

    Attributes:
        output: the dataset's URI.
        plan: fingerprint of the plan.
        encoder: the model.
        batch_size: tokens or pictures per forward pass; 0 chooses by device.
        threads: torch's threads; 0 takes the task's cores.
        choose: of the first task: looks for a faster encoder than that of the spec.
    """

    output: str
    plan: str
    encoder: EncoderSpec
    batch_size: int = 0
    threads: int = 0
    choose: Choose | None = None

    def load(self) -> Encoder:
        """*Worker.* The process's encoder, proven to be the one of the other tasks, in the precision of the run."""
        use_threads(self.threads)
        noted = noted_encoder(self.output)
        if noted is None:
            noted = self._decide()
        encoder = load_encoder(replace(self.encoder, precision=noted["precision"]))
        check_agrees(self.output, encoder.info(), noted)
        return encoder

    def _decide(self) -> dict[str, Any]:
        encoder, why = load_encoder(self.encoder), dict[str, Any]()
        if self.choose is not None:
            encoder, why = self.choose(encoder, self.encoder, self.plan)
        return note_encoder(self.output, self.plan, encoder, why)


def noted_encoder(output: str) -> dict[str, Any] | None:
    """*Worker.* The encoder that a task of this run, or of the run that it resumes, has noted first."""
    uri = storage.join(output, ENCODER)
    return storage.read_json(uri) if storage.exists(uri) else None


def adopt_encoder(output: str, encoder: Mapping[str, Any]) -> None:
    """*Driver.* Let the tasks of an output use the encoder, and its precision, that a finished dataset names."""
    storage.create_bytes(storage.join(output, ENCODER), json.dumps(encoder, indent=1, ensure_ascii=False).encode())


def note_encoder(output: str, plan: str, encoder: Encoder, sample: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """*Worker.* Note the encoder in the dataset; of several tasks at once exactly one succeeds, and all follow it.

    So a machine decides the precision for all others: the driver may have no GPU, executors may be of several kinds,
    and rows of one dataset must not differ by the machine that made them.

    Returns:
        What is noted, ready for JSON: `Encoder.info()`, under `rates` what decided its precision, and the sample.

    Raises:
        OutputError: another run has taken the folder, and must not follow this one.
    """
    check_plan(output, plan)
    noted = {**encoder.info(), RATES: encoder.stats().rates, **({SAMPLE: dict(sample)} if sample else {})}
    content = json.dumps(noted, indent=1, ensure_ascii=False)
    storage.create_bytes(storage.join(output, ENCODER), content.encode())
    return dict(storage.read_json(storage.join(output, ENCODER)))


def check_agrees(output: str, info: dict[str, Any], noted: dict[str, Any]) -> None:
    """*Pure.* Compare this task's encoder with what was noted first.

    Raises:
        ModelError: this node loaded other weights than the node before it (or than the run before this one).
    """
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
    """*Worker.* A shard's encoder, and what the shard took from it: seconds by stage and counters since this was made.

    Loading takes time in the first shard of a process only.
    """

    def __init__(self, task: EncodeTask) -> None:
        start = time.perf_counter()
        self.encoder = task.load()
        self._start, self._before = time.perf_counter(), self.encoder.stats()
        self._load_seconds = self._start - start

    def add_to(self, writer: ShardWriter) -> None:
        """Add it to the figures of the shard's receipt."""
        after = self.encoder.stats()
        for stage, seconds in after.seconds.items():
            writer.watch.seconds[stage] += seconds - self._before.seconds.get(stage, 0.0)
        for name, count in after.counters.items():
            if more := count - self._before.counters.get(name, 0):  # pictures have no tokens
                writer.counters[name] += more
        writer.watch.seconds["load"] += self._load_seconds
        seconds = time.perf_counter() - self._start
        writer.watch.seconds["task"] += seconds
        if after.device != CPU:
            writer.counters[GPU_MS] += round(seconds * 1000)
