"""Several sets of one step: every record once, one encoder and look, one index over all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clip_spark.datasets import doubled, schema
from clip_spark.datasets.doubled import doubled_rows, id_numbers
from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.shards import ShardWriter
from clip_spark.embed.specs import EmbedTextSpec
from clip_spark.embed.task import note_encoder
from clip_spark.embed.texts import DOUBLED, plan_tasks
from clip_spark.encoders import EncoderSpec, load_encoder
from clip_spark.errors import InputError, ModelError, SpecError
from clip_spark.index.build.build import build_index
from clip_spark.index.specs import IndexSpec
from clip_spark.search.searcher import Searcher
from tests.helpers_embeddings import ENCODER, found_texts, numbered, true_texts, unit_vectors, write_embeddings

VECTORS = unit_vectors(60)


def no_spark() -> Any:
    raise AssertionError("no session is needed here")


def write_records(output: Path, texts: list[str], **columns: list[Any]) -> Manifest:
    table = pa.table({"record_id": [schema.record_id(text) for text in texts], "text": texts, **columns})
    run = begin_run(str(output), Plan("records", {"texts": texts}, {}, 1), overwrite=False)
    with ShardWriter(run.output, run.plan.fingerprint, 0, {"records": table.schema}) as writer:
        writer.write("records", table)
        writer.finish()
    return run.commit()


def embedded(spec: EmbedTextSpec) -> tuple[list[dict[str, Any]], float]:
    """The records that the tasks of a step write, and how many were given more than once."""
    planned = plan_tasks(spec)
    run = begin_run(spec.output, planned.plan, overwrite=False)
    note_encoder(run.output, run.plan.fingerprint, load_encoder(EncoderSpec("demo", "fp32")))
    receipts = [planned.work(run.output, 1)(item) for item in planned.items]
    rows = [row for uri in run.commit().files("records") for row in pq.read_table(uri).to_pylist()]
    return rows, sum(receipt.counters.get(DOUBLED, 0) for receipt in receipts)


@pytest.mark.parametrize("shard_rows", [0, 2])
def test_lines_and_ngrams_are_embedded_together_and_each_text_once(tmp_path: Path, shard_rows: int) -> None:
    write_records(tmp_path / "lines", ["red fox", "a blue hen sings", "dog"], score=[1, 2, 3])
    write_records(tmp_path / "ngrams", ["blue hen", "dog", "red fox", "hen"], n=[2, 1, 2, 1], score=[0.5, 1, 2, 3])
    sets = (str(tmp_path / "lines"), str(tmp_path / "ngrams"))
    spec = EmbedTextSpec(records=sets, output=str(tmp_path / "emb"), precision="fp32", shard_rows=shard_rows)
    rows, doubles = embedded(spec)
    found = [(row["text"], row["score"], row["n"]) for row in rows]
    lines = [("red fox", 1.0, None), ("a blue hen sings", 2.0, None), ("dog", 3.0, None)]
    assert found == [*lines, ("blue hen", 0.5, 2), ("hen", 3.0, 1)] and doubles == 2


def test_a_set_without_the_column_or_with_another_type_is_refused(tmp_path: Path) -> None:
    write_records(tmp_path / "a", ["x"], own=[1])
    write_records(tmp_path / "b", ["y"], own=["one"])
    sets = (str(tmp_path / "a"), str(tmp_path / "b"))
    with pytest.raises(InputError, match="The column 'own' is string in '.*/b' and int64 in the other records"):
        plan_tasks(EmbedTextSpec(records=sets, output=str(tmp_path / "e")))
    write_records(tmp_path / "c", ["z"], caption=["c"])
    with pytest.raises(SpecError, match="no column 'caption'"):
        plan_tasks(EmbedTextSpec(records=(str(tmp_path / "c"), sets[0]), text_column="caption", output="e"))


@given(st.lists(st.lists(st.integers(0, 30), max_size=20), min_size=1, max_size=4), st.integers(1, 50))
def test_doubled_rows_are_those_that_a_set_finds(tmp_path_factory: Any, files: list[list[int]], at_once: int) -> None:
    folder = tmp_path_factory.mktemp("ids")
    for number, values in enumerate(files):
        ids = [schema.record_id(str(value)) for value in values]
        pq.write_table(pa.table({"record_id": pa.array(ids, pa.string())}), folder / f"{number}.parquet")
    seen: set[int] = set()
    wanted = {}
    for number, values in enumerate(files):
        rows = [row for row, value in enumerate(values) if value in seen or seen.add(value)]  # type: ignore[func-returns-value]
        wanted |= {str(folder / f"{number}.parquet"): rows} if rows else {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(doubled, "IDS_AT_ONCE", at_once)
        found = doubled_rows([str(folder / f"{number}.parquet") for number in range(len(files))])
    assert {uri: rows.tolist() for uri, rows in found.items()} == wanted


def test_ids_that_are_not_ours_are_numbers_too() -> None:
    ours = schema.record_id("x")
    found = id_numbers(pa.array([ours, "0-1", " " * 32, "0-1", None]))
    assert found.shape == (5, 2) and (found[0] == id_numbers(pa.array([ours]))[0]).all()
    assert (found[1] == found[3]).all() and len({tuple(row) for row in found.tolist()}) == 4


def both(folder: Path, **second: Any) -> IndexSpec:
    """Two sets of 30 texts, the second as `second` says, and the spec of an index over both."""
    write_embeddings(folder / "a", VECTORS[:30], numbered(30, "a"), shard_rows=20)
    given: dict[str, Any] = {"vectors": VECTORS[30:], "names": numbered(30, "b"), "shard_rows": 20, **second}
    write_embeddings(folder / "b", **given)
    return IndexSpec(embeddings=(str(folder / "a"), str(folder / "b")), output=str(folder / "index"))


def test_one_index_answers_for_both_sets(tmp_path: Path) -> None:
    spec = both(tmp_path)
    build_index(no_spark, spec)
    names = numbered(30, "a") + numbered(30, "b")
    for query in unit_vectors(5, seed=3):
        assert found_texts(tmp_path / "index", query, 60) == true_texts(VECTORS, names, query, np.arange(60))
    manifest = read_manifest(str(tmp_path / "index"))
    assert [manifest.inputs[name]["uri"] for name in ("embeddings", "embeddings-2")] == list(spec.embeddings)
    assert build_index(no_spark, spec).created == manifest.created
    write_embeddings(tmp_path / "c", unit_vectors(9, seed=9), numbered(9, "c"))
    build_index(no_spark, IndexSpec(embeddings=str(tmp_path / "c"), output=spec.output, append=True))
    assert len(found_texts(tmp_path / "index", VECTORS[0], 99)) == 69
    Searcher.open(spec.output).close()


@pytest.mark.parametrize(
    ("second", "error", "said"),
    [
        (
            {"names": ["a 7", *numbered(29, "b")]},
            InputError,
            f"1 records .* such as '{schema.record_id('a 7')}' in .*/b",
        ),
        ({"modality": "image"}, InputError, "'.*/a' holds texts and the embeddings in '.*/b' are of images"),
        (
            {"encoder": {**ENCODER, "model": "other", "weights_sha256": "v"}},
            ModelError,
            "/a' was built with 'fake' and",
        ),
    ],
)
def test_sets_that_do_not_go_together_are_one_sentence(
    tmp_path: Path, second: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        build_index(no_spark, both(tmp_path, **second))
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize("append", [False, True])
def test_pictures_prepared_in_another_way_are_refused(tmp_path: Path, append: bool) -> None:
    for name, look in {"a": {"orientation": "apply", "background": "white"}, "b": {}}.items():
        vectors = VECTORS[:30] if name == "a" else VECTORS[30:]
        encoder = {**ENCODER, **look}
        write_embeddings(tmp_path / name, vectors, numbered(30, name), modality="image", encoder=encoder)
    names = ["a"] if append else ["a", "b"]
    spec = IndexSpec(embeddings=tuple(str(tmp_path / name) for name in names), output=str(tmp_path / "index"))
    said = "holds pictures with --orientation apply and .*/b' have --orientation ignore"
    if append:
        build_index(no_spark, spec)
        spec = IndexSpec(embeddings=str(tmp_path / "b"), output=spec.output, append=True)
    with pytest.raises(InputError, match=said):
        build_index(no_spark, spec)
