"""*Pure.* Cells: parts of the sphere with about as many records each, in several tables.

A table cuts the sphere by two layers of centres; a record lies in one cell of each. Near records share a cell of most
tables, and a table that cuts between two of them is made good by another: as many are trained as are needed, for pairs
that are exactly as near as the threshold asks and that lie as the set does. So what is compared grows with the number
of records, not with its square.

A hub is the middle of a crowd of records that are all but equal, too many for a cell: those around it are one.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

CELL_ROWS = 512
"""Records of a cell, on average."""
MOST_CROWD = 8192
"""So many records within the core of a hub make one."""
CORE = 8
"""The core of a hub has this part of the threshold's angle as its radius."""
SAMPLE_PER_CELL, LEAST_SAMPLE, MOST_SAMPLE = 16, 20_000, 131_072
ROUNDS = 8
PAIRS = 8192
TOGETHER = 0.995
"""Share of the pairs that all tables together must keep together; at most MOST_TABLES are tried."""
MOST_TABLES = 8
BLOCK = 2048
"""Rows whose scores are computed at once, always so many: the last bits of a product depend on its shape."""


@dataclass(frozen=True)
class Table:
    """One way to cut the sphere.

    Attributes:
        coarse: centres of the first layer, float32 (c, d).
        fine: those of the second, float32 (k, d); cell i is that of fine[i].
        first: the centres below coarse[i] are fine[first[i]:first[i + 1]], int64 (c + 1,).
    """

    coarse: np.ndarray
    fine: np.ndarray
    first: np.ndarray

    def of(self, vectors: np.ndarray) -> np.ndarray:
        """*Pure.* The cell of each unit vector, float32 (n, d): int64 (n,)."""
        cells = np.empty(len(vectors), np.int64)
        for parent, rows in split_by(scores(vectors, self.coarse).argmax(axis=1), np.arange(len(vectors))):
            inside = slice(self.first[parent], self.first[parent + 1])
            cells[rows] = self.first[parent] + scores(vectors[rows], self.fine[inside]).argmax(axis=1)
        return cells


@dataclass(frozen=True)
class Cells:
    """What decides where a record lies.

    Attributes:
        tables: each record has a cell in every one of them.
        hubs: float32 (h, d).
        core: cosine with a hub from which on a record is in its core.
        together: share of the pairs that was measured.
    """

    tables: tuple[Table, ...]
    hubs: np.ndarray
    core: float
    together: float

    @property
    def count(self) -> int:
        """Cells of all tables."""
        return sum(len(table.fine) for table in self.tables)

    def to_bytes(self) -> bytes:
        """*Pure.* As a file of numpy."""
        data, tables = (
            io.BytesIO(),
            {f"{at}.{k}": v for at, one in enumerate(self.tables) for k, v in vars(one).items()},
        )
        np.savez(data, **tables, hubs=self.hubs, facts=np.array([self.core, self.together]))
        return data.getvalue()

    @staticmethod
    def from_bytes(data: bytes) -> Cells:
        """*Pure.* The inverse."""
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            count = sum(name.endswith(".first") for name in found.files)
            names = ("coarse", "fine", "first")
            tables = tuple(Table(*(found[f"{at}.{name}"] for name in names)) for at in range(count))
            core, together = found["facts"].tolist()
            return Cells(tables, found["hubs"], core, together)

    def of(self, vectors: np.ndarray) -> np.ndarray:
        """*Pure.* The cells of unit vectors, float32 (n, d): one of each table, int64 (n, tables)."""
        starts = np.cumsum([0, *(len(table.fine) for table in self.tables)])
        return np.stack([table.of(vectors) + start for table, start in zip(self.tables, starts, strict=False)], axis=1)

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
    angle, core = float(np.arccos(threshold)), float(np.cos(np.arccos(threshold) / CORE))
    count = max(1, min(rows // CELL_ROWS, len(sample) // SAMPLE_PER_CELL))
    tables, one, two = [train_table(sample, count)], *pairs_at(sample, angle)
    owners = scores(sample, tables[0].coarse).argmax(axis=1)
    hubs = find_hubs(sample, owners, rows / len(sample), core)
    kept = tables[0].of(one) == tables[0].of(two)
    while kept.size and kept.mean() < TOGETHER and len(tables) < MOST_TABLES:
        tables.append(train_table(np.roll(sample, len(tables) * len(sample) // MOST_TABLES, axis=0), count))
        kept |= tables[-1].of(one) == tables[-1].of(two)
    return Cells(tuple(tables), hubs, core, float(kept.mean()) if kept.size else 1.0)


def train_table(sample: np.ndarray, count: int) -> Table:
    """*Pure.* A table of about so many cells, of a sample float32 (m, d) whose first rows are where it starts."""
    coarse = k_means(sample, max(1, round(count**0.5)))
    owners = scores(sample, coarse).argmax(axis=1)
    fine, first = [], [0]
    for parent in range(len(coarse)):
        mine = sample[owners == parent]
        fine.append(k_means(mine, max(1, round(count * len(mine) / len(sample)))) if len(mine) else coarse[[parent]])
        first.append(first[-1] + len(fine[-1]))
    return Table(coarse, np.concatenate(fine), np.array(first))


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


def pairs_at(sample: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """*Pure.* Pairs at an angle, float32 (m, d) each: a row of the sample, and what lies beside it towards another row.

    Every second is beside it towards one of its 16 nearest among some others: near-duplicates differ in what records
    like them differ in.
    """
    one, other = sample[:PAIRS], sample[np.roll(np.arange(min(PAIRS, len(sample))), 1)]
    some = sample[:BLOCK]
    near = np.argsort(-(one[::2] @ some.T), axis=1)[:, 1:17]
    if near.shape[1]:
        picked = near[np.arange(len(near)), np.arange(len(near)) % near.shape[1]]
        other = other.copy()
        other[::2] = some[picked]
    across = other - (other * one).sum(axis=1, keepdims=True) * one
    lengths = np.linalg.norm(across, axis=1)
    apart = lengths > 1e-3
    across = across[apart] / lengths[apart, None]
    return one[apart], np.asarray(np.cos(angle) * one[apart] + np.sin(angle) * across, np.float32)
