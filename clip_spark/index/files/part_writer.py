"""*Worker.* One part: checked, written, hashed. Called by autofaiss where it would tune and write an index itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from clip_spark import storage
from clip_spark.errors import DatasetError
from clip_spark.index.files.faiss_library import load_faiss
from clip_spark.index.files.layout import IndexFile, part_path
from clip_spark.index.open.vectors import ids_by_list

WRITE_BYTES = 16 << 20
"""Faiss hands over what it writes in pieces; small ones would cost a Python call each."""


@dataclass(frozen=True)
class PartWriter:
    """Writes parts of one generation; picklable. An `index_optimizer` for autofaiss's distributed mode."""

    output: str
    generation: str

    def __call__(self, index: Any, index_suffix: str = "") -> dict[str, Any]:
        """What autofaiss calls for each merged index; `index_path` is the key under which it returns the rest."""
        part = self.write(index, int(index_suffix or 0))
        return {"index_path": part.path, **part.to_json()}

    def write(self, index: Any, number: int) -> IndexFile:
        """*Worker.* Check the ids and write the part atomically.

        Raises:
            DatasetError: ids are doubled or missing.
        """
        ids = np.sort(stored_ids(index))
        start = int(ids[0]) if len(ids) else 0
        if len(ids) != index.ntotal or not np.array_equal(ids, np.arange(start, start + len(ids))):
            raise DatasetError(f"Part {number} does not hold each of its vectors once; build the index again.")
        path = part_path(self.generation, number)
        with storage.open_write(storage.join(self.output, path)) as stream:
            hashed = HashingStream(stream)
            write_faiss(index, hashed)
        return IndexFile(path=path, start=start, rows=len(ids), **hashed.figures())


def write_faiss(index: Any, stream: HashingStream) -> None:
    """*Worker.* The bytes of a Faiss index."""
    faiss = load_faiss()
    faiss.write_index(index, faiss.PyCallbackIOWriter(stream.write, WRITE_BYTES))


def read_faiss(uri: str) -> Any:
    """*Worker.* A Faiss index from its bytes, all of it in memory; for empty ones, whose bytes are few."""
    faiss = load_faiss()
    return faiss.deserialize_index(np.frombuffer(storage.read_bytes(uri), np.uint8))


class HashingStream:
    """*Worker.* Passes bytes on and keeps their sha256 and number."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.sha256, self.bytes = stream, hashlib.sha256(), 0
        self.closed = False

    def write(self, data: bytes) -> int:
        """Write and hash."""
        self.sha256.update(data)
        self.bytes += len(data)
        return self.stream.write(data)

    def figures(self) -> dict[str, Any]:
        """The `bytes` and `sha256` of an IndexFile."""
        return {"bytes": self.bytes, "sha256": self.sha256.hexdigest()}

    def tell(self) -> int:
        """Bytes written; Arrow asks."""
        return self.bytes

    def flush(self) -> None:
        """Nothing; the stream below is flushed when it is closed."""


def stored_ids(index: Any) -> np.ndarray:
    """*Worker.* All ids that an index can return, int64, in the order of its lists."""
    return np.concatenate([np.empty(0, np.int64), *ids_by_list(index)])
