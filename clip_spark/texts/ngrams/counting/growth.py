"""*Anywhere.* How the vocabulary grows with the text: tokens read so far, different words in them.

Exact, and sampled: inside the first split at positions half an octave apart, behind it where a group of splits ends.
Text is read in the order of the corpus; what is added to a count is read behind all that was counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from clip_spark.texts.ngrams.counting.coded_split import Coded

GROUPS = 64
"""Groups of neighbouring splits; so many points are made, however many splits there are."""
FIRST_TOKENS = 64
COUNTED = -1
"""The group of words that an earlier count has left: before all splits."""
THINNED = 1.02
"""Points of a count that was added to are so far apart, that they stay few however often that happens."""
Points = list[tuple[int, int]]


class SplitWords(NamedTuple):
    """What one split tells one part; `beginning` comes from the first split, to the first part."""

    group: int
    words: pa.Table
    beginning: Points


class Growth(NamedTuple):
    """What one part tells the driver.

    Attributes:
        tokens: int64 (GROUPS,), tokens of its words in each group.
        new_words: int64 (GROUPS,), words that no group before has.
        beginning: points inside the first split, of the whole text.
    """

    tokens: np.ndarray
    new_words: np.ndarray
    beginning: Points


def beginning(coded: Coded) -> Points:
    """*Worker.* Points inside one split; its words are numbered in the order in which they appear."""
    is_word = coded.is_word
    words_up_to = np.cumsum(is_word)
    cuts = np.unique((FIRST_TOKENS * 2 ** (np.arange(64) / 2)).clip(max=len(coded.codes)).astype(np.int64))
    points: Points = []
    start = tokens = highest = 0
    for end in cuts.tolist() if len(coded.codes) else []:
        codes = coded.codes[start:end]
        tokens, highest = tokens + int(is_word[codes].sum()), max(highest, int(codes.max()))
        points.append((tokens, int(words_up_to[highest])))
        start = end
    return points


def measure(parts: Sequence[SplitWords]) -> Growth:
    """*Worker.* The growth of one part of the words; `parts` are all its splits in the order of their groups."""
    tokens, new_words = np.zeros(GROUPS, np.int64), np.zeros(GROUPS, np.int64)
    table = pa.concat_tables([part.words for part in parts])
    ranks = table["word"].combine_chunks().dictionary_encode().indices.to_numpy()  # by first appearance
    start = known = 0
    for part in parts:
        end = start + part.words.num_rows
        highest = int(ranks[start:end].max(initial=-1)) + 1
        if part.group != COUNTED:
            tokens[part.group] += int(part.words["count"].to_numpy().sum())
            new_words[part.group] += max(0, highest - known)
        start, known = end, max(known, highest)
    return Growth(tokens, new_words, [point for part in parts for point in part.beginning])


def curve(parts: Sequence[Growth], before: Sequence[Sequence[int]] = ()) -> Points:
    """*Driver.* The points of the whole corpus, by rising number of tokens; `before` are those of an earlier count."""
    points = [(point[0], point[1]) for point in before] or [point for part in parts for point in part.beginning]
    read, known = points[-1] if before else (0, 0)
    tokens = (read + np.cumsum(sum(part.tokens for part in parts))).tolist()
    words = (known + np.cumsum(sum(part.new_words for part in parts))).tolist()
    for point in zip(tokens, words, strict=True):
        if not points or point[0] > points[-1][0]:
            points.append(point)
    points = [point for point in points if point[0]]
    return _thinned(points) if before else points


def _thinned(points: Points) -> Points:
    kept: Points = []
    for point in points:
        if not kept or point[0] >= THINNED * kept[-1][0] or point == points[-1]:
            kept.append(point)
    return kept
