"""*Pure.* At which zoom a point appears: a quadtree of which every tile gets about as many points.

Zoom 0 is one square around all anchors, each further zoom halves its sides. A point's hash decides when it appears: in
a square at zoom z those below a threshold, which rises from its parent's by TILE_POINTS / (points in the square). How
many points a square has is estimated from the sample. So a task knows the level of its points without the others, and
points that are added later change no level.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

TILE_POINTS = 8192
DEEPEST = 16
"""Zooms; whoever has not appeared before appears there."""


@dataclass(frozen=True)
class Square:
    """The square of zoom 0: its corner with the least x and y, and its side, in units of the map."""

    x: float
    y: float
    side: float

    @staticmethod
    def around(places: np.ndarray) -> Square:
        """*Pure.* The square around places (float (n, 2)), with a margin."""
        low, high = places.min(axis=0).astype(float), places.max(axis=0).astype(float)
        side = float((high - low).max()) * 1.04 or 1.0
        x, y = (low + high) / 2 - side / 2
        return Square(float(x), float(y), side)

    def cells(self, places: np.ndarray, zoom: int) -> np.ndarray:
        """*Pure.* Column and row of the cells in which places lie, int64 (n, 2); those outside count to the border."""
        count = 1 << zoom
        found = np.floor((places.astype(np.float64) - (self.x, self.y)) / self.side * count)
        return np.clip(found, 0, count - 1).astype(np.int64)

    def inside(self, places: np.ndarray, zoom: int) -> np.ndarray:
        """*Pure.* Where in its cell each place lies, as uint16 (n, 2): 0 to 65535 along each side."""
        share = (places.astype(np.float64) - (self.x, self.y)) / self.side * (1 << zoom)
        return np.clip((share - self.cells(places, zoom)) * 65536, 0, 65535).astype(np.uint16)


def keys(cells: np.ndarray) -> np.ndarray:
    """*Pure.* One number for column and row, int64 (n,)."""
    return (cells[:, 0] << 32) | cells[:, 1]


@dataclass(frozen=True)
class Levels:
    """The thresholds of one kind of point: for each zoom the keys of its squares (rising) and theirs.

    A square that is not there appears as a whole: no point of the sample lies in it.
    """

    zooms: tuple[tuple[np.ndarray, np.ndarray], ...]

    def of(self, square: Square, places: np.ndarray, hashes: np.ndarray) -> np.ndarray:
        """*Pure.* The level of each point, uint8 (n,); places float32 (n, 2), hashes float64 (n,)."""
        found = np.full(len(places), DEEPEST, np.uint8)
        waiting = np.arange(len(places))
        for zoom, (known, thresholds) in enumerate(self.zooms):
            key = keys(square.cells(places[waiting], zoom))
            at = np.minimum(np.searchsorted(known, key), max(len(known) - 1, 0))
            there = known[at] == key if len(known) else np.zeros(len(key), bool)
            limit = np.where(there, thresholds[at], 1.0) if len(known) else np.ones(len(key))
            appears = hashes[waiting] < limit
            found[waiting[appears]] = zoom
            waiting = waiting[~appears]
            if not len(waiting):
                break
        return found

    def to_json(self) -> list[list[list[float]]]:
        """*Pure.* Ready for JSON."""
        return [[known.tolist(), thresholds.tolist()] for known, thresholds in self.zooms]

    @staticmethod
    def from_json(value: Sequence[Sequence[Sequence[float]]]) -> Levels:
        """*Pure.* The inverse of `to_json`."""
        return Levels(tuple((np.array(known, np.int64), np.array(limits, np.float64)) for known, limits in value))


def make_levels(square: Square, sample: np.ndarray, rows: int) -> Levels:
    """*Pure.* Thresholds for `rows` points, of which the sample (places, float32 (n, 2)) shows how they lie."""
    return Levels(tuple(_thresholds(square, sample, rows / max(len(sample), 1))))


def _thresholds(square: Square, sample: np.ndarray, each: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """*Pure.* Zoom by zoom; `each` point of the sample stands for so many."""
    limit, left = np.zeros(len(sample)), np.arange(len(sample))
    for zoom in range(DEEPEST):
        if not len(left):
            return
        known, of, counts = np.unique(keys(square.cells(sample[left], zoom)), return_inverse=True, return_counts=True)
        limit[left] = np.minimum(1.0, limit[left] + TILE_POINTS / (counts[of] * each))
        thresholds = np.zeros(len(known))
        thresholds[of] = limit[left]
        yield known, thresholds
        left = left[limit[left] < 1]
