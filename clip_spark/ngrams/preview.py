"""*Driver.* What count-ngrams and filter-ngrams show at their end."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.manifest import Manifest
from clip_spark.report import Table

SHOWN = 10


def show_counts(manifest: Manifest) -> list[Table]:
    """*Driver.* Totals by order, and the most frequent n-grams of each order."""
    orders = manifest.extra["orders"]
    rows = [(int(n), o["min_count"], o["positions"], o["survivors"]) for n, o in orders.items()]
    totals = Table("n-grams by order", ("n", "min count", "in the corpus", "different, kept"), rows)
    return [totals, *_top(manifest, "counts", "count")]


def show_records(manifest: Manifest) -> list[Table]:
    """*Driver.* What was dropped and why, and the best n-grams of each order."""
    dropped = manifest.extra["dropped"]
    orders = list(manifest.extra["orders"])
    rows = [(reason, *(by_order.get(n, 0) for n in orders)) for reason, by_order in dropped.items()]
    table = Table("dropped", ("reason", *(f"n = {n}" for n in orders)), rows)
    return [*([table] if rows else []), *_top(manifest, "records", "score")]


def _top(manifest: Manifest, folder: str, by: str) -> list[Table]:
    """*Driver.* One row per rank, one column per order; reads a shard at a time and keeps only the best."""
    best: dict[int, pa.Table] = {}
    for uri in manifest.files(folder):
        with storage.open_read(uri) as stream:
            table = pq.read_table(stream, columns=list(dict.fromkeys(["n", "text", "count", by])))
        for n in pc.unique(table["n"]).to_pylist():
            rows = table.filter(pc.equal(table["n"], n))
            rows = pa.concat_tables([best[n], rows]) if n in best else rows
            order = [(by, "descending"), ("count", "descending"), ("text", "ascending")]
            best[n] = rows.take(pc.select_k_unstable(rows, min(SHOWN, rows.num_rows), order))
    cells = {n: [f"{row['text']} ({row['count']:,})" for row in best[n].to_pylist()] for n in sorted(best)}
    ranks = range(max(map(len, cells.values()), default=0))
    rows = [(rank + 1, *(cells[n][rank] if rank < len(cells[n]) else "" for n in cells)) for rank in ranks]
    return [Table(f"top n-grams by {by} (count)", ("rank", *(f"n = {n}" for n in cells)), rows)]
