"""*Server.* What an index finds for real queries: a small share of them is chosen to be compared with all vectors.

Of what was asked only numbers stay: a vector is held until its check, a few at a time, and nothing is written.
"""

from __future__ import annotations

import dataclasses
import math
import os
import random
import threading
from collections import deque
from typing import NamedTuple

import numpy as np

from clip_spark.index.files import keys
from clip_spark.index.files.layout import IndexInfo
from clip_spark.index.open.missed import Checked
from clip_spark.search.hits import Wanted
from clip_spark.search.negatives import NOTHING

SHARE = 1 / 8
"""Of the queries that are checked, where there is time for so many."""
WAITING = 16
"""Queries that wait for a check; of more than these some are left out, by chance."""
MOST_HITS = 100
"""Hits of a query that are checked, the first ones."""
WINDOW, LEAST = 24, 8
"""The latest checks that the recall is the mean of; fewer are no ground for a warning."""
MARGIN = 0.05
"""A recall that is lower by this, and by twice its standard error more, is told."""


class Figures(NamedTuple):
    """What is known of an index's answers to real queries.

    Attributes:
        checked: queries, since this generation is served.
        recall: the share of the true best that was found, the mean over the latest checks.
        expected: the mean of what the build promised for these; NaN where it measured nothing.
        drift: recall, less the mean of all checks before; NaN until there are as many.
        low: whether the recall is less than was promised, or than it was before.
    """

    checked: int
    recall: float
    expected: float
    drift: float
    low: bool

    @property
    def warning(self) -> str:
        """One sentence; empty where all is well."""
        if not self.low:
            return ""
        promised = f"the build measured {self.expected:.0%}" if self.recall < self.expected else "it was more before"
        return (
            f"real queries find {self.recall:.0%} of their true best hits, and {promised}; build the index again, "
            "with embeddings of such queries as --queries"
        )


class RecallWatch:
    """Chooses queries of one index for checks, and sums up what these find; safe to use from many threads.

    Args:
        info: of the index.
        chance: decides which queries.
        is_here: whether all vectors are on this machine; else none is checked.
    """

    def __init__(self, info: IndexInfo, chance: random.Random | None = None, *, is_here: bool = True) -> None:
        comparable = is_here and (bool(info.vectors) or keys.keeps_vectors(info.key))
        self._watches = info.settings.nprobe > 0 and comparable and fits_memory(info)
        self._chance, self._lock = chance or random.Random(), threading.Lock()
        self._waiting: list[Checked] = []
        self._latest = deque[tuple[float, float]](maxlen=WINDOW)
        self._checked, self._sum = 0, 0.0

    def wants(self, wanted: Wanted, less: np.ndarray = NOTHING) -> bool:
        """Whether a query is to be checked: by chance, and only where it is a plain one and searches are not exact."""
        return self._watches and self._chance.random() < SHARE and not len(less) and is_watched(wanted)

    def add(self, search: Checked) -> None:
        """A query that is to be checked."""
        first = slice(None, MOST_HITS)
        kept = dataclasses.replace(search, scores=search.scores[first], positions=search.positions[first])
        with self._lock:
            if len(self._waiting) < WAITING:
                self._waiting.append(kept)
            else:
                self._waiting[self._chance.randrange(WAITING)] = kept

    def take(self) -> list[Checked]:
        """All that waits."""
        with self._lock:
            taken, self._waiting = self._waiting, []
        return taken

    def note(self, checked: list[Checked], recalls: np.ndarray) -> Figures:
        """Take up the recall of each checked query, float64 (n,); gives what is known then."""
        promised = [math.nan if one.expected is None else one.expected for one in checked]
        with self._lock:
            self._latest.extend(zip(recalls.tolist(), promised, strict=True))
            self._checked += len(recalls)
            self._sum += float(recalls.sum())
            return self._figures()

    @property
    def figures(self) -> Figures | None:
        """What is known; None where nothing was checked yet."""
        with self._lock:
            return self._figures() if self._checked else None

    def _figures(self) -> Figures:
        found, promised = np.array(self._latest).T
        before = self._checked - len(found)
        earlier = (self._sum - float(found.sum())) / before if before >= WINDOW else math.nan
        known = ~np.isnan(promised)
        expected = float(promised[known].mean()) if known.any() else math.nan
        low = is_lower(found[known], expected) or is_lower(found, earlier)
        return Figures(self._checked, float(found.mean()), expected, float(found.mean()) - earlier, low)


def is_watched(wanted: Wanted) -> bool:
    """*Pure.* Whether a query wants the best hits of the whole index: of others nobody knows what to expect."""
    narrowed = wanted.where or wanted.quarantine_hubs or wanted.unique or wanted.relevant or wanted.threshold > -1
    return not narrowed and wanted.offset == 0


def is_lower(found: np.ndarray, expected: float) -> bool:
    """*Pure.* Whether recalls, (n,), are too low to be chance; no where nothing (NaN) is expected of them."""
    if len(found) < LEAST:
        return False
    return float(found.mean() + 2 * found.std() / math.sqrt(len(found))) < expected - MARGIN


def fits_memory(info: IndexInfo) -> bool:
    """*Server.* Whether all vectors fit into half of this machine's memory: else each look would push out the pages
    that requests need."""
    each = 2 if info.vectors else 4
    return 2 * each * info.dim * info.rows <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
