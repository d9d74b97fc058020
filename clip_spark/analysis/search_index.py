"""*Driver.* search-index: a dataset of queries x index -> hits; one shard of hits per shard of queries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import pyarrow as pa

from clip_spark import storage
from clip_spark.analysis.own_recall import measure_own, recall_tables
from clip_spark.analysis.query_shards import open_searcher, shard_blocks
from clip_spark.analysis.specs import SearchIndexSpec
from clip_spark.datasets import schema
from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.shards import ShardWriter
from clip_spark.datasets.tables import Table
from clip_spark.index.files.layout import Effort, read_index
from clip_spark.index.files.one_encoder import check_same_encoder
from clip_spark.index.open.parts import MISSING
from clip_spark.index.open.records import RecordReader
from clip_spark.index.open.selection import check_where
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import Planned, read_on_executors, run_shards
from clip_spark.search.hits import Wanted, hit_column
from clip_spark.search.searcher import Searcher

HITS = pa.schema([("query_id", pa.string()), ("rank", pa.int32()), ("score", pa.float32()), ("record_id", pa.string())])
PREVIEW_ROWS = 20


@dataclass(frozen=True)
class SearchTask:
    """*Worker.* Answers one shard of queries; picklable.

    Attributes:
        queries: URI of the embeddings that are the queries.
        index: URI of the index.
        output: URI of the hits.
        plan: fingerprint.
        generation: of the index when the job was planned.
        wanted: which hits, and which columns of their records beside record_id.
        kind: of the queries, `text` or `image`.
        efforts: how deep to search, measured with a sample of the queries; none leaves it to the index.
    """

    queries: str
    index: str
    output: str
    plan: str
    generation: str
    wanted: Wanted
    kind: str
    efforts: tuple[Effort, ...] = ()

    def __call__(self, shard: int) -> Receipt:
        """Write the hits of one shard."""
        searcher = open_searcher(self.index, self.generation, self.efforts)
        hits = hit_schema(searcher, self.wanted.columns)
        with ShardWriter(self.output, self.plan, shard, {"hits": hits}) as writer:
            for queries, vectors in shard_blocks(self.queries, shard, searcher.info.dim, [schema.RECORD_ID]):
                with writer.watch("search"):
                    table = self._answer(searcher, queries, vectors, hits)
                writer.write("hits", table)
                writer.counters["queries"] += len(vectors)
            return writer.finish()

    def _answer(self, searcher: Searcher, queries: pa.Table, vectors: np.ndarray, hits: pa.Schema) -> pa.Table:
        scores, positions = searcher.search_positions(vectors, self.wanted, kind=self.kind)
        found = positions != MISSING
        query, column = np.nonzero(found)
        records = searcher.records.take(positions[found], [schema.RECORD_ID, *self.wanted.columns])
        values = [
            queries.column(schema.RECORD_ID).take(pa.array(query)),
            pa.array(column + 1, pa.int32()),
            pa.array(scores[found], pa.float32()),
            *records.columns,
        ]
        return pa.table(values, names=hits.names).cast(hits)


def hit_schema(searcher: Searcher, columns: tuple[str, ...]) -> pa.Schema:
    """*Worker.* Columns of a hits file: the fixed ones, and those of the records that were asked for."""
    fields = {field.name: field for field in searcher.records.schema}
    return pa.schema([*HITS, *(fields[name].with_name(hit_column(name)) for name in columns)])


def search_index(get_spark: SessionSource, spec: SearchIndexSpec) -> Manifest:
    """*Driver.* Answer every query of a dataset.

    Raises:
        ModelError: queries and index were embedded by different encoders.
        SpecError: the condition or a column does not exist.
    """
    planned = plan_tasks(spec)
    run = begin_run(spec.output, planned.plan, overwrite=spec.overwrite, read=read_on_executors(get_spark))
    if run.manifest is not None:
        return run.manifest
    own = measure_own(get_spark, "search-index", spec.queries, spec.index, spec.k)
    if pending := run.pending():
        run_shards(
            get_spark(),
            "search-index",
            pending,
            replace(cast(SearchTask, planned.work(run.output, 0)), efforts=own.efforts),
        )
    return run.commit({**planned.extra, "recall": own.facts})


def plan_tasks(spec: SearchIndexSpec) -> Planned:
    """*Driver.* What the tasks of `search_index` will do; raises what it raises."""
    queries = read_manifest(spec.queries, "embeddings")
    index, info = read_index(spec.index)
    check_same_encoder(info.encoder, queries.extra["encoder"], "the queries")
    wanted = spec.wanted()
    records = RecordReader(index.uri, info.records, info.columns)  # mistakes are found here, before the folder is taken
    records.check_columns(spec.columns)
    if spec.where:
        check_where(records, spec.where)
    inputs = {"queries": queries.as_input(), "index": index.as_input()}
    plan = Plan.of("hits", spec, inputs, len(queries.receipts))

    def work(output: str, threads: int) -> SearchTask:
        kind = queries.extra["modality"]
        return SearchTask(queries.uri, index.uri, output, plan.fingerprint, info.generation, wanted, kind)

    extra = {"queries": queries.rows, "k": spec.k, "columns": list(spec.columns)}
    return Planned(plan, range(plan.shards), work, extra)


def preview(manifest: Manifest) -> list[Table]:
    """*Driver.* The recall that was measured, and the first hits."""
    import pyarrow.parquet as pq

    tables = recall_tables(manifest.extra)
    for uri in manifest.files("hits")[:1]:
        with storage.open_read(uri) as stream:
            table = next(pq.ParquetFile(stream).iter_batches(PREVIEW_ROWS), None)
        if table is not None:
            rows = [tuple(row.values()) for row in table.to_pylist()]
            tables.append(Table("hits", tuple(table.schema.names), rows))
    return tables
