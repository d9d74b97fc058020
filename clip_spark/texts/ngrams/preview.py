"""*Driver.* What count-ngrams and filter-ngrams show at their end."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.tables import Table
from clip_spark.texts import outcome

SHOWN = 10
LOOKED_AT = 100
"""Shards that are read for the look at the result; there may be very many."""


def show_counts(manifest: Manifest) -> list[Table]:
    """*Driver.* Totals by order, the most frequent n-grams of each order, and what was left out or rejected."""
    orders = manifest.extra["orders"]
    rows = [(int(n), o["positions"], o["distinct"], o["min_count"], o["survivors"]) for n, o in orders.items()]
    # "tried": of two and more words, only those whose words are all frequent enough are looked at.
    totals = Table("n-grams by order", ("n", "in the corpus", "different, tried", "min count", "kept"), rows)
    return [totals, *_top(manifest, "counts", "count"), *outcome.tables(manifest)]


def show_records(manifest: Manifest) -> list[Table]:
    """*Driver.* What was dropped and why, and the best n-grams of each order."""
    dropped = manifest.extra["dropped"]
    orders = manifest.extra["orders"]
    counted = {n: order["survivors"] for n, order in orders.items()}
    kept = {n: counted[n] - sum(by_order.get(n, 0) for by_order in dropped.values()) for n in orders}
    lines = {"counted": counted, **{f"- {reason}": by_order for reason, by_order in dropped.items()}, "kept": kept}
    rows = [(name, *(by_order.get(n, 0) for n in orders)) for name, by_order in lines.items()]
    table = Table("n-grams by order", ("what", *(f"n = {n}" for n in orders)), rows)
    return [table, *_top(manifest, "records", manifest.extra["rank"])]


def _top(manifest: Manifest, folder: str, rank: str) -> list[Table]:
    """*Driver.* One row per rank, one column per order; looks at the first shards, one at a time."""
    by = "count" if folder == "counts" else "score"
    best: dict[int, pa.Table] = {}
    files = manifest.files(folder)
    for uri in files[:LOOKED_AT]:
        with storage.open_read(uri) as stream:
            table = pq.read_table(stream, columns=list(dict.fromkeys(["n", "text", "count", by])))
        for n in pc.unique(table["n"]).to_pylist():
            rows = table.filter(pc.equal(table["n"], n))
            rows = pa.concat_tables([best[n], rows]) if n in best else rows
            order = [(by, "descending"), ("count", "descending"), ("text", "ascending")]
            best[n] = rows.take(pc.select_k_unstable(rows, min(SHOWN, rows.num_rows), order))
    cells = {n: [_cell(row, rank) for row in best[n].to_pylist()] for n in sorted(best)}
    places = range(max(map(len, cells.values()), default=0))
    rows = [(place + 1, *(cells[n][place] if place < len(cells[n]) else "" for n in cells)) for place in places]
    title = "most frequent (count)" if rank == "count" else f"best by {rank} (score; count)"
    title += f" in the first {LOOKED_AT} of {len(files):,} shards" if len(files) > LOOKED_AT else ""
    return [Table(title, ("rank", *(f"n = {n}" for n in cells)), rows)] if rows else []


def _cell(row: dict[str, Any], rank: str) -> str:
    figures = f"{row['count']:,}" if rank == "count" else f"{row['score']:.2f}; {row['count']:,}"
    return f"{row['text']} ({figures})"
