"""Records are taken down; embeddings are appended. Exact indexes, so no Spark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import clip_spark as cs
from clip_spark.commands.console import rows_of
from clip_spark.commands.prompt_session import summary
from clip_spark.datasets import schema
from clip_spark.errors import InputError, ModelError
from clip_spark.index.build.build import build_index, preview
from clip_spark.index.change.remove import remove_records
from clip_spark.index.specs import IndexSpec, RemoveSpec
from clip_spark.search.searcher import Searcher
from tests.helpers_embeddings import ENCODER, found_texts, numbered, true_texts, unit_vectors, write_embeddings

ROWS = 300
VECTORS = unit_vectors(2 * ROWS)
TEXTS = numbered(2 * ROWS)


def no_spark():
    raise AssertionError("no session is needed here")


def build(folder: Path, **options):
    if not (folder / "emb").exists():
        write_embeddings(folder / "emb", VECTORS[:ROWS], TEXTS[:ROWS], shard_rows=120)
    spec = IndexSpec(**{"embeddings": str(folder / "emb"), "output": str(folder / "index"), "parts": 2, **options})
    return build_index(no_spark, spec)


def test_removing_nothing_is_said(tmp_path: Path) -> None:
    build(tmp_path)
    with pytest.raises(InputError, match="nothing was removed"):
        remove_records(no_spark, RemoveSpec(index=str(tmp_path / "index"), ids=("nonsense",)))


def test_a_file_of_ids_in_any_encoding_is_taken_down_and_counted(tmp_path: Path) -> None:
    build(tmp_path)
    ids = [schema.record_id(text) for text in TEXTS[:3]]
    (tmp_path / "ids.txt").write_bytes("\r\n".join([*ids, "", "nonsense", ids[0]]).encode("utf-16"))
    spec = RemoveSpec(index=str(tmp_path / "index"), ids_file=str(tmp_path / "ids.txt"))
    assert dict(remove_records(no_spark, spec).rows)["removed now"] == 3
    assert dict(remove_records(no_spark, spec).rows)["removed now"] == 0
    assert not set(TEXTS[:3]) & set(found_texts(tmp_path / "index", VECTORS[0], ROWS))
    for name, content in {"empty.txt": b"\n", "folder": None}.items():
        (tmp_path / name).mkdir() if content is None else (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="--ids-file '.*' is (empty|no file)"):
            remove_records(no_spark, RemoveSpec(index=str(tmp_path / "index"), ids_file=str(tmp_path / name)))


def test_appended_embeddings_answer_like_one_set(tmp_path: Path) -> None:
    build(tmp_path)
    more = tmp_path / "more"
    write_embeddings(more, VECTORS[ROWS:], TEXTS[ROWS:], shard_rows=200)
    manifest = build(tmp_path, embeddings=str(more), append=True)
    assert manifest.rows == 2 * ROWS
    for query in unit_vectors(3, seed=8):
        assert found_texts(tmp_path / "index", query, 20) == true_texts(VECTORS, TEXTS, query, np.arange(2 * ROWS))[:20]
    assert build(tmp_path, embeddings=str(more), append=True).created == manifest.created
    searcher = Searcher.open(str(tmp_path / "index"))
    record = searcher.search_embedding(VECTORS[ROWS + 5], 1)[0].record
    assert record["text"] == TEXTS[ROWS + 5]
    np.testing.assert_allclose(searcher.embedding_of(record["record_id"]), VECTORS[ROWS + 5], atol=1e-6)


def test_appending_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    build(tmp_path)
    other = {**ENCODER, "model": "other", "weights_sha256": "x"}
    write_embeddings(tmp_path / "other", VECTORS[:5], TEXTS[:5], encoder=other)
    with pytest.raises(ModelError, match="the embeddings in .* come from 'other'"):
        build(tmp_path, embeddings=str(tmp_path / "other"), append=True)


def test_the_queries_of_a_build_are_not_part_of_the_index(tmp_path: Path) -> None:
    write_embeddings(tmp_path / "q", VECTORS[:5], numbered(5, "p"), modality="image")
    build(tmp_path, queries=str(tmp_path / "q"))
    with pytest.raises(InputError, match="The index holds texts and .* of images"):
        build(tmp_path, embeddings=str(tmp_path / "q"), append=True)


def test_removed_records_are_not_among_the_rows_that_are_told(tmp_path: Path) -> None:
    index = build(tmp_path)
    ids = tuple(schema.record_id(text) for text in TEXTS[:3])
    remove_records(no_spark, RemoveSpec(index=index.uri, ids=ids))
    opened = cs.open_index(index.uri)
    assert rows_of(index) == opened.rows == cs.open_dataset(index.uri).rows == ROWS - 3
    assert summary(opened.searcher).startswith(f"{ROWS - 3:,} texts in ")
    assert dict(preview(index)[0].rows)["of removed records"] == 3
