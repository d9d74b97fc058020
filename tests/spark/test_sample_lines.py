"""Lines of n-grams on Spark: of a counted corpus, packed and in many files, they are those of brute force."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from clip_spark.texts.ngrams.count import count_ngrams
from clip_spark.texts.ngrams.examples.lines import hash_of
from clip_spark.texts.ngrams.examples.spec import SampleLinesSpec, WhereSpec
from clip_spark.texts.ngrams.examples.step import sample_lines
from clip_spark.texts.ngrams.examples.where import where_ngram
from clip_spark.texts.specs import CountSpec

pytestmark = pytest.mark.spark


def test_the_lines_of_a_counted_corpus_are_those_of_brute_force(spark, tmp_path: Path) -> None:
    lines = [" ".join(random.Random(n).choices(["Red", "fox", "a", "hen", "ö", "猫"], k=6)) for n in range(900)]
    (tmp_path / "text").mkdir()
    for number in range(3):
        data = "\n".join(lines[number::3]).encode()
        place = tmp_path / f"text/{number}.txt"
        place.write_bytes(data) if number else place.with_suffix(".txt.gz").write_bytes(gzip.compress(data))
    spec = CountSpec(corpus=(str(tmp_path / "text"),), output=str(tmp_path / "counts"), orders=(1, 2), min_count=(20,))
    count_ngrams(lambda: spark, spec)
    given = {"ngrams": spec.output, "output": str(tmp_path / "examples"), "examples": 4, "shards": 3}
    made = sample_lines(lambda: spark, SampleLinesSpec(**given))
    found: dict[str, list[str]] = {}
    for uri in made.files("examples"):
        for row in pq.read_table(uri).to_pylist():
            found.setdefault(row["text"], []).append(row["line"])
    assert len(found) > 30 and made.extra["without_a_line"] == 0
    for ngram, kept in found.items():
        stands = {line for line in lines if f" {ngram} " in f" {line.lower()} "}
        assert kept == sorted(stands, key=hash_of)[:4]
    assert where_ngram(WhereSpec(examples=made.uri, text="RED  fox")).lines
