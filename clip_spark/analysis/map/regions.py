"""*Pure.* Regions of a map: a blurred grid of counts, of which every cell climbs to a peak; and those put together.

Every point is in one region at each zoom. Methods that find clusters leave up to half of the points without one. The
finest regions follow the valleys of the map; coarser ones are neighbours whose pictures are alike, by their vectors and
not by where the map had room for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clip_spark.analysis.map.levels import Square

CELLS = 256
"""Along each side of the grid."""
WANTED = (6, 16, 52)
"""Regions at each zoom, at most; the blur is chosen for the last."""
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


def find_regions(square: Square, places: np.ndarray, vectors: np.ndarray) -> list[Regions]:
    """*Pure.* Regions of places for each zoom, coarse to fine; zooms that would repeat the one before are left out.

    Args:
        square: of zoom 0.
        places: float32 (n, 2).
        vectors: what lies there, float32 (n, d).
    """
    cells = _cells(square, places)
    counts = np.zeros((CELLS, CELLS))
    np.add.at(counts, (cells[:, 0], cells[:, 1]), 1.0)
    finest = _with_at_most(counts, cells, WANTED[-1])
    coarser = put_together(finest, cells, vectors, [wanted for wanted in WANTED if wanted < len(finest.peaks)])
    return [*coarser, finest]


def put_together(finest: Regions, cells: np.ndarray, vectors: np.ndarray, wanted: Sequence[int]) -> list[Regions]:
    """*Pure.* Regions joined by twos until so many are left, for each number of `wanted` (rising), coarse to fine.

    Always the two neighbours whose joining adds least to the squared distances of pictures from the mean of their
    region (Ward); islands, which have no neighbours, are joined when nothing else is left.

    Args:
        finest: the regions to join.
        cells: of the pictures, int (n, 2).
        vectors: of the pictures, float32 (n, d).
        wanted: numbers of regions, fewer than there are.
    """
    of, count = finest.of_cell[cells[:, 0], cells[:, 1]], len(finest.peaks)
    sizes = np.bincount(of, minlength=count).astype(np.float64)
    means = np.stack([vectors[of == each].mean(axis=0, dtype=np.float64) for each in range(count)])
    beside, group, found = _beside(finest.of_cell, count), np.arange(count), list[Regions]()
    for left in range(count, min(wanted, default=count), -1):
        keep, goes = _cheapest(means, sizes, beside, group)
        means[keep] = (means[keep] * sizes[keep] + means[goes] * sizes[goes]) / (sizes[keep] + sizes[goes])
        sizes[keep] += sizes[goes]
        beside[keep] |= beside[goes]
        beside[:, keep] |= beside[:, goes]
        group[group == goes] = keep
        if left - 1 in wanted:
            found.insert(0, _grouped(finest, group, sizes))
    return found


def _cheapest(means: np.ndarray, sizes: np.ndarray, beside: np.ndarray, group: np.ndarray) -> tuple[int, int]:
    """*Pure.* The two groups to join, the lower number first."""
    alive = np.unique(group)
    mean, size = means[alive], sizes[alive]
    far = ((mean[:, None] - mean) ** 2).sum(axis=2)
    cost = np.round(far * size[:, None] * size / (size[:, None] + size), 9)  # not the last bits decide
    allowed = beside[np.ix_(alive, alive)]
    np.fill_diagonal(allowed, False)
    if not allowed.any():
        allowed = ~np.eye(len(alive), dtype=bool)
    first, second = np.unravel_index(np.where(allowed, cost, np.inf).argmin(), cost.shape)
    return int(alive[min(first, second)]), int(alive[max(first, second)])


def _beside(of_cell: np.ndarray, count: int) -> np.ndarray:
    """*Pure.* Which regions have cells side by side, bool (count, count)."""
    found = np.zeros((count, count), bool)
    for one, other in ((of_cell[:-1], of_cell[1:]), (of_cell[:, :-1], of_cell[:, 1:])):
        both = (one >= 0) & (other >= 0) & (one != other)
        found[one[both], other[both]] = found[other[both], one[both]] = True
    return found


def _grouped(finest: Regions, group: np.ndarray, sizes: np.ndarray) -> Regions:
    """*Pure.* Groups of regions as regions, numbered by how many points they have; each has its first one's peak."""
    alive = np.unique(group)
    order = alive[np.lexsort((alive, -sizes[alive]))]
    number = np.full(len(group), -1, np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    of_cell = np.where(finest.of_cell >= 0, number[group][finest.of_cell], -1).astype(np.int32)
    return Regions(of_cell, finest.peaks[order])


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
