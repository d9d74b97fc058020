"""*Server.* The points of a map inside of a polygon: read from its tiles, whatever of them a page has drawn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from clip_spark.analysis.map.draw import places_in, read_tile
from clip_spark.analysis.map.levels import Square
from clip_spark.datasets import schema
from clip_spark.web.budget import check_budget
from clip_spark.web.maps.served_map import ServedMap, kind_of

if TYPE_CHECKING:
    from clip_spark.web.catalog import Catalog

COLUMNS = (schema.RECORD_ID, "kind", "x", "y", "text", "uri")


def points_inside(catalog: Catalog, served: ServedMap, corners: np.ndarray, kind: str, k: int) -> tuple[int, pa.Table]:
    """*Server.* How many points lie in a polygon, and the first k that were not taken down, coarse tiles first.

    Args:
        catalog: of the indices; what they have not any more is not listed.
        served: the map.
        corners: float64 (n, 2).
        kind: of the points; empty is both.
        k: most points that are listed.
    """
    count, found, left = 0, [_listed(pa.table({}), "", np.empty((0, 2)))], k
    for name, rows, places in _hits(served, corners, kind):
        count += len(rows)
        if left > 0:
            rows, places = rows[:left], places[:left]
            table = _listed(served.records_of_tile(name).take(pa.array(rows)), kind_of(name), places)
            found.append(_live(catalog, served, kind_of(name), table))
            left -= found[-1].num_rows
    return count, pa.concat_tables(found, promote_options="permissive").slice(0, k)


def _hits(served: ServedMap, corners: np.ndarray, kind: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(tile, rows int64 (m,), places float64 (m, 2)) of each tile that has some."""
    square = Square(*served.listed["square"])
    low, high = corners.min(axis=0), corners.max(axis=0)
    for name, tile in served.tiles.items():
        check_budget()
        if (kind and kind_of(name) != kind) or not _meets(square, name, low, high):
            continue
        places = places_in(square, name, read_tile(served.manifest.uri, tile, "arrow"))
        near = np.flatnonzero(((places >= low) & (places <= high)).all(axis=1))
        rows = near[inside(corners, places[near])]
        if len(rows):
            yield name, rows, places[rows]


def _meets(square: Square, name: str, low: np.ndarray, high: np.ndarray) -> bool:
    zoom, column, row = (int(part) for part in name.split("-")[1:])
    side = square.side / (1 << zoom)
    corner = np.array([square.x, square.y]) + np.array([column, row]) * side
    return bool((corner <= high).all() and (corner + side >= low).all())


def inside(corners: np.ndarray, places: np.ndarray) -> np.ndarray:
    """*Pure.* Which places (float64 (m, 2)) lie inside a polygon (corners float64 (n, 2)), bool (m,); even-odd."""
    found = np.zeros(len(places), bool)
    x, y = places[:, 0], places[:, 1]
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        crosses = (y0 > y) != (y1 > y)
        if crosses.any():
            found ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0 if y1 != y0 else 1.0) + x0)
    return found


def _listed(records: pa.Table, kind: str, places: np.ndarray) -> pa.Table:
    """*Pure.* Records of a tile with the columns that a list has."""
    texts = {name: records[name] if name in records.column_names else pa.array([], pa.string()) for name in COLUMNS[4:]}
    ids = records[schema.RECORD_ID] if records.num_rows else pa.array([], pa.string())
    kinds = pa.array([kind] * len(places), pa.string())
    return pa.table({schema.RECORD_ID: ids, "kind": kinds, "x": places[:, 0], "y": places[:, 1], **texts})


def _live(catalog: Catalog, served: ServedMap, kind: str, table: pa.Table) -> pa.Table:
    """*Server.* Without the records that the index of this kind has not, such as those that were taken down."""
    if kind not in served.homes:
        return table
    there = catalog.get(served.homes[kind]).has_all(table[schema.RECORD_ID].to_pylist())
    return table.filter(pa.array(there))
