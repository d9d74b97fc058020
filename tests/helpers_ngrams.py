"""The oracle of n-gram counts, and texts to count."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow.parquet as pq

from clip_spark.datasets.manifest import Manifest


def oracle(lines: Sequence[str], orders: Sequence[int], least: int = 1, lower: bool = True) -> dict[Any, int]:
    """(n, text) -> count, by the simplest program there is."""
    counts: Counter[Any] = Counter()
    for line in lines:
        tokens = re.findall(r"\w+|[^\w\s]+", line.lower() if lower else line)
        for n in orders:
            counts.update((n, " ".join(tokens[i : i + n])) for i in range(len(tokens) - n + 1))
    return {key: count for key, count in counts.items() if count >= least}


def rows(manifest: Manifest, folder: str) -> list[dict[str, Any]]:
    """All rows, in the order of the shards."""
    return [row for file in manifest.files(folder) for row in pq.read_table(file).to_pylist()]


def random_lines(seed: int, lines: int = 300) -> list[str]:
    """Lines of few words, so that n-grams repeat; with punctuation, capitals and other scripts."""
    rng = random.Random(seed)
    words = [
        "the",
        "The",
        "cat",
        "dog-house",
        "naïve",
        "日本語",
        "e\u0301",
        "привет",
        "🙂🙂",
        "a_b",
        "3.5",
        "(x)",
        "ΟΔΟΣ",
    ]
    return [" ".join(rng.choices(words, weights=range(len(words), 0, -1), k=rng.randrange(12))) for _ in range(lines)]
