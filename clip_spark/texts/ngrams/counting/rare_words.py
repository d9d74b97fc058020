"""*Worker.* n-grams with a word that has no number although it may be frequent: they are counted as text.

Needed only where the vocabulary had to be bounded. Every n-gram is counted on one of the two ways, never on both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clip_spark.texts.ngrams.counting.coded_split import Coded
from clip_spark.texts.ngrams.counting.vocabulary import part_of_words

TEXTS = pa.schema([("n", pa.int32()), ("text", pa.binary()), ("count", pa.int64())])


def split_texts(coded: Coded, numbers: np.ndarray, orders: Sequence[int], parts: int) -> list[pa.Table]:
    """*Worker.* The partial counts of a split, by the shard that sums them up.

    Args:
        coded: the split.
        numbers: uint64 (v,), 0 for what has no number.
        orders: lengths of n-grams, each at least 2.
        parts: number of shards.
    """
    is_word = coded.is_word[coded.codes]
    lacks_number = is_word & (numbers == 0)[coded.codes]
    table = pa.concat_tables([TEXTS.empty_table(), *(_count(coded, is_word, lacks_number, n) for n in orders)])
    part = part_of_words(table["text"].combine_chunks(), parts)
    return [table.filter(pa.array(part == number)).combine_chunks() for number in range(parts)]


def _count(coded: Coded, is_word: np.ndarray, lacks_number: np.ndarray, n: int) -> pa.Table:
    positions = max(0, len(is_word) - n + 1)
    whole = np.ones(positions, bool)
    wanted = np.zeros(positions, bool)
    for place in range(n):
        whole &= is_word[place : place + positions]
        wanted |= lacks_number[place : place + positions]
    begins = np.flatnonzero(whole & wanted)
    names = [f"word{place}" for place in range(n)]
    codes = pa.table({name: coded.codes[begins + place] for place, name in enumerate(names)})
    counted = codes.group_by(names, use_threads=False).aggregate([([], "count_all")])
    words = [coded.words.take(counted[name].combine_chunks()) for name in names]
    texts = pc.binary_join_element_wise(*words, b" ")
    orders = pa.array(np.full(len(texts), n, np.int32))
    return pa.table([orders, texts, counted["count_all"]], schema=TEXTS)


def sum_texts(tables: Sequence[pa.Table]) -> pa.Table:
    """*Pure.* One row per n-gram, in the order of the texts: Spark brings the tables in any."""
    table = pa.concat_tables([TEXTS.empty_table(), *tables])
    summed = table.group_by(["n", "text"], use_threads=False).aggregate([("count", "sum")])
    summed = summed.sort_by([("n", "ascending"), ("text", "ascending")])
    return pa.table([summed["n"], summed["text"], summed["count_sum"]], schema=TEXTS)
