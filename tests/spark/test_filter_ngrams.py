"""filter-ngrams on Spark: ranks are nltk's, every n-gram is kept or counted as dropped, mistakes are sentences."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from nltk.metrics.association import BigramAssocMeasures, TrigramAssocMeasures

from clip_spark.datasets.manifest import read_manifest
from clip_spark.errors import InputError
from clip_spark.texts.ngrams.count import count_ngrams
from clip_spark.texts.ngrams.filter import filter_ngrams
from clip_spark.texts.ngrams.preview import show_counts, show_records
from clip_spark.texts.specs import CountSpec, FilterSpec
from tests.helpers_ngrams import oracle, random_lines, rows

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return random_lines(seed=11)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "a.txt").write_text("\n".join(lines))
    return folder


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


@pytest.mark.parametrize("top", [0, 3])
def test_every_ngram_is_kept_or_counted_as_dropped(spark: Any, counts: str, tmp_path: Path, top: int) -> None:
    (tmp_path / "list.txt").write_text("The Cat\n")
    options = {"min_count": 2, "punctuation": "edges", "stop_words": "en", "max_length": 12}
    spec = FilterSpec(
        counts=counts, output=str(tmp_path / "out"), top=top, drop_list=str(tmp_path / "list.txt"), **options
    )
    manifest = filter_ngrams(lambda: spark, spec)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["rows_in"] == read_manifest(counts).rows
    assert report["rows_in"] == manifest.rows + sum(
        dropped for order in report["ngrams_by_order"].values() for dropped in order["dropped"].values()
    )
    kept = Counter(str(row["n"]) for row in rows(manifest, "records"))
    assert kept == {n: order["kept"] for n, order in report["ngrams_by_order"].items() if order["kept"]}
    assert report["ngrams_by_order"]["2"]["dropped"]["in the drop list"] == 1  # the entry is compared in lower case


def test_an_empty_result_is_a_mistake_that_leaves_nothing(spark: Any, counts: str, tmp_path: Path) -> None:
    for top in (0, 5):
        with pytest.raises(InputError, match=r"None of the [0-9,]+ n-grams is left \(does not match: [0-9,]+\)"):
            filter_ngrams(
                lambda: spark, FilterSpec(counts=counts, output=str(tmp_path / "out"), matching="qqq", top=top)
            )
        assert not (tmp_path / "out").exists()


def test_orders_that_were_not_counted_are_refused_before_a_session(counts: str, tmp_path: Path) -> None:
    spec = FilterSpec(counts=counts, output=str(tmp_path / "out"), orders=(2, 4))
    with pytest.raises(InputError, match="holds n-grams of order 1, 2, 3, and --orders asks for 4"):
        filter_ngrams(lambda: pytest.fail("a session was started"), spec)


def test_the_look_at_the_result(spark: Any, counts: str, lines: list[str], tmp_path: Path) -> None:
    totals, best = show_counts(read_manifest(counts))
    (text, count), *_ = sorted(
        ((text, count) for (_, text), count in oracle(lines, (1,)).items()), key=lambda row: (-row[1], row[0])
    )
    assert best.rows[0][:2] == (1, f"{text} ({count:,})")
    assert [row[0] for row in totals.rows] == [1, 2, 3]
    spec = FilterSpec(counts=counts, output=str(tmp_path / "out"), orders=(2,), rank="npmi", top=2)
    funnel, best = show_records(filter_ngrams(lambda: spark, spec))
    assert [row[0] for row in funnel.rows] == ["counted", "- another order", "- below the top", "kept"]
    assert funnel.rows[-1][1:] == (0, 2, 0)
    assert len(best.rows) == 2 and best.title == "best by npmi (score; count)"
