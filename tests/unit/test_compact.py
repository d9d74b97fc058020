"""Records that were taken down are erased from the files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from clip_spark.commands.clean import delete_each, find_leftovers
from clip_spark.errors import DatasetError
from clip_spark.index.build.build import build_index, preview
from clip_spark.index.change.remove import remove_records
from clip_spark.index.files.layout import read_index
from clip_spark.index.specs import IndexSpec, RemoveSpec
from tests.helpers_embeddings import found_texts, numbered, true_texts, unit_vectors, write_embeddings

ROWS = 300
pytestmark = pytest.mark.spark
VECTORS = unit_vectors(ROWS)
TEXTS = numbered(ROWS)


def no_spark():
    raise AssertionError("no session is needed here")


def build(folder: Path, **options):
    if not (folder / "emb").exists():
        write_embeddings(folder / "emb", VECTORS, TEXTS, shard_rows=120)
    spec = IndexSpec(**{"embeddings": str(folder / "emb"), "output": str(folder / "index"), "parts": 2, **options})
    return build_index(no_spark, spec)


def test_erased_records_leave_no_bytes_and_others_answer_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIP_SPARK_GRACE_HOURS", "0")
    build(tmp_path)
    query = unit_vectors(1, seed=8)[0]
    gone = [i for i in range(ROWS) if str(i).endswith("3")]
    spec = RemoveSpec(index=str(tmp_path / "index"), where="text like '%3'", compact=True)
    assert ("removed now", len(gone)) in remove_records(no_spark, spec).rows
    kept = np.setdiff1d(np.arange(ROWS), gone)
    assert found_texts(tmp_path / "index", query, ROWS) == true_texts(VECTORS, TEXTS, query, kept)
    data = b"".join(path.read_bytes() for path in (tmp_path / "index" / "parts").rglob("*") if path.is_file())
    assert b"text 293" not in data and VECTORS[293].tobytes() not in data and VECTORS[294].tobytes() in data
    assert len(list((tmp_path / "index" / "parts").iterdir())) == 1
    assert build(tmp_path).extra["generation"] == read_index(str(tmp_path / "index"))[1].generation


def test_a_second_erasure_leaves_what_is_gone_alone(tmp_path: Path) -> None:
    build(tmp_path)
    for condition in ("text = 'text 7'", "text is null or text = 'text 8'"):
        remove_records(no_spark, RemoveSpec(index=str(tmp_path / "index"), where=condition, compact=True))
    kept = np.setdiff1d(np.arange(ROWS), [7, 8])
    query = unit_vectors(1, seed=8)[0]
    assert found_texts(tmp_path / "index", query, ROWS) == true_texts(VECTORS, TEXTS, query, kept)
    assert preview(read_index(str(tmp_path / "index"))[0])[0].rows[0] == ("vectors", ROWS - 2)


def test_erasure_is_proven_only_when_the_files_before_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIP_SPARK_CACHE", str(tmp_path / "cache"))
    build(tmp_path)
    index = str(tmp_path / "index")
    with pytest.raises(DatasetError, match="still in 1 files"):
        remove_records(no_spark, RemoveSpec(index=index, where="text = 'text 7'", verify=True))
    part = read_index(index)[1].parts[0]
    fetched, before = tmp_path / "cache" / part.sha256, Path(index, part.path).read_bytes()
    fetched.write_bytes(before)
    with pytest.raises(DatasetError, match="still in 3 files"):  # readers may still use the generation before
        remove_records(no_spark, RemoveSpec(index=index, compact=True, verify=True))
    list(delete_each(find_leftovers(index, older_than_hours=0, unfinished=False)))
    assert ("proven to be empty", 1) in remove_records(no_spark, RemoveSpec(index=index, verify=True)).rows
    assert not fetched.exists()
    fetched.write_bytes(before)
    with pytest.raises(DatasetError, match=f"still in 1 files, such as '{fetched}'"):
        remove_records(no_spark, RemoveSpec(index=index, verify=True))
    fetched.unlink()
    copy = tmp_path / "cache" / "a copy of records"
    shutil.copy(write_old_records(tmp_path), copy)
    with pytest.raises(DatasetError, match="a copy of records"):
        remove_records(no_spark, RemoveSpec(index=index, verify=True))


def write_old_records(tmp_path: Path) -> Path:
    """A file of records as it was before the erasure."""
    build(tmp_path, output=str(tmp_path / "other"))
    return next((tmp_path / "other").rglob("00000.arrow"))
