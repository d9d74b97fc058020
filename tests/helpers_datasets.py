"""A toy dataset of embeddings: two shards of two rows, one reject each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from clip_spark.datasets import schema
from clip_spark.datasets.embeddings import embedding_table
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import Run, begin_run
from clip_spark.datasets.shards import ShardWriter
from clip_spark.datasets.spec import Spec, option

RECORDS = pa.schema([("record_id", pa.string())])


@dataclass(frozen=True, kw_only=True)
class ToySpec(Spec):
    size: int = option("rows", 2)
    workers: int = option("does not change the result", 1, content=False)


def plan_of(size: int = 2, shards: int = 2, source: str = "v1", uri: str = "r") -> Plan:
    spec = ToySpec(output="unused", size=size)
    return Plan.of("embeddings", spec, {"records": {"uri": uri, "fingerprint": source}}, shards)


def write_shard(run: Run, number: int) -> None:
    folders = {"embeddings": schema.EMBEDDINGS, "records": RECORDS}
    ids = [f"{number}-{row}" for row in range(2)]
    with ShardWriter(run.output, run.plan.fingerprint, number, folders) as writer:
        writer.write("embeddings", embedding_table(ids, np.eye(2, 4, dtype=np.float32)))
        writer.write("records", pa.table({"record_id": ids}))
        writer.reject("line 3", "empty", "nothing there")
        writer.finish()


def finished(output: Path) -> Run:
    run = begin_run(str(output), plan_of(), overwrite=False)
    for number in run.pending():
        write_shard(run, number)
    run.commit()
    return run
