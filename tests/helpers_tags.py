"""A dataset of tags, written as tag-images writes it, without an index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from clip_spark.datasets import schema
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.shards import ShardWriter
from tests.helpers_embeddings import FakeSpec

SHARD_PICTURES = 2


def write_tags(output: Path | str, uris: Sequence[str], words: Sequence[str]) -> str:
    """The same words for each picture, with scores 0.4, 0.3, ...; two pictures in a shard."""
    shards = [uris[start : start + SHARD_PICTURES] for start in range(0, len(uris), SHARD_PICTURES)]
    run = begin_run(str(output), Plan.of("tags", FakeSpec(output=str(output)), {}, len(shards)), overwrite=False)
    for number, some in enumerate(shards):
        rows = [_row(uri, rank, word) for uri in some for rank, word in enumerate(words, 1)]
        with ShardWriter(run.output, run.plan.fingerprint, number, {"tags": schema.TAGS}) as writer:
            writer.write("tags", pa.Table.from_pylist(rows, schema.TAGS))
            writer.finish()
    run.commit()
    return str(output)


def _row(uri: str, rank: int, word: str) -> dict[str, object]:
    tag = {"tag_id": schema.record_id(word), "text": word, "n": len(word.split())}
    return {"image_id": schema.record_id(uri), "uri": uri, "rank": rank, "score": 0.5 - rank / 10, **tag}
