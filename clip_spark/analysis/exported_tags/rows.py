"""*Worker.* Tags of one shard as pictures with their words, cut to what was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import pyarrow.compute as pc
import pyarrow.parquet as pq

from clip_spark import storage

BATCH_ROWS = 8192
Tagged = tuple[str, list[tuple[str, float]]]
"""Picture's URI, (text, score) of its tags, best first."""


def tagged_pictures(uri: str, top: int, min_score: float) -> Iterator[Tagged]:
    """*Worker.* The pictures of a file of tags, in order; those without a tag that is good enough are left out."""

    def rows() -> Iterator[tuple[str, str, float]]:
        with storage.open_read(uri) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(BATCH_ROWS, columns=["uri", "text", "score", "rank"]):
                if top:
                    batch = batch.filter(pc.field("rank") <= top)
                batch = batch.filter(pc.field("score") >= min_score)
                columns = (batch.column(name).to_pylist() for name in ("uri", "text", "score"))
                yield from zip(*columns, strict=True)

    for picture, group in groupby(rows(), key=lambda row: row[0]):
        yield picture, [(" ".join(text.split()), score) for _, text, score in group]
