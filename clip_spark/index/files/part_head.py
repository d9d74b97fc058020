"""*Pure.* The head of a part that has inverted lists: all of its file that lies before what the lists hold.

Faiss writes the lists of an index last: "ilar", their number and the bytes of a vector, their sizes, then of each list
its codes and its ids. So the sizes say where each list lies, and whether that is so shows in the size of the file.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

import numpy as np

from clip_spark.index.files.keys import ID_BYTES, lists_of
from clip_spark.index.files.layout import IndexFile

START_BYTES, SPARSE_BYTES = 20, 16
"""Of what comes before the sizes; of a size in a file that names only the lists that are not empty."""
GRAPH_BYTES = 400
"""Of a centroid's edges in an HNSW quantizer."""
OTHER_BYTES = 64 << 10


@dataclass(frozen=True)
class PartHead:
    """Where the lists of a part lie.

    Attributes:
        at: where the description of the lists begins in the file; before it lie the quantizers.
        sizes: vectors of each list, int64 (lists,).
        starts: of the lists in the file, and the end of the last one, int64 (lists + 1,).
        code_bytes: of one vector; the ids of a list follow its vectors.
    """

    at: int
    sizes: np.ndarray
    starts: np.ndarray
    code_bytes: int

    def ids_at(self, number: int) -> int:
        """*Pure.* Where the ids of a list begin."""
        return int(self.starts[number] + self.sizes[number] * self.code_bytes)


def likely_bytes(key: str, dim: int) -> int:
    """*Pure.* So many bytes of a part hold its head, for all kinds that build-index makes."""
    centroid = 4 * dim + ID_BYTES + (GRAPH_BYTES if "HNSW" in key else 0)
    rotation = 4 * dim * dim if "PQ" in key or "RaBitQ" in key else 0
    codebook = 4 * dim * 256 if "PQ" in key else 0
    return lists_of(key) * centroid + rotation + codebook + OTHER_BYTES


def find_head(data: bytes, first: int, lists: int, file: IndexFile) -> PartHead | None:
    """*Pure.* The head of a part.

    Args:
        data: bytes of the file.
        first: place of these bytes in it.
        lists: how many the part has.
        file: the part.

    Returns:
        None where these bytes do not describe lists that lie at the end of a file of this size and so many rows.
    """
    named = re.escape(b"ilar" + struct.pack("<Q", lists))
    for found in re.finditer(named, data):
        head = _head_at(data, found.start(), first, lists)
        if head is not None and head.starts[-1] == file.bytes and head.sizes.sum() == file.rows:
            return head
    return None


def _head_at(data: bytes, place: int, first: int, lists: int) -> PartHead | None:
    begin = place + START_BYTES
    if begin + 4 + ID_BYTES > len(data):
        return None
    (code_bytes,), kind = struct.unpack_from("<Q", data, begin - ID_BYTES), data[begin : begin + 4]
    (count,) = struct.unpack_from("<Q", data, begin + 4)
    numbers, end = begin + 4 + ID_BYTES, begin + 4 + ID_BYTES * (1 + count)
    if kind not in (b"full", b"sprs") or count > 2 * lists or end > len(data):
        return None
    sizes = np.frombuffer(data, np.int64, count, numbers)
    if kind == b"sprs":
        pairs, sizes = sizes.reshape(-1, 2), np.zeros(lists, np.int64)
        sizes[pairs[:, 0]] = pairs[:, 1]
    if len(sizes) != lists:
        return None
    starts = first + end + np.concatenate([[0], np.cumsum(sizes * (code_bytes + ID_BYTES))])
    return PartHead(first + place, sizes, starts, code_bytes)


def described_bytes(lists: int) -> int:
    """*Pure.* The most bytes that describe so many lists."""
    return START_BYTES + 4 + ID_BYTES + SPARSE_BYTES * lists


def with_rows(head: bytes, rows: int, others: int) -> bytes:
    """*Pure.* The quantizers of one part as they stand in another: Faiss notes the rows of a part before them.

    Args:
        head: bytes of the first part before the description of its lists.
        rows: of that part.
        others: of the other part.
    """
    unused = struct.pack("<qq", 1 << 20, 1 << 20)
    return head.replace(struct.pack("<q", rows) + unused, struct.pack("<q", others) + unused)
