"""*Worker.* A shard of embeddings written again without some of its pictures; no model is asked."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.manifest import file_of
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.schema import EMBEDDINGS, record_id
from clip_spark.datasets.shards import REJECTS, ShardWriter

WRITE_ROWS = 1024


@dataclass(frozen=True)
class CutShard:
    """One item of a plan; picklable.

    Attributes:
        number: the shard keeps it, so that the others keep their order.
        dataset: URI.
        receipt: of the shard as it is.
        gone: URIs of the pictures that it is to lose.
    """

    number: int
    dataset: str
    receipt: Receipt
    gone: tuple[str, ...]

    def read(self, folder: str) -> pa.Table | None:
        """*Worker.* The rows of the shard's file in one folder; None if it has none."""
        path = file_of(self.receipt, folder)
        if not path:
            return None
        with storage.open_read(storage.join(self.dataset, path)) as stream:
            return pq.read_table(stream)


def write_cut(output: str, plan: str, shard: CutShard) -> Receipt:
    """*Worker.* Write what is left of a shard; its counters and rejects stay, except the rejects of what is gone."""
    records, vectors = shard.read("records"), shard.read("embeddings")
    assert records is not None and vectors is not None
    left = pc.invert(pc.is_in(records["uri"], value_set=pa.array(shard.gone, pa.string())))
    schemas = {"embeddings": EMBEDDINGS, "records": records.schema.remove_metadata()}
    kept = {"embeddings": vectors.cast(EMBEDDINGS).filter(left), "records": records.filter(left)}
    with ShardWriter(output, plan, shard.number, schemas) as writer:
        for folder, table in kept.items():
            for start in range(0, table.num_rows, WRITE_ROWS):
                writer.write(folder, table.slice(start, WRITE_ROWS))
        gone = {*shard.gone, *map(record_id, shard.gone)}
        rejects = shard.read(REJECTS)
        for row in rejects.to_pylist() if rejects is not None else ():
            if row["source"] not in gone:
                writer.reject(row["source"], row["reason"], row["message"])
        writer.counters.update(shard.receipt.counters)
        return writer.finish()
