"""*Pure.* How good a map is, as far as the user's own set can tell, and how far what came later is from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from clip_spark.analysis.map.place import NEAREST, place

ASKED = 1000
"""Anchors that are compared."""
FAR_SHARE = 0.05
"""So many rows of the fitted set count as far from every anchor: the cosine that bounds them measures drift."""
DUE_SHARE, DUE_GROWTH = 3 * FAR_SHARE, 4
"""A new fit is due when so many of the added rows are far, or when the map has grown by so many times."""


def neighbour_recall(asked: np.ndarray, near: np.ndarray, places: np.ndarray) -> float:
    """*Pure.* The share of the nearest anchors in space that are among the nearest on the map.

    Args:
        asked: places of the first m anchors, as fitted or as placed anew, float32 (m, 2).
        near: numbers of the anchors nearest to each in space, int64 (m, k).
        places: of all anchors, float32 (n, 2).
    """
    k, hits = near.shape[1], 0
    for row, at in enumerate(asked):
        apart = ((places - at) ** 2).sum(axis=1)
        apart[row] = np.inf
        hits += len(np.intersect1d(np.argpartition(apart, min(k, len(apart) - 1))[:k], near[row]))
    return hits / max(near.size, 1)


def fit_figures(scores: np.ndarray, numbers: np.ndarray, places: np.ndarray, width: float) -> dict[str, float]:
    """*Pure.* Recall of neighbours of fitted anchors, and of the same anchors when their neighbours place them.

    Args:
        scores: cosines of each anchor's neighbours, float32 (n, k).
        numbers: of these neighbours, int64 (n, k).
        places: of the anchors, float32 (n, 2).
        width: of the kernel that places.
    """
    near, asked = numbers[:ASKED, :NEAREST], places[:ASKED]
    placed = place(scores[:ASKED, :NEAREST], places[near], width)
    fitted, anew = (neighbour_recall(found, near, places) for found in (asked, placed))
    return {"recall_fitted": round(fitted, 4), "recall_placed": round(anew, 4)}


def share_within(own: np.ndarray, places: np.ndarray, texts: np.ndarray, nearest: float = 0.01) -> float:
    """*Pure.* The share of pictures whose own text is among the nearest texts on the map.

    Args:
        own: places of the texts that belong to the pictures, float (m, 2).
        places: of the pictures, float (m, 2).
        texts: places of all texts, or of a sample of them, float (t, 2).
        nearest: the share of all texts that counts as near.
    """
    mine = ((own - places) ** 2).sum(axis=1)
    closer = np.array(
        [(((texts - at) ** 2).sum(axis=1) < limit).mean() for at, limit in zip(places, mine, strict=True)]
    )
    return float((closer <= nearest).mean()) if len(closer) else 0.0


def far_limit(best: np.ndarray) -> float:
    """*Pure.* The cosine to the nearest anchor below which FAR_SHARE of the rows lie; best float32 (n,)."""
    return float(np.quantile(best, FAR_SHARE)) if len(best) else -1.0


def drift(counters: Mapping[str, float], fitted: Mapping[str, int], rows: Mapping[str, int]) -> dict[str, Any]:
    """*Pure.* Whether a map still fits what is on it.

    Args:
        counters: sums over the shards added since the fit: `placed_<kind>` rows, of which `far_<kind>` are far.
        fitted: rows of each kind when the map was fitted.
        rows: of each kind now.
    """
    placed = {kind: counters.get(f"placed_{kind}", 0) for kind in rows}
    far = {kind: counters.get(f"far_{kind}", 0) / placed[kind] if placed[kind] else 0.0 for kind in rows}
    grown = {kind: rows[kind] / max(fitted.get(kind, 0), 1) for kind in rows if fitted.get(kind)}
    due = any(share > DUE_SHARE for share in far.values()) or any(times > DUE_GROWTH for times in grown.values())
    return {"far": {kind: round(share, 4) for kind, share in far.items()}, "usual": FAR_SHARE, "due": due}
