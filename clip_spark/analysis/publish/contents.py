"""*Worker.* What of an index is published: records and vectors that are not taken down, in the order of positions."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.schema import RECORD_ID
from clip_spark.datasets.spec import fingerprint
from clip_spark.errors import InputError
from clip_spark.index.files.faiss_library import inverted_of, load_faiss
from clip_spark.index.files.layout import IndexInfo, read_index
from clip_spark.index.files.local_copy import open_local
from clip_spark.index.files.needed_faiss import check_faiss
from clip_spark.index.open.parts import open_parts
from clip_spark.index.open.records import RecordReader
from clip_spark.index.open.removals import read_removed

BLOCK_ROWS = 16_384


class Contents:
    """An index, and what was taken down of it when this was made.

    Attributes:
        manifest: of the index.
        info: what it says.
        removed: ids of records that are not published.
    """

    def __init__(self, uri: str) -> None:
        self.manifest: Manifest
        self.info: IndexInfo
        self.manifest, self.info = read_index(uri)
        check_faiss(uri, self.info.key)
        self.removed = frozenset(read_removed(self.manifest.uri))
        self._records = RecordReader(self.manifest.uri, self.info.records, self.info.columns)
        self._parts = open_parts(self.manifest.uri, self.info)
        if not len(self.positions):
            raise InputError(f"'{uri}' holds no record that was not taken down; there is nothing to publish.")

    @property
    def fingerprint(self) -> str:
        """Of all that is published: the index, and what is left out of it."""
        return fingerprint([self.manifest.content_fingerprint, sorted(self.removed)])

    @cached_property
    def positions(self) -> np.ndarray:
        """Those that are published, int64, rising; 8 bytes each."""
        gone = pa.array(sorted(self.removed), pa.string())
        found = [np.empty(0, np.int64)]
        for first, batch in self._records.batches():
            ids = batch.column(RECORD_ID)
            out = pc.or_(pc.is_null(ids), pc.is_in(ids, value_set=gone)).to_numpy(zero_copy_only=False)
            found.append(first + np.flatnonzero(~out))
        return np.concatenate(found)

    @property
    def columns(self) -> pa.Schema:
        """Of the records."""
        return self._records.schema

    def records(self, start: int, stop: int) -> pa.Table:
        """Records of the published rows `start` to `stop`."""
        return self._records.take(self.positions[start:stop])

    def ids(self, positions: np.ndarray) -> list[str | None]:
        """Ids of the records at some positions of the index, taken down or not."""
        return list(self._records.take(positions, [RECORD_ID]).column(RECORD_ID).to_pylist())

    def vectors(self, start: int, stop: int) -> np.ndarray:
        """Their vectors, float32 (n, d), of length 1 (of compressed indices: as float16 keeps them)."""
        return self._parts.vectors.take(self.positions[start:stop])

    def blocks(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Rows from, to: what of a run of rows is in memory at once."""
        for first in range(start, stop, BLOCK_ROWS):
            yield first, min(stop, first + BLOCK_ROWS)

    def faiss_index(self) -> Any:
        """One Faiss index of all published rows under their numbers from 0, in memory, as trained by the build."""
        faiss = load_faiss()
        index = open_local(self.manifest.uri, self.info.parts[0], faiss.read_index)
        if (lists := inverted_of(index)) is not None:
            lists.nprobe = max(1, self.info.settings.nprobe)
        if self._is_all(index):
            return index
        index.reset()
        if isinstance(index, faiss.IndexIDMap):
            index = faiss.clone_index(faiss.downcast_index(index.index))  # what is mapped goes with its map
        for first, last in self.blocks(0, len(self.positions)):
            index.add(self.vectors(first, last))
        return index

    def _is_all(self, index: Any) -> bool:
        """Whether a part has all that is published, under the same numbers, and nothing better is kept beside it."""
        numbered = not isinstance(index, load_faiss().IndexIDMap) and not self.info.vectors
        return numbered and int(index.ntotal) == self.info.rows == len(self.positions)

    def changed(self) -> bool:
        """Whether records were taken down since."""
        return frozenset(read_removed(self.manifest.uri)) != self.removed

    def close(self) -> None:
        """Let go of all files."""
        self._parts.close()
        self._records.close()
