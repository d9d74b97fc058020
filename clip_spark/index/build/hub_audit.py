"""*Worker.* Which items of an index answer too many queries, and which of them answer queries that have nothing to do
with each other: a text that was made to be found everywhere, or one that says nothing.

What rightly answers much, such as "flag" where many pictures show flags, answers queries that are like each other.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from clip_spark.index.files.faiss_library import load_faiss
from clip_spark.index.open.parts import MISSING, PartSet
from clip_spark.index.open.ranking import RankedParts

AT = 10
"""Hits of each query that are counted."""
SHOWN = 20
LEAST_SHARE = 0.01
"""What is among the first hits of fewer queries is no hub."""
MUCH, TIMES, UNRELATED = 0.05, 4, 1 / 3
"""Quarantined is what answers at least MUCH of all queries, and so many TIMES as many as its share of a small index
would be, if these are less related than UNRELATED: 0 is as any two queries are, 1 as neighbours are."""
EXAMPLES = 3


@dataclass(frozen=True)
class Hub:
    """An item that is among the first hits of many queries.

    Attributes:
        position: of the item.
        share: of the queries, by cosine alone.
        corrected: the same as the index ranks.
        fair: what the share would be if all items had the same.
        related: how much its queries have to do with each other: 0 as any two, 1 as neighbours.
        examples: some of its queries, numbered as the references are.
    """

    position: int
    share: float
    corrected: float
    fair: float
    related: float
    examples: tuple[int, ...]

    @property
    def quarantined(self) -> bool:
        """*Pure.* Whether it answers too much that is unrelated."""
        return self.share >= max(MUCH, TIMES * self.fair) and self.related < UNRELATED

    def to_json(self) -> dict[str, Any]:
        """*Pure.* Ready for JSON, but for the examples."""
        return {name: value for name, value in asdict(self).items() if name not in ("fair", "examples")}


def audit(parts: PartSet, ranking: RankedParts | None, references: np.ndarray) -> list[Hub]:
    """*Worker.* The items that answer most of the references (float32 (m, d)), by falling share."""
    _, plain = parts.search(references, AT)
    corrected = counts(plain if ranking is None else ranking.search(references, AT)[1])
    found = sorted(counts(plain).items(), key=lambda pair: (-pair[1], pair[0]))
    any_two, neighbours = _scale(references)
    hubs = []
    for position, count in found[:SHOWN]:
        if count < LEAST_SHARE * len(references) or count < 2:
            break
        asked = np.flatnonzero((plain == position).any(axis=1))
        related = (_among(references[asked]) - any_two) / max(neighbours - any_two, 1e-6)
        share, after = (round(number / len(references), 4) for number in (count, corrected.get(position, 0)))
        spread = asked[:: max(1, len(asked) // EXAMPLES)][:EXAMPLES]
        fair = AT / parts.rows
        hubs.append(Hub(position, share, after, fair, round(float(related), 3), tuple(spread.tolist())))
    return hubs


def counts(found: np.ndarray) -> dict[int, int]:
    """*Pure.* Position -> how many queries have it among their hits, int64 (n, k)."""
    positions, numbers = np.unique(found[found != MISSING], return_counts=True)
    return dict(zip(positions.tolist(), numbers.tolist(), strict=True))


def _scale(references: np.ndarray) -> tuple[float, float]:
    """The mean cosine of any two references, and of each with its AT nearest."""
    faiss = load_faiss()
    rows = np.ascontiguousarray(references, np.float32)
    nearest, _ = faiss.knn(rows, rows, min(AT + 1, len(rows)), metric=faiss.METRIC_INNER_PRODUCT)
    return _among(rows), float(nearest[:, 1:].mean())


def _among(rows: np.ndarray) -> float:
    """*Pure.* The mean cosine of two different ones of some unit vectors, float32 (n, d)."""
    total = rows.sum(axis=0, dtype=np.float64)
    return float((total @ total - len(rows)) / (len(rows) * (len(rows) - 1)))
