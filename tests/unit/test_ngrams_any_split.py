"""However a corpus is cut into files, pieces, splits and shards, the tasks of count-ngrams give Counter's counts."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip_spark.texts import corpus
from clip_spark.texts.corpus.sniff import LINES as LINES_OF_TEXT
from clip_spark.texts.corpus.sniff import Form
from clip_spark.texts.ngrams.count import MOST_WORDS
from clip_spark.texts.ngrams.counting import growth, passes
from clip_spark.texts.ngrams.counting.source import Source
from clip_spark.texts.ngrams.counting.vocabulary import make_vocabulary
from clip_spark.texts.specs import CountSpec

WORDS = ["a", "a", "a", "b", "the", "The", ".", "--", "naïve", "日本", "🙂", "e\u0301", "x\0y", "\r", "\t", "Σ", "ΑΣ"]
LINES = st.lists(st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join), max_size=12)


def oracle(texts: Iterable[str], least: dict[int, int]) -> dict[tuple[int, str], int]:
    counts: Counter[tuple[int, str]] = Counter()
    for line in (line for text in texts for line in text.split("\n")):
        tokens = re.findall(r"\w+|[^\w\s]+", line.lower())
        for n in least:
            counts.update((n, " ".join(tokens[i : i + n])) for i in range(len(tokens) - n + 1))
    return {key: count for key, count in counts.items() if count >= least[key[0]]}


def shuffle(pairs: Iterable[tuple[int, Any]], rng: random.Random) -> dict[int, list[tuple[int, Any]]]:
    """What Spark does between two stages: items by part, in any order."""
    parts = defaultdict(list)
    for pair in pairs:
        parts[pair[0]].append(pair)
    for items in parts.values():
        rng.shuffle(items)
    return parts


def count(folder: Path, spec: CountSpec, split_bytes: int, shards: int, most_words: int, rng: random.Random) -> Any:
    """(n, text) -> count and the growth of the vocabulary; fails when an n-gram is in two shards."""
    plain = Form(LINES_OF_TEXT)  # whatever the files hold
    cut = corpus.plan_splits(corpus.list_corpus(spec.corpus).files, split_bytes, lambda file: plain)
    splits = list(enumerate(tuple(replace(piece, form=plain) for piece in split) for split in cut))
    source = Source(spec, str(folder / "work"), str(folder / "out"), "plan", shards)
    least = min(count for n, count in spec.least().items() if n > 1)
    parts = shuffle((pair for item in splits for pair in passes.FirstPass(source, len(splits), shards)(item)), rng)
    sum_words = passes.SumWords(least, most_words)
    found = [frequent for part in sorted(parts) for frequent in sum_words(part, parts[part])]
    words = SimpleNamespace(value=make_vocabulary(found, least))
    pending = frozenset(range(shards))
    keys = shuffle((pair for item in splits for pair in passes.SecondPass(source, words, pending)(item)), rng)
    write = passes.WriteShard(source, words, pending)
    receipts = [receipt for shard in pending for receipt in write(shard, keys[shard])]
    files = [folder / "out" / path for receipt in receipts for path in receipt.files]
    rows = [((row["n"], row["text"]), row["count"]) for file in files for row in pq.read_table(file).to_pylist()]
    assert len(rows) == len(dict(rows))
    return dict(rows), growth.curve([part.growth for part in found])


@settings(max_examples=int(os.environ.get("CORPORA", "20")))
@given(
    files=st.lists(LINES.map("\n".join), min_size=1, max_size=4).filter(any),
    split_bytes=st.integers(1, 100),
    shards=st.integers(1, 4),
    min_count=st.sampled_from([(1, 1, 1), (3, 2, 1), (1, 2, 2), (2, 2, 2)]),
    orders=st.sampled_from([(1, 2, 3), (3, 2, 5), (1, 4, 5)]),
    most_words=st.sampled_from([0, 1, MOST_WORDS]),
    rng=st.randoms(use_true_random=False),
)
def test_counts_do_not_depend_on_how_the_corpus_is_cut(
    tmp_path_factory: pytest.TempPathFactory,
    files: list[str],
    split_bytes: int,
    shards: int,
    min_count: tuple[int, ...],
    orders: tuple[int, ...],
    most_words: int,
    rng: random.Random,
) -> None:
    folder = tmp_path_factory.mktemp("corpus")
    for number, text in enumerate(files):
        (folder / f"{number}.txt").write_bytes(text.encode())
    spec = CountSpec(corpus=(f"{folder}/*.txt",), output="o", orders=orders, min_count=min_count)
    found, points = count(folder, spec, split_bytes, shards, most_words, rng)
    assert found == oracle(files, spec.least())
    words = oracle(files, {1: 1})
    assert points[-1:] == ([(sum(words.values()), len(words))] if words else [])
    assert points == sorted(points)


def test_the_vocabulary_grows_as_a_set_does(tmp_path: Path) -> None:
    rng = random.Random(3)
    tokens = [f"w{int(rng.paretovariate(0.7))}" for _ in range(20_000)]
    (tmp_path / "a.txt").write_text("\n".join(" ".join(tokens[i : i + 10]) for i in range(0, len(tokens), 10)))
    spec = CountSpec(corpus=(str(tmp_path / "a.txt"),), output="o", orders=(1, 2))
    _, points = count(tmp_path, spec, 20_000, 2, MOST_WORDS, rng)
    assert len(points) > 10
    assert all(words == len(set(tokens[:read])) for read, words in points)


LONG_LINE = """
import resource, sys
from clip_spark.texts import corpus
from clip_spark.texts.corpus import Piece
from clip_spark.texts.ngrams.counting import code_split as coding
from clip_spark.texts.specs import CountSpec

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

spec = CountSpec(corpus=("x",), output="o", orders=(1, 2))
coding.code_split((Piece(sys.argv[1], None),), spec)  # whatever is loaded once is loaded now
before = peak()
blocks = [len(block) for block in corpus.read_blocks(Piece(sys.argv[2], None))]
reading = peak() - before
sums = coding.code_split((Piece(sys.argv[2], None),), spec).sums
print(max(blocks), sum(blocks), reading, peak() - before, sums["lines"], sums["tokens"], sums["positions_2"])
"""


def test_a_line_of_100_mb_is_streamed(tmp_path: Path) -> None:
    """Reading holds a few blocks; a split as numbers takes some bytes per token, whatever the words are."""
    (tmp_path / "small.txt").write_bytes(b"some words\n" * 100_000)
    (tmp_path / "long.txt").write_bytes(b"incomprehensibilities characteristically " * 2_500_000)
    command = [sys.executable, "-c", LONG_LINE, str(tmp_path / "small.txt"), str(tmp_path / "long.txt")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    largest, total, reading_mb, coding_mb, *sums = map(int, done.stdout.split())
    assert total == 41 * 2_500_000
    assert largest <= 5 << 20
    assert reading_mb < 20
    assert coding_mb < 150
    assert sums == [1, 5_000_000, 4_999_999]
