"""Sidecars of tags: beside the picture, whatever its name; none is an error."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa

from clip_spark.analysis.sidecars import write_sidecars
from clip_spark.datasets import schema
from clip_spark.pictures.find import find_pictures


def tags(*uris: str) -> pa.Table:
    """Two tags of each picture."""
    return pa.Table.from_pylist(
        [{"uri": uri, "text": text} for uri in uris for text in ("red fox", "a  hen")], schema.TAGS
    )


def test_long_names_have_sidecars_and_the_input_stays_the_same(tmp_path: Path) -> None:
    for name in ("a" * 240 + ".jpg", "b.heic", "b.jxl"):
        (tmp_path / name).write_bytes(b"x")
    before = find_pictures((str(tmp_path),)).fingerprint
    found = write_sidecars(tags(*(str(path) for path in sorted(tmp_path.iterdir()))))
    assert found == {"sidecars": 3} and find_pictures((str(tmp_path),)).fingerprint == before
    assert sorted(path.name for path in tmp_path.glob("*.knn")) == ["a" * 240 + ".knn", "b.heic.knn", "b.jxl.knn"]
    assert (tmp_path / "b.heic.knn").read_text() == "red fox\na hen\n"


def test_what_cannot_have_a_sidecar_is_counted(tmp_path: Path) -> None:
    uris = (f"tar://a.jpg::{tmp_path}/0.tar", f"{tmp_path}/t.parquet#row=3", "http://x/a.jpg")
    assert write_sidecars(tags(*uris)) == {"sidecars_skipped": 3}


def test_the_longest_names_have_sidecars_too(tmp_path: Path) -> None:
    names = ["c" * 251 + ".jpg", "c" * 251 + ".png", "ü" * 127 + "d", "e" * 251 + ".jpg"]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    found = write_sidecars(tags(*(f"{tmp_path}/{name}" for name in names)))
    assert found == {"sidecars": 4, "sidecars_under_shortened_names": 3}
    written = sorted(path.name for path in tmp_path.glob("*.knn"))
    assert len(written) == 4 and written[2] == "e" * 251 + ".knn"
    assert all(re.fullmatch(r"(c+|ü+)~[0-9a-f]{8}\.knn", name) for name in written if "e" not in name[:1])
    assert all(len(name.encode()) <= 255 for name in written)
