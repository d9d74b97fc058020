"""Counts that are added to equal those of the whole corpus counted from the start, to the byte of every shard."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.receipt import Receipt
from clip_spark.errors import OutputError
from clip_spark.texts import corpus
from clip_spark.texts.corpus.sniff import LINES, Form
from clip_spark.texts.made_again import sources_of
from clip_spark.texts.ngrams.count import MOST_WORDS
from clip_spark.texts.ngrams.counting import growth, passes
from clip_spark.texts.ngrams.counting.counted_shard import CountedShard
from clip_spark.texts.ngrams.counting.growth import Points
from clip_spark.texts.ngrams.counting.source import Source
from clip_spark.texts.ngrams.counting.vocabulary import make_vocabulary
from clip_spark.texts.ngrams.grow import CountGrowth
from clip_spark.texts.specs import CountSpec

WORDS = ["a", "a", "a", "b", "b", "The", ".", "naïve", "🙂", "x\0y", "\u00a0", "\x1c"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join), max_size=8).map("\n".join)


def shuffled(pairs: Iterable[tuple[int, Any]], parts: int, rng: random.Random) -> list[list[tuple[int, Any]]]:
    """What Spark does between two stages: items by part, in any order."""
    found: list[list[tuple[int, Any]]] = [[] for _ in range(parts)]
    for pair in pairs:
        found[pair[0]].append(pair)
    for items in found:
        rng.shuffle(items)
    return found


@dataclasses.dataclass(frozen=True)
class Counter:
    """Runs the tasks of count-ngrams without Spark."""

    spec: CountSpec
    shards: int
    most_words: int
    rng: random.Random

    def count(
        self, folder: Path, texts: list[str], before: Sequence[Path] = (), points: Sequence[tuple[int, int]] = ()
    ) -> Any:
        """Files of the shards, sums of all of their counters, and how the vocabulary grew."""
        folder.mkdir()
        splits = []
        for number, text in enumerate(texts):
            (folder / f"{number}.txt").write_bytes(text.encode())
            splits.append((number, (corpus.Piece(str(folder / f"{number}.txt"), Form(LINES)),)))
        source = Source(self.spec, str(folder / "work"), str(folder / "out"), "plan", self.shards)
        items = [*splits, *(CountedShard(str(file)) for file in before)]
        words, curve = self._vocabulary(source, items, len(splits), points)
        second = passes.SecondPass(source, words, frozenset(range(self.shards)))
        keys = shuffled((pair for item in items for pair in second(item)), self.shards, self.rng)
        write = passes.WriteShard(source, words, frozenset(range(self.shards)))
        receipts = [receipt for shard in range(self.shards) for receipt in write(shard, keys[shard])]
        files = [folder / "out" / path for receipt in receipts for path in receipt.files]
        return files, [receipt.counters for receipt in receipts], curve

    def _vocabulary(self, source: Source, items: list[Any], splits: int, points: Sequence[tuple[int, int]]) -> Any:
        least = [count for n, count in self.spec.least().items() if n > 1]
        if not least:
            return None, []
        first = passes.FirstPass(source, splits, self.shards)
        parts = shuffled((pair for item in items for pair in first(item)), self.shards, self.rng)
        sum_words = passes.SumWords(min(least), self.most_words)
        found = [frequent for number, part in enumerate(parts) for frequent in sum_words(number, part)]
        curve = growth.curve([part.growth for part in found], points)
        return SimpleNamespace(value=make_vocabulary(found, min(least))), curve


@settings(max_examples=40)
@given(
    old=st.lists(TEXTS, min_size=1, max_size=3),
    new=st.lists(TEXTS, max_size=3),
    shards=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    orders=st.sampled_from([(1,), (1, 2), (3, 1, 2), (1, 2, 5), (1, 4), (1, 2, 3, 4, 5)]),
    most_words=st.sampled_from([0, 2, MOST_WORDS, MOST_WORDS, MOST_WORDS]),
    rng=st.randoms(use_true_random=False),
)
def test_old_counts_and_new_texts_make_the_shards_of_all_texts(
    tmp_path_factory: pytest.TempPathFactory,
    old: list[str],
    new: list[str],
    shards: tuple[int, int],
    orders: tuple[int, ...],
    most_words: int,
    rng: random.Random,
) -> None:
    folder = tmp_path_factory.mktemp("counts")
    spec = CountSpec(corpus=("c",), output="o", orders=orders, min_count=(1,))
    before, _, points = Counter(spec, shards[0], most_words, rng).count(folder / "old", old)
    counter = Counter(spec, shards[1], most_words, rng)
    grown, sums, curve = counter.count(folder / "grown", new, before, points)
    whole, expected, reference = counter.count(folder / "whole", old + new)
    assert [file.read_bytes() for file in grown] == [file.read_bytes() for file in whole]
    assert sums == expected
    assert curve[-1:] == reference[-1:] and curve == sorted(curve)


def test_the_curve_of_a_count_that_is_often_added_to_stays_short() -> None:
    points: Points = [(1000, 100)]
    more = growth.Growth(np.full(growth.GROUPS, 10), np.full(growth.GROUPS, 1), [])
    for _ in range(300):
        points = growth.curve([more], points)
    assert points[-1] == (1000 + 300 * 640, 100 + 300 * 64)
    assert len(points) < 400


def decision(folder: Path, *, before: Manifest, least: int = 1, prune: bool = False, orders: Any = (1, 2)) -> Any:
    files = corpus.list_corpus((str(folder),)).files
    spec = CountSpec(corpus=(str(folder),), output="o", min_count=(least,), prune=prune, orders=orders)
    cut: Any = lambda files: [tuple(corpus.Piece(file.uri) for file in files)]  # noqa: E731
    plan = "same" if sorted(file.relative for file in files) == ["a.txt", "b.txt"] else "other"
    return CountGrowth(spec, files, sources_of(files), 2, plan, cut)(before, [])


@pytest.fixture
def before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    """A count of a.txt and b.txt: two shards, a split with a reject, a split without."""
    for name in "ab":
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{name}.txt").write_text(f"text of {name}\n")
    sources = sources_of(corpus.list_corpus((str(tmp_path / "in"),)).files)
    monkeypatch.setattr("clip_spark.datasets.growth.read_sources", lambda manifest: sources)
    files = [{"counts/00000.parquet": 1}, {"counts/00001.parquet": 1}, {"rejects/00002.parquet": 1}, {}]
    receipts = tuple(Receipt(number, "p", 3 if number < 2 else 0, names) for number, names in enumerate(files))
    return Manifest("counts", "same", {}, {}, {}, "", receipts, uri="u")


def test_only_counts_of_which_nothing_was_cut_are_added_to(tmp_path: Path, before: Manifest) -> None:
    (tmp_path / "in" / "c.txt").write_text("more\n")
    grown = decision(tmp_path / "in", before=before)
    assert grown.numbers == [0, 1, 2, 3, 4] and [item.copied.receipt.shard for item in grown.items[3:]] == [2, 3]
    assert grown.sources["source"].to_pylist() == ["a.txt", "b.txt", "c.txt"] and grown.rewritten == 6
    assert "filter-ngrams has a --min-count of its own" in decision(tmp_path / "in", before=before, least=2).why
    assert "single words were not counted" in decision(tmp_path / "in", before=before, orders=(2,)).why
    (tmp_path / "in" / "a.txt").write_text("another text\n")
    assert decision(tmp_path / "in", before=before).why == "1 files have changed since, so all is counted again"


def test_files_that_are_gone_stay_counted_until_they_are_to_be_taken_out(tmp_path: Path, before: Manifest) -> None:
    (tmp_path / "in" / "b.txt").unlink()
    kept = decision(tmp_path / "in", before=before)
    assert kept.is_idle(before) and kept.vanished == 1
    assert decision(tmp_path / "in", before=before, prune=True).why.startswith("1 files are gone")
    with pytest.raises(OutputError, match="--prune makes it again"):
        decision(tmp_path / "in", before=before, least=2)


@pytest.mark.parametrize("least", [1, 2])
def test_nothing_is_counted_again_where_nothing_is_to_be_taken_out(
    tmp_path: Path, before: Manifest, least: int
) -> None:
    assert decision(tmp_path / "in", before=before, least=least, prune=True).is_idle(before)
