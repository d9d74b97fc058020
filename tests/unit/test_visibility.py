"""filter-ngrams --rank visibility: by definition, whatever the files, and nothing lost in silence."""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clip_spark.datasets import schema
from clip_spark.datasets.embeddings import embedding_table
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.shards import ShardWriter
from clip_spark.datasets.vector_sample import read_sample
from clip_spark.errors import InputError, ModelError, SpecError
from clip_spark.texts.ngrams import filter as step
from clip_spark.texts.ngrams.ranking.visibility import View
from clip_spark.texts.specs import CountSpec, FilterSpec
from tests.helpers_embeddings import ENCODER, FakeSpec, unit_vectors, write_embeddings

TEXTS = [f"text {number}" for number in range(300)]
VECTORS, PICTURES = unit_vectors(300, seed=1), unit_vectors(90, seed=2)
COUNTS = np.arange(300, 0, -1)


def by_definition(pictures: np.ndarray, texts: np.ndarray) -> np.ndarray:
    cosines = pictures.astype(np.float64) @ texts.T.astype(np.float64)
    cosines -= cosines.mean(axis=0)
    nearer = (cosines[:, None, :] > cosines[:, :, None] + 1e-12).sum(axis=2)
    return (10 / (10 + nearer)).mean(axis=0)


def write_ngrams(output: Path, order: np.ndarray, shard_rows: int, encoder: dict[str, str] = ENCODER) -> str:
    """Embedded n-grams as filter-ngrams and embed-text leave them, in some order and files."""
    starts = range(0, len(order), shard_rows)
    spec = FakeSpec(output=str(output), seed=shard_rows)
    run = begin_run(str(output), Plan.of("embeddings", spec, {}, len(starts)), overwrite=False)
    records = pa.schema([("record_id", pa.string()), *schema.COUNTS])
    for number, start in enumerate(starts):
        rows = order[start : start + shard_rows]
        texts = [TEXTS[row] for row in rows]
        ids = [schema.record_id(text) for text in texts]
        columns = {"record_id": ids, "n": [2] * len(rows), "text": texts, "count": COUNTS[rows]}
        folders = {"embeddings": schema.EMBEDDINGS, "records": records}
        with ShardWriter(run.output, run.plan.fingerprint, number, folders) as writer:
            writer.write("embeddings", embedding_table(ids, VECTORS[rows]))
            writer.write("records", pa.table(columns).cast(records))
            writer.finish()
    return run.commit({"encoder": encoder, "modality": "text", "dim": VECTORS.shape[1]}).uri


@pytest.fixture
def counts(tmp_path: Path) -> str:
    """Counts of all these n-grams, of eleven that nobody has embedded, and of a word."""
    output = tmp_path / "counts"
    spec = CountSpec(corpus=("nowhere",), output=str(output))
    run = begin_run(str(output), Plan.of("counts", spec, {}, 1), overwrite=False)
    rows = [*zip([2] * 311, [*TEXTS, *(f"other {n}" for n in range(11))], [*COUNTS, *[1] * 11], strict=True)]
    table = pa.table([pa.array(column) for column in zip(*rows, strict=True)], names=schema.COUNTS.names)
    with ShardWriter(run.output, run.plan.fingerprint, 0, {"counts": schema.COUNTS}) as writer:
        writer.write("counts", table.cast(schema.COUNTS))
        writer.finish()
    return run.commit({"orders": {"2": {"survivors": 311, "min_count": 1}}, "tokens": 1000}).uri


@pytest.fixture(autouse=True)
def _no_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_after_the_other(spark: Any, name: str, items: Any, work: Any, merge: Any) -> Any:
        return reduce(merge, map(work, items))

    monkeypatch.setattr(step, "reduce_items", one_after_the_other)


def pictures_at(place: Path, **options: Any) -> str:
    names = [f"{number}.jpg" for number in range(len(PICTURES))]
    return write_embeddings(place, PICTURES, names, **{"modality": "image", **options}).uri


def ranked(tmp_path: Path, counts: str, texts: str, pictures: str, **options: Any) -> Manifest:
    output = str(tmp_path / f"out{len(list(tmp_path.iterdir()))}")
    spec = FilterSpec(counts=counts, output=output, rank="visibility", texts=texts, pictures=pictures, **options)
    return step.filter_ngrams(lambda: None, spec)  # type: ignore[arg-type, return-value]


