"""Lines of n-grams equal brute force however the corpus is cut, and lead to the pictures that they tag."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from clip_spark.datasets.manifest import Manifest
from clip_spark.errors import InputError
from clip_spark.texts import corpus
from clip_spark.texts.ngrams.examples import step
from clip_spark.texts.ngrams.examples.lines import WriteLines, cut_around, hash_of
from clip_spark.texts.ngrams.examples.spec import SampleLinesSpec, WhereSpec
from clip_spark.texts.ngrams.examples.step import sample_lines
from clip_spark.texts.ngrams.examples.where import where_ngram
from tests.helpers_examples import broadcasting, write_counts_of
from tests.helpers_tags import write_tags

LINES = [" ".join(random.Random(n).choices(["Red", "fox,", "a", "hen", "ö"], k=7)) for n in range(400)]
NGRAMS = ["red", "red fox", "fox , a", "ö hen", "never seen"]


@pytest.fixture
def spark(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    return broadcasting(monkeypatch)


def write_counts(folder: Path, lines: list[str] = LINES) -> str:
    return write_counts_of(folder, lines, NGRAMS)


def sampled(manifest: Manifest) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for uri in manifest.files("examples"):
        for row in pq.read_table(uri).to_pylist():
            found.setdefault(row["text"], []).append(row["line"])
    return found


def brute_force(most: int) -> dict[str, list[str]]:
    found = {}
    for ngram in NGRAMS[:-1]:
        spaced = [line for line in set(LINES) if f" {ngram} " in f" {line.lower().replace(',', ' ,')} "]
        found[ngram] = sorted(spaced, key=hash_of)[:most]
    return found


def test_lines_are_those_of_brute_force_however_the_corpus_is_cut(
    tmp_path: Path, spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = write_counts(tmp_path)
    one = sample_lines(spark, SampleLinesSpec(ngrams=counts, output=str(tmp_path / "one")))
    assert sampled(one) == brute_force(3) and one.extra["without_a_line"] == 1
    plan = corpus.plan_splits
    monkeypatch.setattr(corpus, "plan_splits", lambda files, _, look: plan(files, 700, look))
    spec = SampleLinesSpec(ngrams=counts, output=str(tmp_path / "many"), shards=3)
    many = sample_lines(spark, spec)
    assert len(plan(corpus.list_corpus((str(tmp_path / "text"),)).files, 700, lambda f: corpus.look(f.uri, "auto"))) > 9
    assert sampled(many) == sampled(one) and len(many.files("examples")) == 3
    assert sample_lines(lambda: pytest.fail("no Spark"), spec).created == many.created


def test_a_killed_run_goes_on_and_a_corpus_that_grows_is_sampled_again(
    tmp_path: Path, spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = write_counts(tmp_path)
    spec, real = SampleLinesSpec(ngrams=counts, output=str(tmp_path / "out"), shards=3, examples=5), WriteLines.__call__

    def dies(work: WriteLines, shard: int, items: Any) -> Any:
        if shard == 1:
            raise KeyboardInterrupt
        return real(work, shard, items)

    monkeypatch.setattr(WriteLines, "__call__", dies)
    with pytest.raises(KeyboardInterrupt):
        sample_lines(spark, spec)
    monkeypatch.setattr(WriteLines, "__call__", real)
    assert sampled(sample_lines(spark, spec)) == brute_force(5)
    write_counts(tmp_path, [*LINES, "never seen"])
    grown = sample_lines(spark, spec)
    assert sampled(grown)["never seen"] == ["never seen"] and sampled(grown)["red"] == brute_force(5)["red"]


def test_an_ngram_leads_to_its_lines_and_pictures(tmp_path: Path, spark: Any) -> None:
    counts, examples = write_counts(tmp_path), str(tmp_path / "out")
    sample_lines(spark, SampleLinesSpec(ngrams=counts, output=examples, shards=2))
    tags = write_tags(tmp_path / "tags", ["a.jpg", "b.jpg", "c.jpg"], ["hen", "red fox"])
    found = where_ngram(WhereSpec(examples=examples, text="Red  FOX", tags=tags, k=2))
    assert found.ngram == "red fox" and [line for line, _ in found.lines] == brute_force(3)["red fox"]
    assert {source for _, source in found.lines} == {str(tmp_path / "text/a.txt")}
    assert [(rank, uri) for _, rank, uri in found.pictures] == [(2, "c.jpg"), (2, "b.jpg")]
    with pytest.raises(InputError, match="'nothing' is none of the 4 n-grams"):
        where_ngram(WhereSpec(examples=examples, text="nothing"))


def test_too_many_ngrams_and_records_of_others_are_refused(
    tmp_path: Path, spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = write_counts(tmp_path)
    monkeypatch.setattr(step, "MOST_NGRAMS", 4)
    with pytest.raises(InputError, match="holds 5 n-grams, and workers hold at most 4"):
        sample_lines(spark, SampleLinesSpec(ngrams=counts, output=str(tmp_path / "out")))


def test_a_long_line_is_cut_around_the_ngram() -> None:
    line = "x " * 500 + "the red  fox's tail " + "y " * 500
    assert "red fox's" in cut_around(line, "red fox ' s", 60) and len(cut_around(line, "red fox ' s", 60)) == 60
    assert cut_around(line, "not there", 20) == "x x x x x x x x x x "
