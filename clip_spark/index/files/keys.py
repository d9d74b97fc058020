"""*Pure.* What the Faiss key of an index says of it, before any part is opened: the manifest has the key.

`shapes` says the same of an opened part, which may be without a manifest.
"""

from __future__ import annotations

import math
import re

ID_BYTES = 8
"""Of one id in a file: int64."""


def is_exact(key: str) -> bool:
    """*Pure.* True for an index that compares every query with every vector."""
    return key == "Flat"


def lists_of(key: str) -> int:
    """*Pure.* Inverted lists of a key, 0 if it has none."""
    found = re.search(r"IVF(\d+)", key)
    return int(found[1]) if found else 0


def is_graph(key: str) -> bool:
    """*Pure.* True for a graph that another tool has made; build-index makes none."""
    return bool(re.search(r"(^|,)HNSW\d", key))


def keeps_vectors(key: str) -> bool:
    """*Pure.* True for an index whose parts hold their vectors bit by bit."""
    return bool(re.fullmatch(r"(IVF\d+(_HNSW\d+)?,)?Flat|HNSW\d+", key))


def widest(key: str, rows: int) -> int:
    """*Pure.* The greatest `nprobe`: all lists, or a graph's rows as candidates; 0 where every search is complete."""
    return lists_of(key) or (rows if is_graph(key) else 0)


def rabitq_bytes(dim: int) -> int:
    """*Pure.* Bytes of one RaBitQ code: a sign for each number, and two factors."""
    return math.ceil(dim / 8) + 8


def bytes_per_vector(key: str, dim: int) -> int:
    """*Pure.* Bytes of one vector in a part, its id included."""
    product = re.search(r"PQ(\d+)(?:x\d+)?$", key)
    if key.endswith("RaBitQ"):
        code = rabitq_bytes(dim)
    else:
        code = int(product[1]) if product else dim if key.endswith("SQ8") else 4 * dim
    return code + ID_BYTES
