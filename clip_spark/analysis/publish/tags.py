"""*Worker.* The tags of a set by picture, in a database on this disk: their order need not be that of the index."""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.manifest import Manifest

BATCH_ROWS = 8192
MOST_ASKED = 500
COLUMNS = ("image_id", "text", "score")


class TagsByPicture:
    """*Worker.* Opened once for a publication; `close` deletes what it has written."""

    def __init__(self, tags: Manifest) -> None:
        self.manifest = tags
        self._scratch = tempfile.TemporaryDirectory()
        self._found = sqlite3.connect(os.path.join(self._scratch.name, "tags.db"))
        self._found.execute("create table tags (id text, text text, score real)")
        self._found.executemany("insert into tags values (?, ?, ?)", _rows(tags))
        self._found.execute("create index by_id on tags (id)")

    def of(self, ids: Sequence[str]) -> list[list[dict[str, Any]]]:
        """The tags of some pictures, best first: text and score."""
        found: dict[str, list[dict[str, Any]]] = {}
        for start in range(0, len(ids), MOST_ASKED):
            some = ids[start : start + MOST_ASKED]
            asked = f"select id, text, score from tags where id in ({','.join('?' * len(some))}) order by rowid"
            for name, text, score in self._found.execute(asked, some):
                found.setdefault(name, []).append({"text": text, "score": round(score, 6)})
        return [found.get(name, []) for name in ids]

    def close(self) -> None:
        """Let go of the database and delete it."""
        self._found.close()
        self._scratch.cleanup()


def _rows(tags: Manifest) -> Iterator[tuple[str, str, float]]:
    for uri in tags.files("tags"):
        with storage.open_read(uri) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(BATCH_ROWS, columns=list(COLUMNS)):
                yield from zip(*(batch.column(name).to_pylist() for name in COLUMNS), strict=True)


def as_json(row: dict[str, Any]) -> bytes:
    """*Pure.* A record for a file of its own; bytes and times as text."""
    return (json.dumps(row, ensure_ascii=False, default=str) + "\n").encode()
