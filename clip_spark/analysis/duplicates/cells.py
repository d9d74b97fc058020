"""*Pure.* Cells: parts of the sphere with about as many records each, so that near records share at least one.

Two layers of centres. A record is in the cell of its nearest centres, and in those of others that are hardly farther:
the margins are those that keep pairs together which are exactly as near as the threshold asks, and lie as the set does.
So a record lies in two to four cells, and what is compared grows with the number of records, not with its square.

A hub is the middle of a crowd of records that are all but equal, too many for a cell: those around it are one.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

import numpy as np

CELL_ROWS = 256
"""Records whose nearest centre is that of a cell, on average."""
MOST_CROWD = 8192
"""So many records within the core of a hub make one."""
CORE = 8
"""The core of a hub has this part of the threshold's angle as its radius."""
SAMPLE_PER_CELL, LEAST_SAMPLE, MOST_SAMPLE = 16, 20_000, 131_072
ROUNDS = 8
PAIRS = 8192
TOGETHER = 0.999
"""Share of the pairs that each layer keeps together."""
BLOCK = 2048
"""Rows whose scores are computed at once, always so many: the last bits of a product depend on its shape."""


@dataclass(frozen=True)
class Cells:
    """What decides where a record lies.

    Attributes:
        coarse: centres of the first layer, float32 (c, d).
        fine: those of the second, float32 (k, d); cell i is that of fine[i].
        first: the centres below coarse[i] are fine[first[i]:first[i + 1]], int64 (c + 1,).
        margins: how much less than the best a score may be, float64 (2,).
        expected: records of each cell, float64 (k,).
        hubs: float32 (h, d).
        core: cosine with a hub from which on a record is in its core.
    """

    coarse: np.ndarray
    fine: np.ndarray
    first: np.ndarray
    margins: np.ndarray
    expected: np.ndarray
    hubs: np.ndarray
    core: float

    def to_bytes(self) -> bytes:
        """*Pure.* As a file of numpy."""
        data = io.BytesIO()
        np.savez(data, **vars(self))
        return data.getvalue()

    @staticmethod
    def from_bytes(data: bytes) -> Cells:
        """*Pure.* The inverse."""
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            return Cells(**{name: found[name] for name in found.files if name != "core"}, core=float(found["core"]))

    def of(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """*Pure.* The cells of unit vectors, float32 (n, d): rows and cells, int64 (m,) each, by cell and row."""
        rows, parents = near_best(scores(vectors, self.coarse), self.margins[0])
        found = []
        for parent, mine in split_by(parents, rows):
            inside = slice(self.first[parent], self.first[parent + 1])
            at, child = near_best(scores(vectors[mine], self.fine[inside]), self.margins[1])
            found.append((mine[at], child + self.first[parent]))
        cells = np.concatenate([cell for _, cell in found] or [np.empty(0, np.int64)])
        rows = np.concatenate([row for row, _ in found] or [np.empty(0, np.int64)])
        order = np.lexsort((rows, cells))
        return rows[order], cells[order]

    def hub_of(self, vectors: np.ndarray) -> np.ndarray:
        """*Pure.* The hub in whose core each vector lies, int64 (n,); -1 for most."""
        if not len(self.hubs):
            return np.full(len(vectors), -1)
        found = scores(vectors, self.hubs)
        best = found.argmax(axis=1)
        return np.where(found[np.arange(len(found)), best] >= self.core, best, -1)


def scores(vectors: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """*Pure.* Products float32 (n, c), the same to the bit for a row whichever rows are beside it."""
    found = np.empty((len(vectors), len(centres)), np.float32)
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK]
        padded = np.zeros((-(-len(block) // 256) * 256, vectors.shape[1]), np.float32)
        padded[: len(block)] = block
        found[start : start + len(block)] = (padded @ centres.T)[: len(block)]
    return found


def near_best(found: np.ndarray, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """*Pure.* Rows and columns, int64 (m,), of the scores float32 (n, c) that are hardly less than their row's best."""
    rows, columns = np.nonzero(found >= found.max(axis=1, keepdims=True) - np.float32(margin))
    return rows.astype(np.int64), columns.astype(np.int64)


def split_by(owners: np.ndarray, values: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """*Pure.* (owner, its values in their order) for each owner, int64 (n,)."""
    if not len(owners):
        return []
    order = np.argsort(owners, kind="stable")
    known, starts = np.unique(owners[order], return_index=True)
    return list(zip(known.tolist(), np.split(values[order], starts[1:]), strict=True))


def sample_rows(rows: int) -> int:
    """*Pure.* Records that are enough to train the cells of so many."""
    return min(rows, max(LEAST_SAMPLE, min(MOST_SAMPLE, SAMPLE_PER_CELL * rows // CELL_ROWS)))


def train_cells(sample: np.ndarray, rows: int, threshold: float) -> Cells:
    """*Pure.* Cells for a set.

    Args:
        sample: unit vectors in a random order, float32 (m, d), m > 0.
        rows: records of the set.
        threshold: cosine of near-duplicates.
    """
    angle, weight = float(np.arccos(threshold)), rows / len(sample)
    core, count = float(np.cos(angle / CORE)), max(1, min(rows // CELL_ROWS, len(sample) // SAMPLE_PER_CELL))
    coarse = k_means(sample, max(1, round(count**0.5)))
    owners = scores(sample, coarse).argmax(axis=1)
    hubs = find_hubs(sample, owners, weight, core)
    fine, first = [], [0]
    for parent in range(len(coarse)):
        mine = sample[owners == parent]
        fine.append(k_means(mine, max(1, round(count * len(mine) / len(sample)))) if len(mine) else coarse[[parent]])
        first.append(first[-1] + len(fine[-1]))
    cells = Cells(coarse, np.concatenate(fine), np.array(first), np.zeros(2), np.zeros(first[-1]), hubs, core)
    cells = replace(cells, margins=np.array(margins(cells, sample, owners, angle)))
    lone = sample[cells.hub_of(sample) < 0]
    return replace(cells, expected=np.bincount(cells.of(lone)[1], minlength=first[-1]) * weight)


def k_means(vectors: np.ndarray, count: int) -> np.ndarray:
    """*Pure.* Centres float32 (count, d) of length 1; the first rows are where they start."""
    centres = vectors[:count].copy()
    for _ in range(ROUNDS if 1 < count < len(vectors) else 1):
        owners = scores(vectors, centres).argmax(axis=1)
        order = np.argsort(owners, kind="stable")
        known, starts = np.unique(owners[order], return_index=True)
        sums = np.add.reduceat(vectors[order], starts, axis=0)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centres[known] = np.where(lengths > 1e-6, sums / np.maximum(lengths, 1e-6), centres[known])
    return np.asarray(centres, np.float32)


def find_hubs(sample: np.ndarray, owners: np.ndarray, weight: float, core: float) -> np.ndarray:
    """*Pure.* Middles of crowds, float32 (h, d): rows of a sample (float32 (m, d)) with too many others around them.

    Args:
        sample: unit vectors.
        owners: the coarse cell of each, int64 (m,).
        weight: records of the set for each row of the sample.
        core: cosine from which another is around.
    """
    found = [np.empty((0, sample.shape[1]), np.float32)]
    for _, rows in split_by(owners, np.arange(len(sample))):
        if len(rows) * weight <= MOST_CROWD:
            continue
        some = sample[rows[:BLOCK]]
        near, left = some @ some.T >= core, np.ones(len(some), bool)
        share = weight * len(rows) / len(some)
        while (around := near[:, left].sum(axis=1)).max() * share > MOST_CROWD:
            best = int(around.argmax())
            found.append(some[[best]])
            left &= ~near[best]
    return np.concatenate(found)


def margins(cells: Cells, sample: np.ndarray, owners: np.ndarray, angle: float) -> tuple[float, float]:
    """*Pure.* The least margins with which pairs at an angle share a cell of each layer.

    A pair is a row of the sample (float32 (m, d)) and what lies at the angle from it in the direction of another row,
    in every second case one of its coarse cell: near-duplicates differ in what the records around them differ in.
    """
    one = sample[:PAIRS]
    other = sample[np.roll(np.arange(len(one)), 1)]
    for _, rows in split_by(owners[: len(one)], np.arange(len(one))):
        other[rows[::2]] = one[np.roll(rows, 1)[::2]]
    across = other - (other * one).sum(axis=1, keepdims=True) * one
    lengths = np.linalg.norm(across, axis=1)
    some = lengths > 1e-3
    if not some.any():
        return 0.0, 0.0
    one, across = one[some], across[some] / lengths[some, None]
    two = np.asarray(np.cos(angle) * one + np.sin(angle) * across, np.float32)
    lost, shared = shortfall(one, two, cells.coarse)
    inner = np.zeros(len(one))
    for parent, rows in split_by(shared, np.arange(len(one))):
        inside = cells.fine[cells.first[parent] : cells.first[parent + 1]]
        inner[rows] = shortfall(one[rows], two[rows], inside)[0]
    return float(np.quantile(lost, TOGETHER)), float(np.quantile(inner, TOGETHER))


def shortfall(one: np.ndarray, two: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """*Pure.* The margin that each pair of rows needs to share a centre, float32 (n,), and that centre, int64 (n,)."""
    gaps = [found.max(axis=1, keepdims=True) - found for found in (scores(one, centres), scores(two, centres))]
    worse = np.maximum(*gaps)
    best = worse.argmin(axis=1)
    return worse[np.arange(len(worse)), best], best
