"""*Anywhere.* What report.json says of counts and of filtered n-grams, beside what it says of every dataset.

    shards, splits   files of counts, and tasks that read the corpus; each has a receipt (count-ngrams)
    corpus           lines, bytes, tokens and lines with replaced bytes (count-ngrams)
    ngrams_by_order  order -> how many there were before and after each cut
    ranks            order -> [rank, count] at counts half an octave apart, the most frequent first (count-ngrams)
    growth           [tokens read, different words in them], the shortest beginning first (count-ngrams)
    grown            what this run added to an earlier count, and what it left as it was (count-ngrams)

All of it is bounded, whatever the size of the corpus.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.receipt import Receipt
from clip_spark.texts.ngrams.counting import totals
from clip_spark.texts.ngrams.counting.growth import Points

BINS_PER_OCTAVE = 2
FREQUENCY, GROWN = "frequency", "grown"


def frequencies(order: int, counts: np.ndarray) -> Counter[str]:
    """*Worker.* How many of the counts (int64, at least 1) fall in each half octave: `frequency_order_bin` -> rows."""
    rows = np.bincount(np.floor(BINS_PER_OCTAVE * np.log2(counts)).astype(np.int64))
    return Counter({f"{FREQUENCY}_{order}_{at}": int(rows[at]) for at in np.flatnonzero(rows)})


def ranks(order: int, counters: Mapping[str, float]) -> Points:
    """*Pure.* (rank, count): so many n-grams have at least this count; from what `frequencies` counted."""
    prefix = f"{FREQUENCY}_{order}_"
    rows = {int(name.removeprefix(prefix)): int(n) for name, n in counters.items() if name.startswith(prefix)}
    points, rank = [], 0
    for at in sorted(rows, reverse=True):
        rank += rows[at]
        points.append((rank, int(np.ceil(2 ** (at / BINS_PER_OCTAVE)))))
    return points


def of_counts(extra: Mapping[str, Any], receipts: Sequence[Receipt], splits: int, growth: Points) -> dict[str, Any]:
    """*Pure.* The report of count-ngrams; `extra` is what its manifest says beside the receipts."""
    counters: Counter[str] = sum((Counter(receipt.counters) for receipt in receipts), Counter())
    corpus = {name: extra[name] for name in totals.OF_CORPUS}
    return {
        "rows_in": corpus["lines"],
        "shards": len(receipts) - splits,
        "splits": splits,
        "corpus": corpus,
        "ngrams_by_order": extra["orders"],
        "ranks": {n: ranks(int(n), counters) for n in extra["orders"]},
        "growth": growth,
    }


def of_filter(counts: Manifest, dropped: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """*Pure.* The report of filter-ngrams; `dropped` is reason -> order -> n-grams."""
    orders = {}
    for n, order in counts.extra["orders"].items():
        why = {reason: of_order[n] for reason, of_order in dropped.items() if n in of_order}
        counted = order["survivors"]
        orders[n] = {"counted": counted, "dropped": why, "kept": counted - sum(why.values())}
    return {"rows_in": counts.rows, "ngrams_by_order": orders}


def refined(report: dict[str, Any], more: Mapping[str, Any], seconds: Mapping[str, float]) -> dict[str, Any]:
    """*Pure.* The report of any dataset with the figures of this kind in place of the bare counters of its receipts."""
    stages = {**report["seconds_by_stage"], **{stage: round(value, 3) for stage, value in seconds.items()}}
    grown = {GROWN: report["growth"]} if "growth" in report else {}  # where the curve has its place
    return {**{key: report[key] for key in report if key != "counters"}, "seconds_by_stage": stages, **grown, **more}
