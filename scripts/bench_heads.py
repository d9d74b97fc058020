"""How quick score-embeddings is: rows of one task in a CPU second, for a linear head and an MLP (docs/answers.md).

python scripts/bench_heads.py [--rows 100000] [--dim 512]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from clip_spark.analysis.heads.head import Head
from clip_spark.analysis.heads.step import ScoreTask
from clip_spark.datasets import schema
from clip_spark.datasets.embeddings import embedding_table
from clip_spark.datasets.plan import PLAN
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.shards import ShardWriter

WIDTHS = (1024, 128, 64, 16, 1)
"""Of the known aesthetic predictor."""
PLAN_TEXT = {"kind": "embeddings", "spec": {}, "inputs": {}, "shards": 1}


def write_shard(output: Path, rows: int, dim: int) -> Receipt:
    """One shard of made-up pictures, as embed-images writes it."""
    random = np.random.default_rng(0)
    vectors = random.normal(size=(rows, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = [f"{row:032x}" for row in range(rows)]
    uris = [f"s3://bucket/pictures/{row // 1000:05d}.tar::{row:09d}.jpg" for row in range(rows)]
    captions = [f"a picture of thing {row} beside thing {row * 7 % 1000}" for row in range(rows)]
    records = pa.table({"record_id": ids, "uri": uris, "caption": captions})
    with ShardWriter(
        str(output), fingerprint(output), 0, {"records": records.schema, "embeddings": schema.EMBEDDINGS}
    ) as w:
        w.write("embeddings", embedding_table(ids, vectors))
        w.write("records", records)
        return w.finish()


def fingerprint(output: Path) -> str:
    """The claim of a run that no command made."""
    from clip_spark.datasets.plan import Plan

    output.mkdir(parents=True, exist_ok=True)
    (output / PLAN).write_text(json.dumps(PLAN_TEXT))
    return Plan("embeddings", {}, {}, 1).fingerprint


def made_head(name: str, widths: tuple[int, ...], dim: int) -> Head:
    """Random layers."""
    random, sizes = np.random.default_rng(1), (dim, *widths)
    layers = tuple(
        (random.normal(size=(b, a)).astype(np.float32), np.zeros(b, np.float32))
        for a, b in zip(sizes, widths, strict=False)
    )
    return Head(name, layers, "relu", "plain")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        receipt = write_shard(Path(folder) / "emb", given.rows, given.dim)
        for name, widths in (("linear", (1,)), ("mlp", WIDTHS)):
            output = Path(folder) / name
            task = ScoreTask(f"{folder}/emb", str(output), fingerprint(output), (made_head(name, widths, given.dim),))
            started = time.process_time()
            task((0, receipt))
            seconds = time.process_time() - started
            print(json.dumps({"head": name, "rows": given.rows, "rows_per_cpu_second": round(given.rows / seconds)}))


if __name__ == "__main__":
    main()
