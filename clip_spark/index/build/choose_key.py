"""*Pure.* Which kind of index: a Faiss factory key and a number of parts from size and memory."""

from __future__ import annotations

import math

from clip_spark.errors import SpecError
from clip_spark.index.files.keys import ID_BYTES, bytes_per_vector, is_exact, lists_of, rabitq_bytes
from clip_spark.index.specs import MOST_PARTS

SCANNED_WHOLE = 10_000
"""Rows that a condition may leave for all lists to be looked into; a scan of these takes about a millisecond."""
EXACT_TO = 200_000
"""Vectors up to which every search is exact. Lists answer texts and pictures alike only where they were tuned for both,
which takes so many of them that little is saved (docs/index.md)."""
EXACT_FACTOR = 4
"""An index is exact where a scan of all vectors takes so many times --max-query-ms: that is one thread's time for one
query alone, and each query of a batch takes a tenth of it."""
LEAST_ROWS_PER_LIST = 39
"""Faiss warns below this many training vectors per list."""
HNSW_FROM_LISTS = 16_384
"""Comparing a query with so many centroids one by one takes longer than looking into the lists."""
SCAN_BYTES_PER_MS = 10 << 20
"""What one thread compares in a millisecond; 12 MB were measured on a server's core."""


def list_count(rows: int) -> int:
    """*Pure.* Inverted lists for `rows` vectors: the power of two nearest to 4 * sqrt(rows)."""
    wanted = 2 ** round(math.log2(4 * math.sqrt(rows)))
    most = 2 ** int(math.log2(max(1, rows // LEAST_ROWS_PER_LIST)))
    return max(1, min(wanted, most))


def choose_key(rows: int, dim: int, memory: int, query_ms: float = 10.0, rabitq: bool = True) -> str:
    """*Pure.* The most exact kind of index that fits.

    Args:
        rows: vectors.
        dim: d.
        memory: bytes that the index may take.
        query_ms: milliseconds that a query may take; limits what is searched completely.
        rabitq: Faiss here has RaBitQ codes (`faiss_library.has_rabitq`).

    Raises:
        SpecError: even 16 bytes per vector are too much.
    """
    scanned = rows * (4 * dim + ID_BYTES)
    if rows <= EXACT_TO and scanned <= min(memory, EXACT_FACTOR * query_ms * SCAN_BYTES_PER_MS):
        return "Flat"
    lists = list_count(rows)
    coarse = f"IVF{lists}_HNSW32" if lists >= HNSW_FROM_LISTS else f"IVF{lists}"
    room = (memory - lists * dim * 4) / rows - ID_BYTES
    if room >= 4 * dim:
        return f"{coarse},Flat"
    if room >= dim:
        return f"{coarse},SQ8"
    for size, before, code in _codes(dim, rabitq):
        if size <= room:
            return f"{before},{coarse},{code}"
    raise SpecError(
        f"{rows:,} vectors do not fit into {memory / (1 << 20):,.0f} MB even when compressed; "
        f"raise --max-index-memory to {math.ceil(_least_memory(rows, dim, query_ms, rabitq) / (1 << 20))}M or more."
    )


def _least_memory(rows: int, dim: int, query_ms: float, rabitq: bool) -> int:
    """*Pure.* The fewest bytes with which `choose_key` finds a kind."""
    least = min([dim, *(size for size, _, _ in _codes(dim, rabitq))])
    compressed = list_count(rows) * dim * 4 + rows * (least + ID_BYTES)
    whole = rows * (4 * dim + ID_BYTES)
    quick = rows <= EXACT_TO and whole <= EXACT_FACTOR * query_ms * SCAN_BYTES_PER_MS
    return min(compressed, whole) if quick else compressed


def _codes(dim: int, rabitq: bool) -> list[tuple[int, str, str]]:
    """*Pure.* How vectors may be compressed to less than SQ8: bytes, the rotation before the lists and the code, the
    most bytes first."""
    sizes = {dim // 2, dim // 4, dim // 8, dim // 16, 16}
    found = [(size, f"OPQ{size}_{dim}", f"PQ{size}x8") for size in sizes if size >= 16 and dim % size == 0]
    if rabitq:
        found.append((rabitq_bytes(dim), f"RR{dim}", "RaBitQ"))
    return sorted((one for one in found if one[0] < dim), reverse=True)


def check_key(key: str, rows: int) -> None:
    """*Pure.* Refuse a key that cannot be built.

    Raises:
        SpecError: no `Flat` or `IVF` key, or more lists than vectors.
    """
    if not is_exact(key) and not lists_of(key):
        raise SpecError(f"--index-key is '{key}'; it must be Flat or hold IVF<lists>, such as IVF1024,Flat.")
    if lists_of(key) > rows:
        raise SpecError(f"--index-key '{key}' needs at least {lists_of(key)} vectors; there are {rows}.")


def choose_parts(key: str, rows: int, dim: int, part_bytes: int) -> int:
    """*Pure.* So many parts that each is at most `part_bytes`, for the task that builds a part holds it in memory.

    Raises:
        SpecError: more than MOST_PARTS would be needed.
    """
    parts = max(1, math.ceil(rows * bytes_per_vector(key, dim) / part_bytes))
    if parts > MOST_PARTS:
        needed = math.ceil(parts / MOST_PARTS * 2 * part_bytes / (1 << 30))
        raise SpecError(
            f"{rows:,} vectors need {parts} parts, {MOST_PARTS} are possible; raise --max-build-memory to {needed}G."
        )
    return parts
