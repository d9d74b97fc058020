"""The public API without Spark: what is exported, what a mistake says, rows and hits and pages."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import clip_spark as cs
from clip_spark.api.index import Options
from clip_spark.api.options import plain
from clip_spark.api.rows import part_batches
from clip_spark.api.steps import step_names
from clip_spark.commands.registry import STEPS
from clip_spark.datasets.spec import ordered_fields
from clip_spark.errors import InputError, SpecError
from clip_spark.index.build.build import build_index
from clip_spark.index.specs import IndexSpec
from clip_spark.search.hits import Wanted
from tests.helpers_embeddings import numbered, unit_vectors, write_embeddings

ROWS = 300
VECTORS = unit_vectors(ROWS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Embeddings in three shards, and an index of them."""
    folder = tmp_path_factory.mktemp("api")
    write_embeddings(folder / "emb", VECTORS, numbered(ROWS), shard_rows=120)
    build_index(
        lambda: pytest.fail("no Spark"), IndexSpec(embeddings=str(folder / "emb"), output=str(folder / "index"))
    )
    return folder


def test_all_names_are_there_and_no_others() -> None:
    assert set(cs.__all__) == {*cs._PLACES, "__version__"}
    assert all(getattr(cs, name) is not None for name in cs.__all__)
    assert set(cs.__all__) <= set(dir(cs))
    with pytest.raises(AttributeError, match="no attribute 'count_words'"):
        cs.count_words  # noqa: B018


def test_every_step_of_the_registry_is_a_function_with_its_options() -> None:
    assert set(cs._STEPS) == set(step_names())
    for function, name in step_names().items():
        step = getattr(cs, function)
        options = {field.name: field.metadata["help"] for field in ordered_fields(STEPS[name].spec_class)}
        assert set(inspect.signature(step).parameters) == set(options)
        assert all(f"    {option}: " in step.__doc__ for option in options)
        assert (step.__module__, step.__name__) == ("clip_spark", function)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_count": 0}, "^min_count is 0; it must be at least 1"),
        ({"min_cuont": 2}, "no option 'min_cuont'. Did you mean 'min_count'"),
        ({"orders": [1, 9]}, "^orders is '9'"),
        ({"min_count": "two"}, "^min_count is 'two'; it must be a whole number"),
        ({"corpus": []}, "^corpus is empty"),
        ({"corpus": Path("nowhere")}, "does not exist"),
    ],
)
def test_a_mistake_is_the_command_lines_sentence_with_the_keyword(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(cs.UserError, match=message):
        cs.count_ngrams(**{"corpus": ["a.txt"], "output": tmp_path / "out", **options})
    assert not (tmp_path / "out").exists()


def test_python_values_become_those_of_a_configuration_file(tmp_path: Path) -> None:
    assert plain([tmp_path, "b"]) == [str(tmp_path), "b"]
    assert plain(range(1, 3)) == [1, 2] and plain(np.array([1, 2])) == [1, 2]
    assert plain("a,b") == "a,b" and plain(3) == 3


def test_rows_come_with_their_embeddings_in_order(folder: Path) -> None:
    dataset = cs.open_dataset(folder / "emb")
    assert (dataset.kind, dataset.rows, dataset.rejects) == ("embeddings", ROWS, {})
    assert dataset.report["rows_out"] == ROWS
    table = dataset.to_arrow()
    assert table.column_names == list(dataset.columns) and table.num_rows == ROWS
    assert table.column("text").to_pylist() == [f"text {row}" for row in range(ROWS)]
    np.testing.assert_array_equal(np.stack(dataset.to_pandas()["embedding"].to_list()), dataset.to_numpy())
    np.testing.assert_allclose(dataset.to_numpy(), VECTORS, atol=1e-6)


def test_some_columns_and_some_rows(folder: Path) -> None:
    dataset = cs.open_dataset(str(folder / "emb"))
    assert dataset.to_pandas(["text"], limit=130)["text"].to_list() == [f"text {row}" for row in range(130)]
    assert dataset.to_arrow(["embedding", "text"], limit=1).column_names == ["embedding", "text"]
    assert dataset.to_arrow(limit=0).num_rows == 0
    assert [batch.num_rows for batch in dataset.batches(["record_id"], rows=100)] == [100, 20, 100, 20, 60]
    with pytest.raises(SpecError, match="no column 'colour'"):
        dataset.to_arrow(["colour"])
    with pytest.raises(SpecError, match="no folder 'counts'"):
        dataset.to_arrow(folder="counts")


def test_files_side_by_side_are_put_together_wherever_their_row_groups_end(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    numbers = pa.table({"id": range(50), "a": range(50)})
    pq.write_table(numbers, tmp_path / "a.parquet", row_group_size=7)
    pq.write_table(numbers.rename_columns(["id", "b"]), tmp_path / "b.parquet", row_group_size=20)
    part = (str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet"))
    rows = [row for batch in part_batches(part, rows=9) for row in batch.to_pylist()]
    assert rows == [{"id": n, "a": n, "b": n} for n in range(50)]


def test_an_index_is_no_table(folder: Path) -> None:
    with pytest.raises(InputError, match="open it with open_index"):
        cs.open_dataset(folder / "index").to_arrow()
    assert "index" in cs.open_dataset(folder / "index")._repr_html_()


def test_an_index_is_searched_by_embedding_record_and_batch(folder: Path) -> None:
    index = cs.open_index(cs.open_dataset(folder / "index"))
    order = [f"text {row}" for row in np.argsort(-(VECTORS @ VECTORS[7]), kind="stable")]
    hits = index.search(embedding=VECTORS[7], k=5)
    assert [hit.record["text"] for hit in hits] == order[:5]
    like = index.search(like=hits[0].record["record_id"], k=2, columns="text")
    assert [hit.record for hit in like] == [{"text": text} for text in order[1:3]]
    assert hits.to_pandas()["rank"].to_list() == [1, 2, 3, 4, 5]
    many = index.search_many(VECTORS[[7, 8]], k=1, where="n >= 0")
    assert [hits[0].record["text"] for hits in many] == ["text 7", "text 8"]
    assert index.search_many([]) == []
    with pytest.raises(SpecError, match="text to search for is empty"):
        index.embed(" ")


def test_mistakes_of_a_search(folder: Path) -> None:
    index = cs.open_index(folder / "index")
    with pytest.raises(SpecError, match="Give one of text, image, like, query, embedding; found none"):
        index.search()
    with pytest.raises(SpecError, match="found text and like"):
        index.search("dog", like="0f")
    with pytest.raises(SpecError, match="no option 'where_'. Did you mean 'where'"):
        index.search("dog", where_="n = 1")
    with pytest.raises(SpecError, match="no column 'colour'"):
        index.search(embedding=VECTORS[0], columns=["colour"])
    with pytest.raises(InputError, match="'nowhere.png' does not exist"):
        index.search(image="nowhere.png")


def test_the_options_of_a_search_are_those_of_wanted() -> None:
    names = {field.name for field in ordered_fields(Wanted)}
    assert set(Options.__annotations__) == names <= set(inspect.signature(cs.Index.search).parameters)


def test_a_notebook_shows_rows_with_what_they_hold_as_text(folder: Path, tmp_path: Path) -> None:
    write_embeddings(tmp_path / "emb", VECTORS[:2], ["<script>", "b"])
    page = cs.open_dataset(tmp_path / "emb")._repr_html_()
    assert "&lt;script&gt;" in page and "<script>" not in page and "2 rows" in page and "… (32)" in page
    assert "text 9" in cs.open_dataset(folder / "emb")._repr_html_()
