"""*Worker.* A shard of counts that an earlier generation has written: one more part of each sum.

Exact only where every n-gram was kept (`--min-count 1`). Which shard sums up an n-gram follows from the numbers of its
words, and those from the counts of now; so each shard of then is dealt out anew, as the text of a split is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets import schema
from clip_spark.errors import DatasetError
from clip_spark.texts.ngrams.counting import sorted_runs as runs
from clip_spark.texts.ngrams.counting.packed_keys import Layout
from clip_spark.texts.ngrams.counting.rare_words import TEXTS
from clip_spark.texts.ngrams.counting.sorted_runs import Run
from clip_spark.texts.ngrams.counting.vocabulary import WORDS, Vocabulary, deal_words, part_of_words

Keys = dict[int, bytes]
"""Order -> its keys as `runs.encode` packs them; the words behind an n-gram's own are 0."""


@dataclass(frozen=True)
class CountedShard:
    """*Worker.* Where the counts are; picklable."""

    uri: str

    def words(self, parts: int) -> list[pa.Table]:
        """*Worker.* Its single words (WORDS), by the shard that sums them up."""
        table = self._read(1)
        return deal_words(pa.table([table["text"].cast(pa.binary()), table["count"]], schema=WORDS), parts)

    def longer(self, known: Vocabulary, orders: Sequence[int], shards: int) -> tuple[list[Keys], list[pa.Table]]:
        """*Worker.* Its n-grams of these orders (2 and more) by shard: keys, or TEXTS if a word lacks a number."""
        layout = Layout(known.bits, max(orders))
        keys: list[Keys] = [{} for _ in range(shards)]
        texts = [TEXTS.empty_table()]
        for n in orders:
            table = self._read(n)
            numbers = _numbers(table["text"].combine_chunks(), n, known)
            whole = (numbers != 0).all(axis=1)
            run = _run(numbers[whole], table["count"].to_numpy()[whole], layout)
            for shard, part in enumerate(runs.encode_parts(run, layout.cuts(run.columns, shards))):
                keys[shard][n] = part
            texts.append(table.filter(pa.array(~whole)).cast(TEXTS))
        return keys, _dealt(pa.concat_tables(texts).combine_chunks(), shards)

    def _read(self, n: int) -> pa.Table:
        with storage.open_read(self.uri) as stream:
            return pq.read_table(stream, schema=schema.COUNTS, filters=[("n", "=", n)])


def _numbers(texts: pa.Array, n: int, known: Vocabulary) -> np.ndarray:
    """*Worker.* The numbers of the words of n-grams, uint64 (rows, n); no token holds a space."""
    words = pc.list_flatten(pc.split_pattern(texts, " ")).dictionary_encode()
    if len(words) != n * len(texts):
        raise DatasetError(f"A text among the counts is no {n} words; count all again with --overwrite.")
    numbers = known.numbers(words.dictionary.cast(pa.binary()))
    return numbers[words.indices.to_numpy()].reshape(-1, n)


def _run(numbers: np.ndarray, counts: np.ndarray, layout: Layout) -> Run:
    """*Worker.* Different n-grams as a run; `numbers` is uint64 (rows, n), `counts` int64 (rows,)."""
    nothing = np.zeros(len(numbers), np.uint64)
    behind = [nothing] * (layout.order - numbers.shape[1])
    columns = layout.columns_of(iter([*numbers.T, *behind]))
    order = np.lexsort(columns[::-1])
    return Run(tuple(column[order] for column in columns), counts[order])


def _dealt(texts: pa.Table, shards: int) -> list[pa.Table]:
    part = part_of_words(texts["text"].combine_chunks(), shards)
    return [texts.filter(pa.array(part == shard)).combine_chunks() for shard in range(shards)]
