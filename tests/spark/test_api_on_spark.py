"""The public API on a running Spark session: steps as functions, datasets as DataFrames."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import clip_spark as cs
from clip_spark.api.session import GROUP
from tests.helpers_embeddings import numbered, unit_vectors, write_embeddings

pytestmark = pytest.mark.spark
LINES = ["red bike", "red bike red", "blue bike \u2028 now"]


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory, spark) -> cs.Dataset:
    folder = tmp_path_factory.mktemp("api")
    (folder / "a.txt").write_bytes("\n".join(LINES).encode() + b"\nbad \xff line\n")
    spark.sparkContext.setJobGroup("mine", "my own jobs")
    return cs.count_ngrams(
        corpus=[folder / "a.txt"], orders=[1], min_count=1, tokenizer="whitespace", invalid_utf8="reject",
        output=folder / "counts",
    )  # fmt: skip


def test_counts_go_on_in_sql(counts: cs.Dataset, spark) -> None:
    expected = Counter(word for line in LINES for word in line.split())
    counts.spark().createOrReplaceTempView("counts")
    rows = spark.sql("select text, count from counts where count >= 2 order by text").collect()
    assert [(row.text, row["count"]) for row in rows] == sorted(
        (word, count) for word, count in expected.items() if count >= 2
    )
    assert dict(zip(*counts.to_pandas(["text", "count"]).T.values.tolist(), strict=True)) == expected


def test_rejects_are_counted_and_listed(counts: cs.Dataset) -> None:
    assert sum(counts.rejects.values()) == 1 and "rejected" in counts._repr_html_()
    listed = counts.to_pandas(folder="rejects")
    assert listed["reason"].to_list() == list(counts.rejects)
    assert counts.spark("rejects").count() == 1


def test_the_session_is_the_running_one_and_stays_as_it_was(counts: cs.Dataset, spark) -> None:
    assert cs.session() is spark
    cs.stop()  # ours it is not
    assert spark.range(3).count() == 3
    assert [spark.sparkContext.getLocalProperty(key) for key in GROUP[:2]] == ["mine", "my own jobs"]


def test_a_dataset_is_an_input_and_what_is_done_is_not_done_again(counts: cs.Dataset, tmp_path: Path) -> None:
    first = cs.filter_ngrams(counts=counts, top=2, output=tmp_path / "ngrams")
    again = cs.filter_ngrams(counts=counts, top=2, output=str(tmp_path / "ngrams"))
    assert first.rows == 2 and again.manifest.created == first.manifest.created
    with pytest.raises(cs.OutputError, match="top was 2, now 3.* replace it with overwrite=True"):
        cs.filter_ngrams(counts=counts, top=3, output=tmp_path / "ngrams")


def test_embeddings_come_beside_their_records(spark, tmp_path: Path) -> None:
    vectors = unit_vectors(50)
    write_embeddings(tmp_path / "emb", vectors, ["same"] * 10 + numbered(40), shard_rows=20)
    frame = cs.open_dataset(tmp_path / "emb").spark()
    assert frame.columns == ["record_id", "text", "n", "embedding"]
    rows = frame.collect()
    assert [row.text for row in rows] == ["same"] * 10 + numbered(40)
    np.testing.assert_allclose(np.array([row.embedding for row in rows], np.float32), vectors, atol=1e-6)
