"""*Driver.* build-index: embeddings -> a sharded, verified, measured index."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from clip_spark import storage
from clip_spark.distributed import add_distributed
from clip_spark.errors import DatasetError, InputError
from clip_spark.generation import new_generation, served, switch
from clip_spark.index import keys
from clip_spark.index.layout import IndexInfo, Part, SearchSettings, check_same_encoder, read_index
from clip_spark.index.parts import PartSet, open_parts
from clip_spark.index.reader import VectorReader, dataset_files
from clip_spark.index.train import new_index, sample_positions, train_index, train_rows
from clip_spark.index.tune import RECALL_AT, Questions, exact_hits, milliseconds_per_query, tune
from clip_spark.index.writer import PartWriter
from clip_spark.manifest import Manifest, Plan, read_manifest
from clip_spark.report import Table
from clip_spark.session import SessionSource
from clip_spark.shards import Stopwatch
from clip_spark.specs.search import IndexSpec, memory_bytes

log = logging.getLogger(__name__)

TEST_QUERIES = 512
SPOT_CHECKS = 64
TRAIN_BYTES = 4 << 30
"""Most memory for the training sample."""


@dataclass(frozen=True)
class IndexPlan:
    """What is decided before anything is read.

    Attributes:
        key: Faiss factory key.
        parts: how many files.
        reader: the vectors.
    """

    spec: IndexSpec
    embeddings: Manifest
    queries: Manifest | None
    reader: VectorReader
    key: str
    parts: int

    @property
    def as_plan(self) -> Plan:
        """*Pure.* As manifests and folders know it."""
        inputs = {"embeddings": self.embeddings.as_input()}
        if self.queries is not None:
            inputs["queries"] = self.queries.as_input()
        return Plan.of("index", self.spec, inputs, self.parts)


def build_index(get_spark: SessionSource, spec: IndexSpec) -> Manifest:
    """*Driver.* Build, verify and measure an index; nothing to do if this very one is there.

    Raises:
        UserError: an input or the output is not what the options need.
        DatasetError: the embeddings or the parts are damaged; what was served before still is.
    """
    plan = plan_index(spec)
    output = storage.absolute(spec.output)
    done = served(output, plan.as_plan, overwrite=spec.overwrite)
    if done is not None:
        return done
    watch = Stopwatch()
    with new_generation(output, plan.as_plan) as generation:
        info = _build(get_spark, plan, PartWriter(output, generation), watch)
        info = _measure(plan, output, info, watch)
        return switch(output, plan.as_plan, info, dict(watch.seconds))


def plan_index(spec: IndexSpec) -> IndexPlan:
    """*Driver.* Check the inputs and choose key and parts."""
    embeddings = read_manifest(spec.embeddings, "embeddings")
    queries = read_manifest(spec.queries, "embeddings") if spec.queries else None
    if embeddings.rows == 0:
        raise InputError(f"'{embeddings.uri}' holds no embeddings; see the rejects in its report.json.")
    if queries is not None:
        check_same_encoder(embeddings.extra["encoder"], queries.extra["encoder"], "the --queries")
    dim = int(embeddings.extra["dim"])
    reader = VectorReader(dataset_files(embeddings, "embeddings"), dim)
    memory = memory_bytes("max-index-memory", spec.max_index_memory)
    key = spec.index_key or keys.choose_key(reader.count, dim, memory)
    keys.check_key(key, reader.count)
    parts = spec.parts or keys.choose_parts(key, reader.count, dim, 100)
    return IndexPlan(spec, embeddings, queries, reader, key, min(parts, reader.count))


def _build(get_spark: SessionSource, plan: IndexPlan, writer: PartWriter, watch: Stopwatch) -> IndexInfo:
    """*Driver.* Train, add and write; no search settings yet."""
    log.info("%d vectors of %d -> %s in %d parts", plan.reader.count, plan.reader.dimension, plan.key, plan.parts)
    count = train_rows(plan.key, plan.reader.count, plan.reader.dimension, TRAIN_BYTES)
    if keys.is_exact(plan.key):
        with watch("add"):
            parts = _add_exact(plan, writer)
    else:
        with watch("train"):
            sample = plan.reader.take(sample_positions(plan.reader.count, count, plan.spec.seed))
            trained = train_index(plan.key, plan.spec.metric, sample, plan.spec.seed)
        with watch("add"):
            parts = add_distributed(get_spark(), trained, plan.reader, plan.parts, writer)
    return IndexInfo(
        encoder=plan.embeddings.extra["encoder"],
        modality=plan.embeddings.extra["modality"],
        dim=plan.reader.dimension,
        metric=plan.spec.metric,
        key=plan.key,
        settings=SearchSettings(),
        parts=check_parts(parts, plan.reader.count),
        generation=writer.generation,
        train_rows=count,
    )


def _add_exact(plan: IndexPlan, writer: PartWriter) -> list[Part]:
    """*Driver.* Small sets without Spark: starting a JVM would take longer than all of it."""
    parts = []
    bounds = np.linspace(0, plan.reader.count, plan.parts + 1).astype(int)
    for number, (start, end) in enumerate(zip(bounds[:-1], bounds[1:], strict=True)):
        index = new_index(plan.key, plan.reader.dimension, plan.spec.metric)
        for first, vectors in plan.reader.blocks(int(start), int(end)):
            index.add_with_ids(vectors, np.arange(first, first + len(vectors), dtype=np.int64))
        parts.append(writer.write(index, number))
    return parts


def check_parts(parts: list[Part], rows: int) -> tuple[Part, ...]:
    """*Pure.* Parts in the order of their positions; raises DatasetError unless they hold 0 ... rows - 1 once each."""
    ordered = tuple(sorted(parts, key=lambda part: part.start))
    expected = 0
    for part in ordered:
        if part.start != expected:
            raise DatasetError(f"The parts hold position {part.start} where {expected} was due; build the index again.")
        expected += part.rows
    if expected != rows:
        raise DatasetError(f"The parts hold {expected} vectors, the embeddings {rows}; build the index again.")
    return ordered


def _measure(plan: IndexPlan, output: str, info: IndexInfo, watch: Stopwatch) -> IndexInfo:
    """*Driver.* Choose search settings by measured recall, and check that vectors find themselves."""
    parts = open_parts(output, info)
    lists = keys.lists_of(plan.key)
    with watch("measure"):
        own = _questions(plan, parts, None)
        cross = _questions(plan, parts, plan.queries) if plan.queries is not None else None
        settings, reached = tune(parts, lists, plan.spec.recall, own)
        measured: dict[str, Any] = {"goal": plan.spec.recall}
        if cross is not None:
            harder, reached_cross = tune(parts, lists, plan.spec.recall, cross)
            settings = max(settings, harder, key=lambda s: s.nprobe)
            measured[f"recall_at_{RECALL_AT}_cross"] = round(cross.recall(parts, settings), 4)
            reached = min(reached, reached_cross)
        measured[f"recall_at_{RECALL_AT}"] = round(own.recall(parts, settings), 4)
        measured |= milliseconds_per_query(parts, settings, own.queries)
        measured["queries"] = len(own.queries)
    if reached < plan.spec.recall:
        log.warning("recall %.3f is the most that %s gives, less than --recall", reached, plan.key)
    with watch("verify"):
        spot_check(plan, parts, settings)
    return replace(info, settings=settings, measured=measured)


def _questions(plan: IndexPlan, parts: PartSet, queries: Manifest | None) -> Questions:
    """*Driver.* Test queries, from the index itself or of the other kind, with their exact answers."""
    reader = plan.reader
    if queries is not None:
        reader = VectorReader(dataset_files(queries, "embeddings"), plan.reader.dimension)
    own = sample_positions(reader.count, TEST_QUERIES, plan.spec.seed + 1)
    vectors = reader.take(own)
    if keys.is_exact(plan.key):  # its own search is the exact one
        _, true = parts.search(vectors, RECALL_AT + 1)
    else:
        _, true = exact_hits(plan.reader.blocks(), vectors, RECALL_AT + 1)
    return Questions(vectors, true, own if queries is None else None)


def spot_check(plan: IndexPlan, parts: PartSet, settings: SearchSettings) -> None:
    """*Driver.* Stored vectors answer to themselves; raises DatasetError if an uncompressed one does not."""
    if not plan.key.endswith("Flat"):
        return
    positions = sample_positions(plan.reader.count, SPOT_CHECKS, plan.spec.seed + 2)
    scores, _ = parts.search(plan.reader.take(positions), 1, settings)
    if scores.min() < 1 - 1e-3:
        worst = int(positions[int(np.argmin(scores[:, 0]))])
        raise DatasetError(f"Vector {worst} does not find itself in the new index; build it again.")


def preview(manifest: Manifest) -> list[Table]:
    """*Driver.* What the index is and how good."""
    _, info = read_index(manifest.uri)
    rows = [
        ("vectors", info.rows),
        ("numbers per vector", info.dim),
        ("kind", info.key),
        ("parts", len(info.parts)),
        ("lists searched (nprobe)", info.settings.nprobe),
        ("trained on", info.train_rows),
        *[(name.replace("_", " "), value) for name, value in info.measured.items()],
    ]
    return [Table("index", ("what", "value"), rows)]
