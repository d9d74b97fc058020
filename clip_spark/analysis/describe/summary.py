"""*Driver.* The summary of describe-set, computed on the executors.

A task reduces a shard to counts per bin and per tag; Spark adds them up and keeps the top tags of each class. What
reaches the driver grows with the number of classes, not of images.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.runtime.tasks import collect, spread

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

STEP = "describe-set"
BINS_PER_UNIT = 100
"""Bins of the drawn distribution of scores are a hundredth wide."""
FINE = 100
"""Quantiles come from bins that are so many times finer: right to 0.0001 of cosine, in bounded memory."""
QUANTILES = (0.1, 0.5, 0.9)
Bin = tuple[int, float]
"""Of one bin: images, sum of scores."""
Tag = tuple[int, float, tuple[tuple[float, str], ...]]
"""Of one tag: images, sum of scores, the best examples as (-score, uri)."""

BIN_COUNTS = """
    SELECT class, floor(score * ?)::int AS bin, count(*), sum(score::double) FROM best GROUP BY class, bin"""
TAG_COUNTS = """
    SELECT class, tag_id, text, count(*), sum(score::double),
           list_slice(list({'low': -score::double, 'uri': coalesce(uri, '')} ORDER BY score DESC, uri), 1, ?)
    FROM best GROUP BY class, tag_id, text"""


def summarise(spark: SparkSession, files: Sequence[str], top: int, examples: int) -> list[dict[str, Any]]:
    """*Driver.* Per class: figures of the best scores, their distribution, and the top tags with example pictures.

    Args:
        spark: the session.
        files: URIs of the shards of best texts.
        top: tags per class.
        examples: pictures per tag.
    """
    shards = spread(spark, files)
    bins: dict[str, dict[int, Bin]] = {}
    counted = shards.flatMap(_bin_counts).reduceByKey(add_bins)
    for (name, low), found in collect(spark, STEP, counted, len(files)):
        bins.setdefault(name, {})[low] = found
    tags = shards.flatMap(lambda uri: _tag_counts(uri, examples)).reduceByKey(lambda a, b: add_tags(a, b, examples))
    rows = tags.map(lambda tag: (tag[0][0], [(-tag[1][0], tag[0][2], *tag[1][1:])]))
    best = dict(collect(spark, STEP, rows.reduceByKey(lambda a, b: heapq.nsmallest(top, a + b)), len(files)))
    return [
        {"class": name, **figures(bins[name]), "tags": [_shown(tag) for tag in sorted(best[name])[:top]]}
        for name in sorted(bins, key=lambda name: (len(name), name))
    ]


def _bin_counts(uri: str) -> Iterator[tuple[tuple[str, int], Bin]]:
    """*Worker.* ((class, fine bin), figures) of one shard."""
    for name, low, count, total in _query(uri, BIN_COUNTS, BINS_PER_UNIT * FINE):
        yield (name, low), (count, total)


def _tag_counts(uri: str, examples: int) -> Iterator[tuple[tuple[str, str, str], Tag]]:
    """*Worker.* ((class, tag_id, text), figures) of one shard."""
    for name, tag_id, text, count, total, best in _query(uri, TAG_COUNTS, examples):
        yield (name, tag_id, text), (count, total, tuple((each["low"], each["uri"]) for each in best))


def _query(uri: str, query: str, parameter: int) -> list[tuple[Any, ...]]:
    import duckdb

    with storage.open_read(uri) as stream, duckdb.connect(config={"threads": 1}) as connection:
        connection.register("best", pq.read_table(stream))
        return connection.execute(query, [parameter]).fetchall()


def add_bins(one: Bin, other: Bin) -> Bin:
    """*Pure.* The figures of a bin over two sets of images."""
    return one[0] + other[0], one[1] + other[1]


def add_tags(one: Tag, other: Tag, examples: int) -> Tag:
    """*Pure.* The figures of a tag over two sets of images."""
    return one[0] + other[0], one[1] + other[1], tuple(heapq.nsmallest(examples, one[2] + other[2]))


def figures(fine: dict[int, Bin]) -> dict[str, Any]:
    """*Pure.* Images, mean, quantiles and drawn bins of the scores of a class, from its fine bins."""
    pictures = sum(count for count, _ in fine.values())
    bins: dict[str, int] = {}
    for low in sorted(fine):
        coarse = str(low // FINE)
        bins[coarse] = bins.get(coarse, 0) + fine[low][0]
    return {
        "images": pictures,
        "mean": round(math.fsum(total for _, total in fine.values()) / pictures, 5),
        "quantiles": [
            round((_quantile(fine, share * pictures) + 0.5) / FINE / BINS_PER_UNIT, 5) for share in QUANTILES
        ],
        "bins": bins,
    }


def _quantile(fine: dict[int, Bin], pictures: float) -> int:
    """*Pure.* The bin in which so many images, from the lowest score on, are reached."""
    ordered = sorted(fine)
    return ordered[bisect_left(list(accumulate(fine[low][0] for low in ordered)), pictures)]


def _shown(tag: tuple[int, str, float, tuple[tuple[float, str], ...]]) -> dict[str, Any]:
    pictures, text, total, examples = tag
    return {
        "text": text,
        "images": -pictures,
        "mean": round(total / -pictures, 5),
        "examples": [uri for _, uri in examples],
    }
