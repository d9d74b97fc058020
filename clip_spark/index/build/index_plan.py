"""*Driver.* What build-index will do: inputs that fit, a key and a number of parts, before anything is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from clip_spark.datasets.manifest import Manifest, as_inputs, read_manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.record_schema import unify
from clip_spark.datasets.sizes import size_bytes
from clip_spark.index.build.choose_key import check_key, choose_key, choose_parts
from clip_spark.index.build.embedding_sets import as_source, check_no_record_twice, check_sets, sets_files
from clip_spark.index.build.questions import TEST_QUERIES
from clip_spark.index.build.read_vectors import VectorFile, VectorReader
from clip_spark.index.build.records_and_vectors import read_schemas
from clip_spark.index.build.train import draw_positions, new_index, train_rows
from clip_spark.index.files.faiss_library import has_rabitq
from clip_spark.index.files.one_encoder import check_same_encoder
from clip_spark.index.specs import IndexSpec, task_bytes


@dataclass(frozen=True)
class IndexPlan:
    """What is decided before anything is read.

    Attributes:
        key: Faiss factory key.
        parts: how many files.
        reader: the vectors.
        records: their files, side by side with those of the vectors.
        columns: of the records.
    """

    spec: IndexSpec
    sets: tuple[Manifest, ...]
    queries: Manifest | None
    reader: VectorReader
    records: tuple[VectorFile, ...]
    key: str
    parts: int
    columns: pa.Schema

    def drawn(self) -> tuple[np.ndarray, np.ndarray]:
        """*Pure.* Positions to train on, and positions to test with."""
        train = train_rows(self.key, self.reader.count, self.reader.dimension, task_bytes(self.spec.max_build_memory))
        return draw_positions(self.reader.count, train, TEST_QUERIES, self.spec.seed)

    @property
    def encoder(self) -> Mapping[str, Any]:
        """*Pure.* That made the embeddings."""
        return dict(self.sets[0].extra["encoder"])

    @property
    def as_plan(self) -> Plan:
        """*Pure.* As manifests and folders know it."""
        inputs = as_inputs("embeddings", self.sets)
        for name, one in zip(list(inputs), self.sets, strict=True):
            inputs[name] = as_source(one)
        if self.queries is not None:
            inputs["queries"] = self.queries.as_input()
        return Plan.of("index", self.spec, inputs, self.parts)


def plan_index(spec: IndexSpec) -> IndexPlan:
    """*Driver.* Check the inputs and choose key and parts."""
    sets = tuple(read_manifest(uri, "embeddings") for uri in spec.embeddings)
    check_sets(sets)
    queries = read_manifest(spec.queries, "embeddings") if spec.queries else None
    if queries is not None:
        check_same_encoder(sets[0].extra["encoder"], queries.extra["encoder"], "the --queries")
    dim = int(sets[0].extra["dim"])
    reader = VectorReader(sets_files(sets, "embeddings"), dim)
    memory = size_bytes("max-index-memory", spec.max_index_memory)
    key = spec.index_key or choose_key(reader.count, dim, memory, spec.max_query_ms, has_rabitq())
    check_key(key, reader.count)
    new_index(key, dim, spec.metric)  # Faiss refuses what it cannot build before anything is read
    parts = spec.parts or choose_parts(key, reader.count, dim, task_bytes(spec.max_build_memory))
    records = sets_files(sets, "records")
    columns = unify(read_schemas(records))
    check_no_record_twice(sets)
    return IndexPlan(spec, sets, queries, reader, records, key, min(parts, reader.count), columns)
