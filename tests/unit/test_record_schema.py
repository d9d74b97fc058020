"""One schema over sets with other columns: missing is null, types are promoted, conflicts are one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from clip_spark.analysis.describe.step import best_texts
from clip_spark.analysis.query_shards import open_searcher
from clip_spark.analysis.tag_images import tag_block
from clip_spark.datasets import schema
from clip_spark.datasets.embeddings import embedding_table
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.record_schema import from_text, shaped, to_text, unify
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.shards import ShardWriter
from clip_spark.errors import InputError
from clip_spark.index.build.build import build_index
from clip_spark.index.files.layout import read_index
from clip_spark.index.specs import IndexSpec
from clip_spark.search.answers import hits_table
from clip_spark.search.hits import Wanted
from clip_spark.search.searcher import Searcher
from tests.helpers_embeddings import ENCODER, FakeSpec, unit_vectors

ROWS = 40


def no_spark() -> None:
    raise AssertionError("no session is needed here")


def write_set(output: Path, prefix: str, vectors: np.ndarray, columns: dict[str, pa.Array]) -> Manifest:
    """An embeddings dataset of one shard whose records have columns of their own."""
    ids = [schema.record_id(f"{prefix} {row}") for row in range(len(vectors))]
    texts = [f"{prefix} {row}" for row in range(len(vectors))]
    table = pa.table({"record_id": ids, "text": texts, **columns})
    spec = FakeSpec(output=str(output), rows=len(vectors), modality="text")
    run = begin_run(str(output), Plan.of("embeddings", spec, {}, 1), overwrite=False)
    folders = {"embeddings": schema.EMBEDDINGS, "records": table.schema}
    with ShardWriter(run.output, run.plan.fingerprint, 0, folders) as writer:
        writer.write("embeddings", embedding_table(ids, vectors))
        writer.write("records", table)
        writer.finish()
    return run.commit({"encoder": ENCODER, "modality": "text", "dim": vectors.shape[1]})


def append(folder: Path, name: str) -> Manifest:
    spec = IndexSpec(embeddings=str(folder / name), output=str(folder / "index"), append=True)
    return build_index(no_spark, spec)


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """An index of records with columns a and b, and behind them records with b and c; b is once whole, once not."""
    vectors = unit_vectors(2 * ROWS)
    first = {"a": pa.array(range(ROWS)), "b": pa.array(range(ROWS), pa.int32())}
    more = {"b": pa.array(np.arange(ROWS) + 0.5), "c": pa.array([f"c{row % 4}" for row in range(ROWS)])}
    write_set(tmp_path / "one", "one", vectors[:ROWS], first)
    write_set(tmp_path / "two", "two", vectors[ROWS:], more)
    build_index(no_spark, IndexSpec(embeddings=str(tmp_path / "one"), output=str(tmp_path / "index")))
    append(tmp_path, "two")
    return tmp_path


def test_every_search_knows_all_columns(both: Path) -> None:
    searcher = Searcher.open(str(both / "index"))
    assert searcher.records.columns == ["record_id", "text", "a", "b", "c"]
    (hits,) = searcher.search(unit_vectors(2 * ROWS)[:1], Wanted(k=2 * ROWS, columns=("a", "b", "c", "text")))
    found = {hit.record["text"]: hit.record for hit in hits}
    assert found["one 3"] == {"a": 3, "b": 3.0, "c": None, "text": "one 3"}
    assert found["two 5"] == {"a": None, "b": 5.5, "c": "c1", "text": "two 5"}


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ("c = 'c1'", {f"two {row}" for row in range(1, ROWS, 4)}),
        ("a >= 38", {"one 38", "one 39"}),
        ("b > 37.5 and b < 39", {"one 38", "two 38"}),
    ],
)
def test_conditions_see_the_columns_of_both_sets(both: Path, where: str, wanted: set[str]) -> None:
    searcher = Searcher.open(str(both / "index"))
    (hits,) = searcher.search(unit_vectors(2 * ROWS)[:1], Wanted(k=2 * ROWS, where=where))
    assert {hit.record["text"] for hit in hits} == wanted


def test_a_conflict_is_said_before_any_work_and_the_index_stays(both: Path) -> None:
    write_set(both / "odd", "odd", unit_vectors(3, seed=5), {"a": pa.array(["x", "y", "z"])})
    before = sorted(path for path in (both / "index").rglob("*"))
    with pytest.raises(InputError, match="The column 'a' is string in .*odd.* and int64 in the other records"):
        append(both, "odd")
    assert sorted(path for path in (both / "index").rglob("*")) == before


def test_numbers_and_texts_are_promoted_and_a_schema_survives_json() -> None:
    one = pa.schema([("n", pa.int32()), ("t", pa.string()), ("only", pa.bool_())])
    two = pa.schema([("n", pa.float64()), ("t", pa.large_string())])
    whole = unify([("one", one), ("two", two), ("one again", one)])
    assert whole == pa.schema([("n", pa.float64()), ("t", pa.large_string()), ("only", pa.bool_())])
    assert from_text(to_text(whole)) == whole
    batch = pa.RecordBatch.from_pydict({"n": [1.5], "t": ["x"]}, schema=pa.schema([("n", pa.float64()), two.field(1)]))
    assert shaped(batch, whole).to_pylist() == [{"n": 1.5, "t": "x", "only": None}]


def test_tags_and_descriptions_take_what_each_set_has(both: Path) -> None:
    searcher = Searcher.open(str(both / "index"))
    pictures = pa.table({"record_id": ["p1", "p2"], "uri": ["a.png", "b.png"]})
    vectors = unit_vectors(2 * ROWS)[[3, ROWS + 3]]  # the nearest texts are these very ones, one of each set
    tags = tag_block(searcher, pictures, vectors, [Wanted(k=1)])
    assert tags.column("text").to_pylist() == ["one 3", "two 3"] and tags.column("n").to_pylist() == [None, None]
    best = best_texts(searcher, pictures, vectors, "c is c3", Wanted(k=1, where="c = 'c3'"))
    assert set(best.column("text").to_pylist()) <= {f"two {row}" for row in range(3, ROWS, 4)}
    assert best_texts(searcher, pictures, vectors, "neither", Wanted(k=1, where="a = 1 and c = 'c1'")).num_rows == 0
    hits = searcher.search(vectors, Wanted(k=1, columns=("a", "c")))
    assert [one[0].record for one in hits] == [{"a": 3, "c": None}, {"a": None, "c": "c3"}]
    assert [row[2:] for row in hits_table(hits[1], ("a", "c")).rows] == [("c3",)]  # empty columns are left out


def test_one_worker_answers_for_several_indices_in_turn(both: Path) -> None:
    other = both / "other"
    build_index(no_spark, IndexSpec(embeddings=str(both / "two"), output=str(other)))
    generations = {uri: read_index(str(uri))[1].generation for uri in (both / "index", other)}
    query = unit_vectors(2 * ROWS)[3]
    for uri in (both / "index", other, both / "index", other):
        searcher = open_searcher(str(uri), generations[uri])
        assert searcher is open_searcher(str(uri), generations[uri])
        assert (searcher.search_embedding(query, 1)[0].record["text"] == "one 3") == (uri == both / "index")
    with pytest.raises(InputError, match="was replaced while this job ran"):
        open_searcher(str(other), generations[both / "index"])
