"""*Pure.* Which row groups of a parquet file hold some of its rows, so that the others are not read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow.parquet as pq


def row_groups(metadata: pq.FileMetaData, start: int, stop: int) -> tuple[list[int], int]:
    """*Pure.* The row groups that hold rows `start` to `stop`, and how many rows before `start` they bring along."""
    groups: list[int] = []
    first = skip = 0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if first < stop and first + rows > start:
            skip = start - first if not groups else skip
            groups.append(group)
        first += rows
    return groups, skip
