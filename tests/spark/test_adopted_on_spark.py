"""An adopted index on Spark: tags, calibration, more vectors, and erasure, as of any other index."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest

from clip_spark.analysis.specs import TagSpec
from clip_spark.analysis.tag_images import tag_images
from clip_spark.commands.clean import delete_each, find_leftovers
from clip_spark.encoders import EncoderSpec, load_encoder
from clip_spark.index.build.build import build_index
from clip_spark.index.change.calibrate import calibrate_index
from clip_spark.index.change.remove import remove_records
from clip_spark.index.files.layout import read_index
from clip_spark.index.imported.adopt import adopt_index
from clip_spark.index.imported.spec import AdoptSpec
from clip_spark.index.specs import CalibrateSpec, IndexSpec, RemoveSpec
from tests.helpers_adopted import write_foreign
from tests.helpers_embeddings import found_texts, numbered, unit_vectors, write_embeddings

pytestmark = pytest.mark.spark
ROWS, DIM = 1500, 256


def adopted(folder: Path, key: str, vectors: np.ndarray) -> str:
    write_foreign(folder / "in/text.index", key, vectors)
    (folder / "in/entries.txt").write_text("".join(f"{text}\n" for text in numbered(len(vectors))))
    spec = AdoptSpec(index=str(folder / "in"), model="demo", output=str(folder / "index"))
    return adopt_index(SimpleNamespace, spec).uri


@pytest.mark.parametrize("key", ["HNSW16", "IVF16_HNSW8,SQ8"])
def test_pictures_are_tagged_and_hubs_are_corrected(spark, tmp_path: Path, key: str) -> None:
    vectors, pictures = unit_vectors(ROWS, DIM), unit_vectors(200, DIM, seed=4)
    index, encoder = adopted(tmp_path, key, vectors), load_encoder(EncoderSpec("demo")).info()
    emb = write_embeddings(tmp_path / "emb", pictures, numbered(200, "p"), modality="image", encoder=encoder)
    made = tag_images(lambda: spark, TagSpec(embeddings=emb.uri, index=index, output=str(tmp_path / "tags"), k=5))
    rows = [row for uri in made.files("tags") for row in pq.read_table(uri).to_pylist()]
    found = {(row["uri"], row["text"]) for row in rows}
    best = np.argsort(-(pictures @ vectors.T), axis=1)[:, :5]
    true = {(f"p {row}", f"text {one}") for row, mine in enumerate(best.tolist()) for one in mine}
    assert len(found) == 1000 and len(found & true) >= 900
    calibrate_index(lambda: spark, CalibrateSpec(index=index, queries=emb.uri))
    assert read_index(index)[0].extra["calibration"]["asked_by"] == "image"
    assert found_texts(Path(index), vectors[7], 1) == ["text 7"]


def test_lists_take_more_and_lose_what_is_erased(spark, tmp_path: Path) -> None:
    vectors = unit_vectors(ROWS, DIM)
    index, encoder = (
        adopted(tmp_path, "RR64,IVF16,SQ8", vectors[:1000]),
        load_encoder(EncoderSpec("demo")).info(),
    )
    more = write_embeddings(tmp_path / "more", vectors[1000:], numbered(ROWS)[1000:], encoder=encoder)
    grown = build_index(lambda: spark, IndexSpec(embeddings=(more.uri,), output=index, append=True, recall=0.8))
    assert grown.news == "500 new" and read_index(index)[1].rows == ROWS
    for row in (3, 1003):
        assert f"text {row}" in found_texts(Path(index), vectors[row], 10)
    remove_records(lambda: spark, RemoveSpec(index=index, where="text in ('text 3', 'text 1003')", compact=True))
    list(delete_each(find_leftovers(index, older_than_hours=0, unfinished=False)))
    assert ("removed in all", 2) in remove_records(lambda: spark, RemoveSpec(index=index, verify=True)).rows
    assert "text 3" not in found_texts(Path(index), vectors[3], ROWS)
