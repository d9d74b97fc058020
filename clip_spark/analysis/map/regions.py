"""*Pure.* Regions of a map: a blurred grid of counts, of which every cell climbs to a peak; coarse to fine.

Every point is in one region at each zoom. Methods that find clusters leave up to half of the points without one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip_spark.analysis.map.levels import Square

CELLS = 256
"""Along each side of the grid."""
WANTED = (6, 16, 52)
"""Regions at each zoom, at most; the blur is chosen for it."""
WIDEST, NARROWEST = CELLS / 6, 1.0
"""Blurs, in cells."""
TRIALS = 12
"""A blur is found by so many halvings."""


@dataclass(frozen=True)
class Regions:
    """The regions of one zoom.

    Attributes:
        of_cell: number of the region of each cell, int32 (CELLS, CELLS) by column and row.
        peaks: column and row of the peak of each region, int64 (r, 2), by falling number of points.
    """

    of_cell: np.ndarray
    peaks: np.ndarray

    def of(self, square: Square, places: np.ndarray) -> np.ndarray:
        """*Pure.* The region of each place (float32 (n, 2)), int32 (n,)."""
        cells = _cells(square, places)
        return self.of_cell[cells[:, 0], cells[:, 1]]


def find_regions(square: Square, places: np.ndarray) -> list[Regions]:
    """*Pure.* Regions of places (float32 (n, 2)) for each zoom; zooms that would repeat the one before are left out."""
    cells = _cells(square, places)
    counts = np.zeros((CELLS, CELLS))
    np.add.at(counts, (cells[:, 0], cells[:, 1]), 1.0)
    found: list[Regions] = []
    for wanted in WANTED:
        regions = _with_at_most(counts, cells, wanted)
        if not found or len(regions.peaks) > len(found[-1].peaks):
            found.append(regions)
    return found


def _cells(square: Square, places: np.ndarray) -> np.ndarray:
    return square.cells(places, CELLS.bit_length() - 1)


def _with_at_most(counts: np.ndarray, cells: np.ndarray, wanted: int) -> Regions:
    """*Pure.* The finest regions that are no more than wanted: the blur is halved between too fine and too coarse."""
    fine, coarse, best = NARROWEST, WIDEST, _climb(counts, cells, WIDEST)
    for _ in range(TRIALS):
        middle = (fine * coarse) ** 0.5
        found = _climb(counts, cells, middle)
        if len(found.peaks) <= wanted:
            coarse, best = middle, found
        else:
            fine = middle
    return best


def _climb(counts: np.ndarray, cells: np.ndarray, width: float) -> Regions:
    """*Pure.* Each cell goes to the highest of itself and its eight neighbours, until all stand on peaks."""
    height = np.pad(blurred(counts, width), 1, constant_values=-1.0)
    size = CELLS + 2
    number = np.arange(size * size).reshape(size, size)
    best, goal = height.copy(), number.copy()
    for right in (-1, 0, 1):
        for up in (-1, 0, 1):
            other = np.roll(height, (right, up), (0, 1))
            higher = other > best
            best[higher], goal[higher] = other[higher], np.roll(number, (right, up), (0, 1))[higher]
    top = goal.reshape(-1)
    while not np.array_equal(top, further := top[top]):
        top = further
    peak_of_cell = top.reshape(size, size)[1:-1, 1:-1]
    return _numbered(peak_of_cell, cells, size)


def _numbered(peak_of_cell: np.ndarray, cells: np.ndarray, size: int) -> Regions:
    """*Pure.* Regions with points get numbers by how many they have; a cell without points may belong to none (-1)."""
    peaks, counts = np.unique(peak_of_cell[cells[:, 0], cells[:, 1]], return_counts=True)
    order = np.lexsort((peaks, -counts))
    numbers = np.full(size * size, -1, np.int32)
    numbers[peaks[order]] = np.arange(len(peaks), dtype=np.int32)
    at = np.stack(np.divmod(peaks[order], size), axis=1) - 1
    return Regions(numbers[peak_of_cell], at)


def blurred(counts: np.ndarray, width: float) -> np.ndarray:
    """*Pure.* A grid after a Gaussian blur of a width in cells."""
    reach = int(4 * width) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    kernel /= kernel.sum()
    away = np.abs(np.arange(len(counts))[:, None] - np.arange(len(counts)))
    matrix = np.where(away <= reach, kernel[np.minimum(away, reach) + reach], 0.0)
    return matrix @ counts @ matrix.T
