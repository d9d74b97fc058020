"""Tars from the field: names of every kind, what is no tar at all, and metadata called as records' columns are."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from clip_spark.pictures.columns import metadata_columns
from clip_spark.pictures.find import find_pictures, plan_shards
from clip_spark.pictures.items import Picture
from clip_spark.pictures.records import PictureRow, records_table
from clip_spark.pictures.sources import FileEntry

INPUTS = Path(__file__).resolve().parents[1] / "field" / "inputs"
JPEG = (INPUTS / "lists" / "list_rel" / "pics" / "a.jpg").read_bytes()
LONG = f"d/{'x' * 150}"
A_TAR = [("a.jpg", JPEG), ("a.txt", b"one")]


def tar_of(members: list[tuple[str, bytes]], form: int = tarfile.GNU_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "captions", "others"),
    [
        (tar_of([("A.JPG", JPEG), ("A.TXT", b"upper")]), ["upper"], []),
        (tar_of([(f"{LONG}.jpg", JPEG), (f"{LONG}.txt", b"long")], tarfile.PAX_FORMAT), ["long"], []),
        (tar_of([(f"{LONG}.jpg", JPEG), (f"{LONG}.txt", b"long")]), ["long"], []),
        (tar_of([("a\\b.jpg", JPEG), ("a\\b.txt", b"windows")]), ["windows"], []),
        (tar_of([*A_TAR, *A_TAR]), ["one"], ["the same name twice in a tar"] * 2),
        (tar_of([("a.jpg", JPEG), ("a.png", JPEG), ("a.txt", b"both")]), ["both", "both"], []),
        (tar_of([("a.txt", b"one"), ("b.txt", b"two")]), [], ["no picture"] * 2),
        (b"<html>404</html>", [], ["not a tar"]),
        (b"", [], ["damaged tar"]),
    ],
)
def test_a_tar_gives_its_pictures_and_says_what_else_it_holds(
    tmp_path: Path, content: bytes, captions: list[str], others: list[str]
) -> None:
    (tmp_path / "a.tar").write_bytes(content)
    pictures, rest = read(tmp_path / "a.tar")
    assert [picture.caption for picture in pictures] == captions
    assert [item.reason for item in rest] == others
    assert len({picture.uri for picture in pictures}) == len(pictures)


def read(place: Path) -> tuple[list[Picture], list[Any]]:
    """The pictures, and what is left out or rejected."""
    shards = plan_shards(find_pictures((str(place),)), 0)
    items = [item.load() if isinstance(item, FileEntry) else item for each in shards for item in each.part.read()]
    return [item for item in items if isinstance(item, Picture)], [i for i in items if not isinstance(i, Picture)]


@pytest.mark.parametrize(
    ("folder", "wanted", "given"),
    [
        ("i2d/webdataset-jpg", ("caption", "url"), "caption, number 0"),
        ("caps", ("caption",), None),  # the JSON of most has no caption: that of the .txt stays
    ],
)
def test_metadata_called_caption_stands_beside_the_caption(
    folder: str, wanted: tuple[str, ...], given: str | None
) -> None:
    pictures, _ = read(INPUTS / folder)
    shards = plan_shards(find_pictures((str(INPUTS / folder),)), 0)
    table = records_table([PictureRow(each, 4, 3, 9) for each in pictures], metadata_columns(shards, wanted))
    assert len(set(table.schema.names)) == len(table.schema.names)
    assert table["caption"].to_pylist() == [each.caption for each in pictures] and table["caption"][0].is_valid
    assert table["own_caption"][0].as_py() == given
    if "url" in wanted:
        assert len(set(table["url"].to_pylist())) == 6 and len(set(table["record_id"].to_pylist())) == 7
