"""*Pure.* Names of regions: the texts that are near to many pictures of a region and to few elsewhere.

tf is the share of a region's pictures that have a text among their nearest, the nearest counting most; idf says how few
pictures of the whole map do. Its fourth root: names are to be words that many pictures share, not those of a handful.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

NEAREST, OF_FINEST = 60, 20
"""Texts of each picture that count: for large regions, whose names say more in general, and for the finest."""
IDF_POWER = 0.25
NEARLY = 0.6
"""A text that only adds to another ("person with", "a button") gives way to it if that has this share of its score."""
LOOKED_AT = 200
"""So many of the best texts of a region are compared with each other."""
NAMES = 3
"""Of each region: the one that is shown, and the next best."""


def best_names(region: np.ndarray, near: np.ndarray, texts: Sequence[str]) -> list[list[int]]:
    """*Pure.* The best texts of each region, best first.

    Args:
        region: of each picture, int32 (n,), numbered from 0.
        near: numbers of the texts nearest to each picture, int64 (n, k), best first; -1 for none.
        texts: of all of these numbers.

    Returns:
        numbers of at most NAMES texts for each region; none of them says what one before it says.
    """
    weight_of = np.broadcast_to(1 - np.arange(near.shape[1]) / max(near.shape[1], 1), near.shape)[near >= 0]
    pictures, _ = np.nonzero(near >= 0)
    found = near[near >= 0]
    keys = region[pictures].astype(np.int64) * len(texts) + found
    pairs, at = np.unique(keys, return_inverse=True)
    regions, numbers = np.divmod(pairs, max(len(texts), 1))
    everywhere = np.bincount(found, weight_of, minlength=len(texts))
    sizes = np.bincount(region)
    idf = np.log(len(region) / np.maximum(everywhere, 1)).clip(0)
    shares = np.bincount(at, weight_of, minlength=len(pairs)) / sizes[regions]
    scores = np.round(shares * idf[numbers] ** IDF_POWER, 9)  # sums of the same weights in another order are equal
    place = {
        text: rank for rank, text in enumerate(sorted(texts))
    }  # decides between equals, in whatever order they come
    ranks = np.array([place[text] for text in texts], np.int64)
    names: list[list[int]] = []
    for each in range(len(sizes)):
        own = np.flatnonzero(regions == each)
        order = own[np.lexsort((ranks[numbers[own]], -scores[own]))]
        names.append(_different(_plainest(numbers[order], scores[order], texts), texts))
    return names


def _plainest(ranked: np.ndarray, scores: np.ndarray, texts: Sequence[str]) -> list[int]:
    """*Pure.* Texts, best first, each behind the best one that has only some of its words and is NEARLY as good."""
    words = [frozenset(texts[number].casefold().split()) for number in ranked[:LOOKED_AT]]
    plain: list[int] = []
    for at, mine in enumerate(words):
        end = int(np.searchsorted(-scores, -NEARLY * scores[at], side="right"))
        plain += [place for place in range(at + 1, min(end, len(words))) if words[place] < mine][:1]
        plain.append(at)
    return [int(ranked[place]) for place in dict.fromkeys(plain)]


def _different(ranked: list[int], texts: Sequence[str]) -> list[int]:
    """*Pure.* The first few texts, without those whose words an earlier one has, or that only add to one."""
    chosen: list[int] = []
    words: list[set[str]] = []
    for number in ranked:
        mine = set(texts[number].casefold().split())
        if not any(mine <= other or other <= mine for other in words):
            chosen.append(number)
            words.append(mine)
        if len(chosen) == NAMES:
            break
    return chosen
