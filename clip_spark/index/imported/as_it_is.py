"""*Worker.* Whether a foreign Faiss index can be served as it is, and what a server must know of it.

Called in a child process, with the functions by which servers search: what would end one of them ends the child.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from clip_spark.datasets.embeddings import UNIT_TOLERANCE
from clip_spark.index.files.faiss_library import inverted_of
from clip_spark.index.files.layout import SearchSettings
from clip_spark.index.files.part_writer import stored_ids
from clip_spark.index.files.shapes import key_of, reach
from clip_spark.index.imported.look import Look, look_at
from clip_spark.index.imported.sound import check_sound
from clip_spark.index.open.parts import parameters
from clip_spark.index.open.selection import Selection
from clip_spark.index.open.vectors import BLOCK_ROWS, as_compared, ids_by_list

NEAR_UNIT = (0.1, 1.25)
"""The mean length that compression may have left of vectors of length 1; fewer dimensions leave less."""
TRIED = 16
"""Queries, and hits of each, that a file must answer."""


@dataclass(frozen=True)
class Served:
    """What is known of a file that can be served as it is.

    Attributes:
        key: Faiss factory key.
        start: the least of its ids; the others follow without a gap.
        look: what it says of itself.
        coarse: sha256 of its centroids; empty where it has no lists.
    """

    key: str
    start: int
    look: Look
    coarse: str


def as_it_is(index: Any, path: str) -> Served:
    """*Worker.* What a server must know of a file, whose every vector is looked at.

    Raises:
        ValueError: it is damaged, or cannot be served as it is.
    """
    check_sound(index, path)
    look, ids = look_at(index), np.sort(stored_ids(index))
    if ids[0] < 0 or not np.array_equal(ids, np.arange(ids[0], ids[0] + look.rows)):
        raise ValueError(f"its ids are not {max(0, int(ids[0])):,} and the numbers after it, each once")
    _check_lengths(index, ids, look)
    _try_searches(index, ids)
    lists = inverted_of(index)
    return Served(key_of(index), int(ids[0]), look, _centroids(lists) if lists is not None else "")


def _check_lengths(index: Any, ids: np.ndarray, look: Look) -> None:
    """Scores are cosines only of vectors of length 1; compression makes them a little shorter or longer."""
    least, most, total = np.inf, 0.0, 0.0
    for number, mine in enumerate(ids_by_list(index)):
        for first in range(0, len(mine), BLOCK_ROWS):
            some = np.arange(first, min(len(mine), first + BLOCK_ROWS))
            lengths = np.linalg.norm(as_compared(index, number, some).astype(np.float64), axis=1)
            least, most, total = min(least, lengths.min()), max(most, lengths.max()), total + lengths.sum()
    if not np.isfinite(total):
        raise ValueError("vectors of it are NaN or infinite")
    exact = look.exact and max(abs(least - 1), abs(most - 1)) < UNIT_TOLERANCE
    if not exact and (look.exact or not NEAR_UNIT[0] < total / look.rows < NEAR_UNIT[1]):
        raise ValueError(
            f"its vectors have lengths from {least:.4g} to {most:.4g}, so its scores are no cosines; import-index "
            "--normalise takes them out and divides them"
        )


def _try_searches(index: Any, ids: np.ndarray) -> None:
    """A few queries, with all effort and with the half of it taken down: hits must be ids of the file."""
    queries = np.random.default_rng(0).normal(size=(TRIED, index.d)).astype(np.float32)
    mask = np.zeros(int(ids[-1]) + 1, bool)
    mask[ids[::2]] = True
    selection, settings = Selection(mask), SearchSettings(nprobe=max(1, reach(index)))
    for selector, allowed in ((None, ids), (selection.selector, ids[::2])):
        _, found = index.search(queries, TRIED, params=parameters(index, settings, selector))
        if not np.isin(found[found >= 0], allowed).all():
            raise ValueError("searches of it find ids that it has not")


def _centroids(lists: Any) -> str:
    return hashlib.sha256(lists.quantizer.reconstruct_n(0, lists.nlist).tobytes()).hexdigest()
