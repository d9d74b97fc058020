"""count-ngrams and filter-ngrams on Spark equal collections.Counter and nltk."""

from __future__ import annotations

import gzip
import math
import random
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from nltk.metrics.association import BigramAssocMeasures, TrigramAssocMeasures

from clip_spark.errors import InputError
from clip_spark.manifest import Manifest
from clip_spark.ngrams.count import count_ngrams
from clip_spark.ngrams.filter import filter_ngrams
from clip_spark.specs.text import CountSpec, FilterSpec

pytestmark = pytest.mark.spark


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


def counted(manifest: Manifest) -> dict[Any, int]:
    """(n, text) -> count; fails when an n-gram is in two shards."""
    found = [((row["n"], row["text"]), row["count"]) for row in rows(manifest, "counts")]
    assert len(found) == len(dict(found))
    return dict(found)


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


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return random_lines(seed=7)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "a.txt").write_text("\n".join(lines[:150]) + "\n")
    (folder / "b").mkdir()
    (folder / "b" / "c.txt.gz").write_bytes(gzip.compress("\n".join(lines[150:]).encode()))
    return folder


@pytest.mark.parametrize(
    ("orders", "least", "lower", "shards"),
    [((1, 2, 3), 1, True, 1), ((1, 2, 3), 3, True, 4), ((5, 4), 2, True, 2), ((2,), 2, False, 3)],
)
def test_counts_equal_counter(
    spark: Any, place: Path, lines: list[str], tmp_path: Path, orders: Any, least: int, lower: bool, shards: int
) -> None:
    spec = CountSpec(
        corpus=(str(place),),
        output=str(tmp_path / "out"),
        orders=orders,
        min_count=(least,),
        lower=lower,
        shards=shards,
    )
    assert counted(count_ngrams(lambda: spark, spec)) == oracle(lines, orders, least, lower)


def test_a_bounded_vocabulary_changes_no_count(
    spark: Any, place: Path, lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clip_spark.ngrams.count.MOST_WORDS", 5)
    spec = CountSpec(corpus=(str(place),), output=str(tmp_path / "out"), orders=(1, 2, 3), min_count=(2,), shards=2)
    assert counted(count_ngrams(lambda: spark, spec)) == oracle(lines, (1, 2, 3), 2)


def test_totals(spark: Any, place: Path, lines: list[str], tmp_path: Path) -> None:
    manifest = count_ngrams(lambda: spark, CountSpec(corpus=(str(place),), output=str(tmp_path / "out")))
    everything = oracle(lines, (1, 2, 3))
    assert manifest.extra["lines"] == len(lines)
    assert manifest.extra["tokens"] == sum(count for (n, _), count in everything.items() if n == 1)
    for n in (1, 2, 3):
        found = [count for (order, _), count in everything.items() if order == n]
        of_order = manifest.extra["orders"][str(n)]
        assert of_order["positions"] == sum(found)
        assert of_order["survivors"] == sum(count >= 2 for count in found)


def test_a_finished_step_starts_no_session(spark: Any, place: Path, tmp_path: Path) -> None:
    spec = CountSpec(corpus=(str(place),), output=str(tmp_path / "out"))
    first = count_ngrams(lambda: spark, spec)

    def no_session() -> Any:
        raise AssertionError("a session was started")

    assert count_ngrams(no_session, spec).fingerprint == first.fingerprint


def test_a_missing_corpus_starts_no_session(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        count_ngrams(lambda: pytest.fail("a session was started"), CountSpec(corpus=("nowhere",), output=str(tmp_path)))


@pytest.fixture(scope="module")
def counts(spark: Any, place: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    output = str(tmp_path_factory.mktemp("counts") / "out")
    count_ngrams(lambda: spark, CountSpec(corpus=(str(place),), output=output, min_count=(1,), shards=3))
    return output


@pytest.mark.parametrize("top", [0, 7])
def test_pmi_equals_nltk(spark: Any, counts: str, lines: list[str], tmp_path: Path, top: int) -> None:
    spec = FilterSpec(counts=counts, output=str(tmp_path / "out"), rank="pmi", top=top, min_count=2)
    found = rows(filter_ngrams(lambda: spark, spec), "records")
    everything = oracle(lines, (1, 2, 3))
    tokens = sum(count for (n, _), count in everything.items() if n == 1)
    for row in found:
        words = [everything[1, word] for word in row["text"].split(" ")]
        if row["n"] == 2:
            expected = BigramAssocMeasures.pmi(row["count"], tuple(words), tokens)
        elif row["n"] == 3:
            expected = TrigramAssocMeasures.pmi(row["count"], (0, 0, 0), tuple(words), tokens)
        else:
            expected = 0.0
        assert math.isclose(row["score"], expected, abs_tol=1e-9)
    survivors = oracle(lines, (1, 2, 3), least=2)
    per_order = Counter(n for n, _ in survivors)
    assert len(found) == sum(min(top, count) if top else count for count in per_order.values())


def test_ranking_by_count_is_sorted_and_ties_are_alphabetic(
    spark: Any, counts: str, lines: list[str], tmp_path: Path
) -> None:
    spec = FilterSpec(counts=counts, output=str(tmp_path / "out"), top=20)
    found = [(row["n"], row["text"], row["count"]) for row in rows(filter_ngrams(lambda: spark, spec), "records")]
    expected = []
    for n in (1, 2, 3):
        of_order = [(n, text, count) for (order, text), count in oracle(lines, (n,)).items() if order == n]
        expected += sorted(of_order, key=lambda row: (-row[2], row[1].encode()))[:20]
    assert found == expected


def test_pmi_without_words_is_refused(spark: Any, place: Path, tmp_path: Path) -> None:
    count_ngrams(lambda: spark, CountSpec(corpus=(str(place),), output=str(tmp_path / "c"), orders=(2,)))
    with pytest.raises(InputError, match="single words"):
        filter_ngrams(lambda: spark, FilterSpec(counts=str(tmp_path / "c"), output=str(tmp_path / "r"), rank="pmi"))
