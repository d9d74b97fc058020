"""*Worker.* Places of anchors: t-SNE or UMAP over a graph of neighbours, from a start that follows their main axes.

One thread and one seed: the same anchors get the same places.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from clip_spark.errors import InputError

TSNE, UMAP = METHODS = ("tsne", "umap")
PERPLEXITY = 30
GRAPH = 3 * PERPLEXITY + 1
"""Neighbours of a graph for t-SNE."""
UMAP_GRAPH = 15
MANY = 10_000
"""Anchors from which on sums over a grid are quicker than those over a tree (Barnes and Hut)."""
FEWEST = 10
"""Fewer pictures are no map."""
NEEDS = "make-map --method {method} needs {package}: pip install 'clip-spark[map]' brings it."


def graph_size(method: str, count: int) -> int:
    """*Pure.* Neighbours that the fit of so many anchors needs."""
    return min(GRAPH if method == TSNE else UMAP_GRAPH, count - 1)


def check_method(method: str) -> None:
    """*Driver.* Raise InputError if what fits is not installed; nothing is loaded."""
    from importlib.util import find_spec

    package = {"tsne": "openTSNE", "umap": "umap"}[method]
    if find_spec(package) is None:
        raise InputError(NEEDS.format(method=method, package=package))


def fit(method: str, vectors: np.ndarray, neighbours: tuple[np.ndarray, np.ndarray], seed: int) -> np.ndarray:
    """*Worker.* Places of anchors, float32 (n, 2).

    Args:
        method: tsne or umap.
        vectors: float32 (n, d), unit length.
        neighbours: of each anchor: cosines float32 (n, k) falling, numbers int64 (n, k), without itself.
        seed: decides what chance decides.
    """
    start, distances = start_of(vectors), apart(neighbours[0])
    found = (_tsne if method == TSNE else _umap)(vectors, distances, neighbours[1], start, seed)
    return np.ascontiguousarray(found, np.float32)


def apart(cosines: np.ndarray) -> np.ndarray:
    """*Pure.* Distances of unit vectors from their cosines."""
    return np.sqrt(np.maximum(2 - 2 * cosines.astype(np.float64), 0))


def start_of(vectors: np.ndarray) -> np.ndarray:
    """*Pure.* The two main axes of vectors, float64 (n, 2), the first with a deviation of 1.

    Signs are fixed and values are rounded, so that the last bits, which differ between libraries, decide nothing.
    """
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)
    found = centred @ axes[:, :-3:-1]
    found *= np.sign(found[np.abs(found).argmax(axis=0), (0, 1)])
    return np.round(found / max(found[:, 0].std(), 1e-12), 6)


def _tsne(vectors: np.ndarray, distances: np.ndarray, numbers: np.ndarray, start: np.ndarray, seed: int) -> Any:
    from openTSNE import TSNE as Fit
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    perplexity = min(PERPLEXITY, numbers.shape[1] / 3)
    known = PrecomputedNeighbors(numbers, distances)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other libraries, about themselves
        affinities = PerplexityBasedNN(knn_index=known, perplexity=perplexity, n_jobs=1, random_state=seed)
        gradient = "bh" if len(vectors) < MANY else _gradient_of()
        fitted = Fit(perplexity=perplexity, n_jobs=1, random_state=seed, negative_gradient_method=gradient)
        return fitted.fit(affinities=affinities, initialization=start * 1e-4)


def _gradient_of() -> Callable[..., tuple[float, np.ndarray]]:
    """The objective that openTSNE asks at each step: repulsion of ours, attraction of its own."""
    from openTSNE import _tsne

    from clip_spark.analysis.map.repulsion import Repulsion

    repulsion = Repulsion()

    def gradient(
        embedding: Any, P: Any, dof: float = 1.0, should_eval_error: bool = False, **_: Any
    ) -> tuple[float, np.ndarray]:
        places = np.ascontiguousarray(embedding, np.float64)
        forces, whole = repulsion.of(places)
        found = np.ascontiguousarray(-forces / whole)
        pulled, divergence = _tsne.estimate_positive_gradient_nn(
            P.indices, P.indptr, P.data, places, places, found, dof, num_threads=1, should_eval_error=should_eval_error
        )
        return divergence + (pulled * np.log(whole) if should_eval_error else 0.0), found

    return gradient


def _umap(vectors: np.ndarray, distances: np.ndarray, numbers: np.ndarray, start: np.ndarray, seed: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from umap import UMAP as Fit

        own = np.arange(len(numbers))[:, None]  # umap counts each row as its own first neighbour
        known = (np.hstack([own, numbers]), np.hstack([np.zeros(own.shape), distances]).astype(np.float32), None)
        fitted = Fit(
            n_neighbors=known[0].shape[1],
            init=start * 10,
            random_state=seed,
            n_jobs=1,
            precomputed_knn=known,
            transform_seed=seed,
        )
        return fitted.fit_transform(vectors)