def rows_of(manifest: Manifest) -> list[dict[str, Any]]:
    return pa.concat_tables([pq.read_table(uri) for uri in manifest.files("records")]).to_pylist()


def test_visibility_is_that_of_the_definition() -> None:
    view = View.of(PICTURES, VECTORS, len(VECTORS))
    assert np.abs(view.visibility(VECTORS) - by_definition(PICTURES, VECTORS)).max() < 0.02
    order = [np.argsort(-scores)[:50] for scores in (view.visibility(VECTORS), by_definition(PICTURES, VECTORS))]
    assert len(np.intersect1d(*order)) >= 48


def test_what_is_near_to_all_pictures_alike_is_hardly_visible() -> None:
    everywhere = PICTURES.mean(axis=0, keepdims=True) / np.linalg.norm(PICTURES.mean(axis=0))
    texts = np.concatenate([VECTORS, everywhere.astype(np.float32)])
    assert (PICTURES @ texts.T).argmax(axis=1).tolist().count(300) > 20  # of 90
    found = View.of(PICTURES, texts, 301).visibility(texts)
    assert (found > found[300]).sum() > 75


def test_a_sample_of_texts_tells_nearly_the_same() -> None:
    texts, pictures = unit_vectors(6000, seed=5), unit_vectors(150, seed=6)
    whole = View.of(pictures, texts, 6000).visibility(texts)
    sampled = View.of(pictures, texts[::3], 6000).visibility(texts)
    assert np.corrcoef(whole, sampled)[0, 1] > 0.99 and sampled.mean() == pytest.approx(whole.mean(), rel=0.1)


def test_files_and_their_order_change_nothing(tmp_path: Path, counts: str) -> None:
    pictures = pictures_at(tmp_path / "p"), pictures_at(tmp_path / "q", shard_rows=7)
    one = write_ngrams(tmp_path / "one", np.arange(300), 300)
    many = write_ngrams(tmp_path / "many", np.random.default_rng(4).permutation(300), 13)
    found = [rows_of(ranked(tmp_path, counts, *each, top=40)) for each in zip((one, many), pictures, strict=True)]
    assert found[0] == found[1] and len(found[0]) == 40
    expected = np.argsort(-by_definition(PICTURES, VECTORS) * np.sqrt(COUNTS))[:40]
    assert len({row["text"] for row in found[0]} & {TEXTS[at] for at in expected}) >= 38
    assert [row["count"] for row in found[0]] == [int(COUNTS[TEXTS.index(row["text"])]) for row in found[0]]


def test_every_ngram_of_the_counts_is_accounted_for(tmp_path: Path, counts: str) -> None:
    texts, pictures = write_ngrams(tmp_path / "t", np.arange(300), 100), pictures_at(tmp_path / "p")
    dropped = ranked(tmp_path, counts, texts, pictures, top=40, min_count=51).extra["dropped"]
    assert dropped == {"not embedded": {"2": 11}, "below min count": {"2": 50}, "below the top": {"2": 210}}


def test_samples_are_of_the_smallest_ids(tmp_path: Path) -> None:
    dataset = write_embeddings(tmp_path / "t", VECTORS, TEXTS, shard_rows=70)
    order = np.argsort([schema.record_id(text) for text in TEXTS])
    assert (read_sample(dataset, 50) == VECTORS[order[:50]]).all() and len(read_sample(dataset, 1000)) == 300


def test_what_cannot_be_ranked_is_refused(tmp_path: Path, counts: str) -> None:
    texts, pictures = write_ngrams(tmp_path / "t", np.arange(300), 100), pictures_at(tmp_path / "p")
    with pytest.raises(InputError, match="--pictures is .* texts"):
        ranked(tmp_path, counts, texts, texts)
    with pytest.raises(ModelError, match="use the same model"):
        ranked(tmp_path, counts, texts, pictures_at(tmp_path / "q", encoder={**ENCODER, "weights_sha256": "x"}))
    with pytest.raises(InputError, match="have no count: they are not of n-grams"):
        ranked(tmp_path, counts, write_embeddings(tmp_path / "u", VECTORS, TEXTS).uri, pictures)
    assert not list(tmp_path.glob("out*"))
    for wrong in ({"texts": texts}, {"rank": "visibility", "texts": texts}):
        with pytest.raises(SpecError, match="--pictures"):
            FilterSpec(counts=counts, output="o", **wrong)
    with pytest.raises(SpecError, match="--top"):
        FilterSpec(counts=counts, output="o", rank="visibility", texts=texts, pictures=pictures, top=0)
