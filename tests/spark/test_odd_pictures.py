"""A folder of odd pictures through the whole step: rows + rejects + left out are all that an independent look finds."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from clip_spark import storage
from clip_spark.datasets.manifest import REPORT, read_manifest
from clip_spark.embed.pictures import embed_images
from clip_spark.embed.specs import EmbedImagesSpec
from clip_spark.errors import ClipSparkError

pytestmark = pytest.mark.spark
FIELD = Path(__file__).resolve().parents[1] / "field" / "inputs"
TARS = ("dots", "cat", "gnulong", "latin", "mac", "bytype")


def odd_folder(folder: Path) -> None:
    """Pictures of all formats, hidden and unreadable files, links that go round, tars and tables."""
    shutil.copytree(FIELD / "formats", folder)
    shutil.copytree(FIELD / "caps", folder / "My Photos [2023], a::b")
    for name in ("Thumbs.db", "LICENSE", ".DS_Store", "_SUCCESS", "film.mp4", "._a.jpg", "a.jpg.knn"):
        (folder / name).write_bytes(b"nothing to see")
    with open(os.path.join(os.fsencode(folder), b"caf\xe9.jpg"), "wb") as stream:
        stream.write((folder / "exif6.jpg").read_bytes())
    (folder / "round").symlink_to(folder, target_is_directory=True)
    for name in TARS:
        shutil.copy(FIELD / "arch" / f"{name}.tar", folder)
    shutil.copy(FIELD / "parquet" / "dupurl.parquet", folder)
    (folder / "cut.parquet").write_bytes((folder / "dupurl.parquet").read_bytes()[:-9])


def pieces(folder: Path) -> int:
    """What lies there: files, members of tars and rows of tables; a damaged table and an archive's own file are one or
    none."""
    files = [Path(place) / name for place, _, names in os.walk(folder) for name in names]
    count = 0
    for file in files:
        if file.suffix == ".tar":
            with tarfile.open(file, ignore_zeros=True) as tar:
                count += len(tar.getmembers())
        elif file.name == "dupurl.parquet":
            count += pq.read_metadata(file).num_rows
        else:
            count += 1
    return count


def texts_that_are_used(folder: Path) -> int:
    """Captions and metadata that became a part of a picture's record: as the field notes have them, counted by hand."""
    beside = {"a.txt", "b.TXT", "c.txt", "d.txt", "e.jpg.txt", "f.caption", "g.json", "h.json", "i.json", "j.txt"}
    in_tars = {"dots": 3, "cat": 2, "gnulong": 1, "latin": 1, "mac": 1, "bytype": 0}
    assert beside <= {path.name for path in (folder / "My Photos [2023], a::b").iterdir()}
    return len(beside) + sum(in_tars.values())


def test_everything_in_a_folder_of_odd_pictures_is_accounted_for(spark: SparkSession, tmp_path: Path) -> None:
    folder, output = tmp_path / "in", str(tmp_path / "emb")
    odd_folder(folder)
    spec = EmbedImagesSpec(images=(str(folder),), output=output, precision="fp32", max_rejects=0.05)
    with pytest.raises(ClipSparkError, match="more than --max-rejects 0.05; the others are embedded"):
        embed_images(lambda: spark, spec)
    manifest = read_manifest(output)
    report = storage.read_json(manifest.locate(REPORT))
    left_out = sum(row["files"] for row in report["left_out"])
    rejected = sum(manifest.rejects.values())
    assert manifest.rows + rejected + left_out == pieces(folder) - texts_that_are_used(folder)
    assert {"cut short", "damaged", "empty", "not a picture", "damaged parquet", "its name is not UTF-8"} <= set(
        manifest.rejects
    )
    records = [row for uri in manifest.files("records") for row in pq.read_table(uri).to_pylist()]
    assert len({row["record_id"] for row in records}) == manifest.rows and {row["url"] for row in records} > {None}
    with pytest.raises(ClipSparkError, match="more than --max-rejects"):
        embed_images(lambda: spark, spec)
    kept = EmbedImagesSpec(**{**vars(spec), "max_rejects": 1.0})
    assert embed_images(lambda: spark, kept).created == manifest.created
