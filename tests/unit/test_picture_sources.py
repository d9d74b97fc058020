"""Folders, lists, tars and parquet as people bring them: rows + rejects + left out are all that there is."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from clip_spark import storage
from clip_spark.errors import InputError, Rejected, SpecError
from clip_spark.pictures.columns import address_column, common_type, metadata_columns
from clip_spark.pictures.decode import decode
from clip_spark.pictures.find import find_pictures, plan_shards
from clip_spark.pictures.items import LeftOut, Picture, Unreadable, left_out_rows
from clip_spark.pictures.records import PictureRow, misfits, records_table
from clip_spark.pictures.sources import FileEntry
from clip_spark.pictures.stored import read_picture
from clip_spark.pictures.table_rows import TablePart
from clip_spark.pictures.tars import split_uri

FIELD = Path(__file__).resolve().parents[1] / "field" / "inputs"
JPEG = (FIELD / "lists" / "list_rel" / "pics" / "a.jpg").read_bytes()


def read(*inputs: Path | str, **options: Any) -> tuple[list[Picture], Counter[str], Counter[str]]:
    """Pictures, reasons of rejects, and what was left out, of all shards of some inputs."""
    found = find_pictures(tuple(map(str, inputs)), **options)
    pictures, rejects, left_out = [], Counter[str](), Counter(found.left_out)
    for shard in plan_shards(found, 0):
        for item in shard.part.read():
            item = item.load() if isinstance(item, FileEntry) else item
            if isinstance(item, Picture):
                pictures.append(item)
            elif isinstance(item, Unreadable):
                rejects[item.reason] += 1
            else:
                left_out[item.counter] += 1
    for picture in pictures:
        assert read_picture({"uri": picture.uri, "offset": picture.offset, "size": len(picture.data)}) == picture.data
    return pictures, rejects, left_out


def names(pictures: list[Picture]) -> list[str]:
    return [storage.name(picture.uri.split("::")[0]) for picture in pictures]


def tar_of(members: dict[str, bytes], **options: Any) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", **options) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def test_files_without_an_ending_or_with_an_unknown_one_are_looked_into(tmp_path: Path) -> None:
    for name in ("photo", "a.jpg_large", "b.jpg!d", "_DSC0001.JPG", "_raw/c.jpg", "d.jfif", "e.JPE"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(JPEG)
    others = {"LICENSE": b"Copyright", "Thumbs.db": b"x", "a.pdf2": b"%PDF-1.4", ".DS_Store": b"x", "_SUCCESS": b""}
    for name, data in others.items():
        (tmp_path / name).write_bytes(data)
    pictures, rejects, left_out = read(tmp_path)
    assert len(pictures) == 7 and not rejects
    assert left_out == {
        "left out: no ending: no picture: it holds text": 1,
        "left out: db: neither picture nor archive": 1,
        "left out: pdf2: no picture: it holds PDF": 1,
        "left out: no ending: hidden, or Spark's own": 2,
    }
    assert sum(row["files"] for row in left_out_rows(left_out)) == len(others)


def test_stray_files_do_not_change_the_plan(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(JPEG)
    before = find_pictures((str(tmp_path),)).fingerprint
    for name in ("a.knn", "Thumbs.db", "notes.md", "b.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert find_pictures((str(tmp_path),)).fingerprint == before
    (tmp_path / "a.txt").write_bytes(b"a caption of a.jpg")
    assert find_pictures((str(tmp_path),)).fingerprint != before


def test_captions_and_metadata_as_they_are_written(tmp_path: Path) -> None:
    pictures, rejects, left_out = read(FIELD / "caps")
    captions = dict(zip(names(pictures), [picture.caption for picture in pictures], strict=True))
    assert captions == {
        "a.jpg": "a red fox",
        "b.JPG": "a blue hen",
        "c.jpg": "a green cat",
        "d.jpg": "café",
        "e.jpg": "double ending",
        "f.jpg": "kohya caption",
        "g.jpg": "from json",
        "h.jpg": "bom json",
        "i.jpg": None,
        "j.jpg": "shared caption",
        "j.png": "shared caption",
    }
    assert not rejects and left_out == {"left out: txt: no picture of that name beside it": 1}
    metadata = {picture.uri[-5:]: picture.metadata for picture in pictures}
    assert json.loads(metadata["g.jpg"] or "")["score"] is None and metadata["i.jpg"] is None
    assert [len(picture.notices) for picture in pictures if picture.uri.endswith("i.jpg")] == [1]


ROWS = [{"file_name": "a.jpg", "label": "cat", "year": 2001}, {"file_name": "sub/b.jpg", "label": "dog", "year": 2002}]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "json", "list"])
def test_a_table_of_a_folder_gives_its_pictures_their_metadata(tmp_path: Path, kind: str) -> None:
    (tmp_path / "sub").mkdir()
    for row in ROWS:
        (tmp_path / str(row["file_name"])).write_bytes(JPEG)
    (tmp_path / "other.jpg").write_bytes(JPEG)
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "metadata.parquet")
    else:
        by_name = {str(row["file_name"]).removesuffix(".jpg"): {k: row[k] for k in ("label", "year")} for row in ROWS}
        text = {
            "csv": "\ufefffile_name,label,year\n"
            + "".join(f"{r['file_name']},{r['label']},{r['year']}\n" for r in ROWS),
            "jsonl": "".join(json.dumps(row) + "\n" for row in ROWS),
            "json": json.dumps(by_name),
            "list": json.dumps(ROWS),
        }[kind]
        (tmp_path / f"metadata.{kind.replace('list', 'json')}").write_text(text)
    pictures, rejects, left_out = read(tmp_path)
    found = [json.loads(picture.metadata) if picture.metadata else None for picture in pictures]
    assert found == [{"label": "cat", "year": 2001}, None, {"label": "dog", "year": 2002}]
    assert not rejects and not left_out


def test_clippers_labels_are_found() -> None:
    shards = plan_shards(find_pictures((str(FIELD / "clipper"),)), 0)
    columns = metadata_columns(shards, ("label", "year"))
    assert [(column.name, column.type) for column in columns] == [("label", "string"), ("year", "int64")]


def test_damaged_tables_do_not_stop_the_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(JPEG)
    for text in ("{broken", '[{"x": 1}]'):
        (tmp_path / "metadata.json").write_text(text)
        pictures, rejects, _ = read(tmp_path)
        assert len(pictures) == 1 and rejects == {"damaged metadata": 1}


@pytest.mark.parametrize("name", ["list_bom.txt", "list_utf16.txt", "list_rel/list.txt"])
def test_lists_name_their_neighbours_in_any_encoding(name: str) -> None:
    pictures, rejects, _ = read(FIELD / "lists" / name)
    assert names(pictures) == ["a.jpg", "b.jpg"] and not rejects


def test_mistakes_in_a_list_are_rejects_and_doubles_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(JPEG)
    (tmp_path / "0.tar").write_bytes(tar_of({"1.jpg": JPEG}))
    (tmp_path / "list.txt").write_text(f"a.jpg\nhtpp://x/b.jpg\n./a.jpg\n{tmp_path}/a.jpg\ngone.jpg\n0.tar\n")
    pictures, rejects, left_out = read(tmp_path / "list.txt")
    assert names(pictures) == ["a.jpg", "1.jpg"] and rejects == {"unreadable": 1, "missing": 1}
    assert left_out == {"left out: jpg: given twice: read once": 2}


def test_overlapping_inputs_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.jpg").write_bytes(JPEG)
    (tmp_path / "sub" / "0.tar").write_bytes(tar_of({"1.jpg": JPEG}))
    pictures, rejects, left_out = read(tmp_path, tmp_path / "sub", tmp_path / "sub" / "a.jpg")
    assert len(pictures) == 2 and not rejects and left_out.total() == 3


def test_odd_names_of_files_and_folders(tmp_path: Path) -> None:
    odd = ("My Photos [2023]", "Paris, France", "a::b", "hash#1", "q?x", "star*", "sp ace", "tar::x")
    for name in odd:
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.jpg").write_bytes(JPEG)
        (tmp_path / name / "0.tar").write_bytes(tar_of({f"{name}.jpg": JPEG}))
        assert len(read(tmp_path / name)[0]) == 2
    assert len(read(tmp_path)[0]) == 2 * len(odd)


def test_names_that_are_not_utf8_are_rejects_in_folders_and_read_in_tars(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "ok.jpg").write_bytes(JPEG)
    with open(os.path.join(os.fsencode(folder), b"caf\xe9.jpg"), "wb") as stream:
        stream.write(JPEG)
    pictures, rejects, _ = read(folder)
    assert names(pictures) == ["ok.jpg"] and rejects == {"its name is not UTF-8": 1}
    for name in ("latin.tar", "latin2.tar"):
        pictures, rejects, _ = read(FIELD / "arch" / name)
        assert len(pictures) == 1 and "caf\\xe9" in pictures[0].uri and not rejects


def test_linked_folders_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.jpg").write_bytes(JPEG)
    (tmp_path / "in").mkdir()
    for name in ("one", "two"):
        (tmp_path / "in" / name).symlink_to(tmp_path / "real")
    (tmp_path / "real" / "loop").symlink_to(tmp_path / "in")
    assert names(read(tmp_path / "in")[0]) == ["a.jpg"]


DOTS = {"0.left.png": b"\x89PNG\r\n\x1a\n1", "0.right.png": b"\x89PNG\r\n\x1a\n2", "0.json": b'{"a": 1}'}


def test_tars_of_the_field() -> None:
    expected = {
        "bytype": (["0.jpg", "1.jpg"], [None, None], {"no picture": 2}),
        "cat": (["0.jpg", "1.jpg"], ["0", "1"], {}),
        "dots": (["22.05.jpg", "a.v2.jpg", "plain.jpg"], None, {}),
        "gz_named": (["0.jpg"], ["0"], {}),
        "mac": (["0.jpg"], ["real"], {}),
    }
    for name, (members, captions, rejected) in expected.items():
        pictures, rejects, left_out = read(FIELD / "arch" / f"{name}.tar")
        assert names(pictures) == members and rejects == rejected, name
        assert all(picture.caption for picture in pictures) if captions is None else True
        assert left_out.total() == (2 if name == "mac" else 0)
    assert len(read(FIELD / "arch" / "gnulong.tar")[0]) == 1


def test_a_key_with_several_pictures_gives_each_the_texts_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "0.tar").write_bytes(tar_of({**DOTS, "0.left.txt": b"left", "1.jpg": JPEG, "1.cls": b"3"}))
    pictures, rejects, left_out = read(tmp_path)
    assert names(pictures) == ["0.left.png", "0.right.png", "1.jpg"] and not rejects
    assert [picture.caption for picture in pictures] == ["left", None, None]
    assert [picture.metadata for picture in pictures] == ['{"a": 1}', '{"a": 1}', None]
    assert left_out == {LeftOut("cls", "no picture, caption or metadata, in a tar").counter: 1}


@pytest.mark.parametrize("name", ["0.tar", "0.tgz", "0.tar.gz"])
def test_compressed_and_cut_tars_keep_what_was_read(tmp_path: Path, name: str) -> None:
    noise = os.urandom(5000)
    whole = tar_of({"1.jpg": JPEG, "1.txt": b"one", "2.jpg": JPEG + noise, "3.jpg": JPEG + noise[::-1]})
    (tmp_path / name).write_bytes(gzip.compress(whole))
    assert names(read(tmp_path)[0]) == ["1.jpg", "2.jpg", "3.jpg"]
    for data in (gzip.compress(whole)[:-4000], whole[:-14000]):
        (tmp_path / name).write_bytes(data)
        pictures, rejects, _ = read(tmp_path)
        assert names(pictures) == ["1.jpg", "2.jpg"] and rejects == {"damaged tar": 1}


OTHERS = {
    "HTML": b"<!DOCTYPE html><html>404</html>\n",
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 9\n",
    "a zip archive": b"PK\x03\x04" + bytes(900),
}


@pytest.mark.parametrize("what", OTHERS)
def test_an_archive_or_table_that_is_something_else_is_told_by_what_it_holds(tmp_path: Path, what: str) -> None:
    names = {"0.tar": "not a tar", "1.tar.gz": "not a tar", "2.parquet": "not a table", "3.jpg": "not a picture"}
    for name, reason in names.items():
        data = OTHERS[what] if name != "1.tar.gz" else gzip.compress(OTHERS[what])
        (tmp_path / name).write_bytes(data)
        (shard,) = plan_shards(find_pictures((str(tmp_path / name),)), 0)
        (item,) = shard.part.read()
        if name == "3.jpg":
            with pytest.raises(Rejected, match=f"it holds {what}") as caught:
                decode(item.load().data)
            assert caught.value.reason == reason
        else:
            assert item.reason == reason and f"it holds {what}" in item.message


def test_damage_between_members_is_not_taken_for_the_end(tmp_path: Path) -> None:
    data = bytearray(tar_of({"1.jpg": JPEG, "2.jpg": JPEG}))
    at = data.index(b"2.jpg")
    data[at : at + 200] = b"\xff" * 200
    (tmp_path / "0.tar").write_bytes(data)
    pictures, rejects, _ = read(tmp_path)
    assert names(pictures) == ["1.jpg"] and rejects == {"damaged tar": 1}


def test_links_and_doubles_in_tars(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, kind in (("a.jpg", tarfile.REGTYPE), ("b.jpg", tarfile.LNKTYPE), ("c.jpg", tarfile.SYMTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "a.jpg"
            info.size = len(JPEG) if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(JPEG) if info.size else None)
        tar.addfile(info := tarfile.TarInfo("a.jpg"), None)
    (tmp_path / "0.tar").write_bytes(stream.getvalue())
    pictures, rejects, left_out = read(tmp_path)
    assert names(pictures) == ["a.jpg", "b.jpg"] and pictures[1].data == JPEG and not rejects
    assert sorted(left_out) == [
        "left out: jpg: a link or device in a tar",
        "left out: jpg: the same name twice in a tar",
    ]


def test_a_members_name_and_its_tar_are_told_apart() -> None:
    assert split_uri("tar://a::b.jpg::/x/y::z.tar") == ("a::b.jpg", "/x/y::z.tar")
    assert split_uri("tar://a.jpg::s3://b/0.tar") == ("a.jpg", "s3://b/0.tar")


def test_parquet_of_the_field_is_read_file_by_file() -> None:
    pictures, rejects, _ = read(FIELD / "parquet")
    in_rows = [picture for picture in pictures if "#row=" in picture.uri]
    assert rejects["damaged parquet"] == 1 and len(in_rows) == 4 + 3 + 4 + 3 + 4
    assert len({picture.uri for picture in pictures}) == len(pictures)
    twice = [p for p in in_rows if "dupurl" in p.uri]
    assert len({json.loads(picture.metadata or "").get("url") for picture in twice}) < len(twice)


def test_one_parquet_that_is_cut_short_stops_no_other_and_is_named() -> None:
    for name, rows in {"0": 4, "2": 3, "large": 4, "hf_img": 3, "dupurl": 4}.items():
        pictures, rejects, _ = read(FIELD / "parquet" / f"{name}.parquet")
        assert len(pictures) == rows and not rejects, name
    (shard,) = plan_shards(find_pictures((str(FIELD / "parquet" / "1.parquet"),)), 0)
    (item,) = shard.part.read()
    assert (item.reason, Path(item.uri).name) == ("damaged parquet", "1.parquet")


@pytest.mark.parametrize("folder", ["parquet-webp", "webdataset-jpg"])
def test_img2dataset_folders_are_read_as_what_they_are(folder: str) -> None:
    pictures, rejects, left_out = read(FIELD / "i2d" / folder)
    assert rejects == ({"no image bytes": 1} if folder == "parquet-webp" else {}) and len(pictures) == 7
    assert sum(left_out.values()) == (2 if folder == "parquet-webp" else 4)


def test_parquet_holds_pictures_in_many_ways(tmp_path: Path) -> None:
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics" / "a.jpg").write_bytes(JPEG)
    text = base64.b64encode(JPEG).decode()
    cells: dict[str, list[Any]] = {
        "img": [JPEG, None],
        "images": [[JPEG, JPEG], []],
        "image": [text, f"data:image/jpeg;base64,{text}"],
        "file_name": ["pics/a.jpg", "pics/gone.jpg"],
        "Picture": [{"bytes": None, "path": "pics/a.jpg"}, {"bytes": JPEG, "path": "x.jpg"}],
    }
    expected = {"img": (1, {"no image bytes": 1}), "images": (2, {"no image bytes": 1}), "image": (2, {})}
    expected |= {"file_name": (1, {"missing": 1}), "Picture": (2, {})}
    for column, values in cells.items():
        pq.write_table(pa.table({"n": [1, 2], column: values}), tmp_path / "t.parquet")
        pictures, rejects, _ = read(tmp_path / "t.parquet")
        assert (len(pictures), rejects) == expected[column], column
        assert all(picture.data == JPEG for picture in pictures)
    pq.write_table(pa.table({"jpg": [b"no"], "mine": [JPEG]}), tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet", image_column="mine")[0][0].data == JPEG
    assert read(tmp_path / "t.parquet", image_column="theirs")[1] == {"no image bytes": 1}


def test_tables_of_other_systems_are_read_as_what_they_are(tmp_path: Path) -> None:
    deltalake = pytest.importorskip("deltalake")
    for mode, key in (("error", "old"), ("overwrite", "new")):
        deltalake.write_deltalake(tmp_path / "delta", pa.table({"image": [JPEG], "key": [key]}), mode=mode)
    pictures = read(tmp_path / "delta")[0]
    assert [json.loads(picture.metadata or "") for picture in pictures] == [{"key": "new"}]
    (tmp_path / "hive/lang=en/year=2020").mkdir(parents=True)
    pq.write_table(pa.table({"image": [JPEG], "year": [7]}), tmp_path / "hive/lang=en/year=2020/a.parquet")
    pictures = read(tmp_path / "hive")[0]
    assert [json.loads(picture.metadata or "") for picture in pictures] == [{"lang": "en", "year": 7}]
    (tmp_path / "ice/metadata").mkdir(parents=True)
    (tmp_path / "ice/metadata/v1.metadata.json").write_text("{}")
    with pytest.raises(InputError, match="--images '.*/ice' is an Iceberg table"):
        read(tmp_path / "ice")


def test_metadata_columns_have_types_and_names_of_their_own(tmp_path: Path) -> None:
    table = {"image": [JPEG, JPEG], "bytes": [5, 9001], "width": [1, 2], "tags": [["a"], []], "caption": ["x", "y"]}
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    shards = plan_shards(find_pictures((str(tmp_path),), "image"), 0)
    columns = metadata_columns(shards, ("bytes", "width", "tags", "caption"))
    rows = [PictureRow(item, 3, 3, 9) for item in TablePart(str(tmp_path / "t.parquet"), "image").read()]  # type: ignore[arg-type]
    found = records_table(rows, columns)
    assert found.column("bytes").to_pylist() == [5, 9001] and found.column("own_width").to_pylist() == [1, 2]
    assert found.column("own_caption").to_pylist() == found.column("caption").to_pylist() == ["x", "y"]
    assert found.column("tags").to_pylist() == ['["a"]', "[]"] and not misfits(rows[0], columns)
    with pytest.raises(SpecError, match="no picture has the key 'byte', of 2 .*keys are bytes, .*Did you mean 'bytes'"):
        metadata_columns(shards, ("byte",))


def write_arrow(path: Path, table: pa.Table, form: str) -> None:
    """A table as pandas' Feather, as an Arrow file, or as the stream that datasets caches."""
    if form == "feather":
        pyarrow.feather.write_feather(table, path, compression="lz4")
        return
    with (pa.ipc.new_file if form == "file" else pa.ipc.new_stream)(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=2)


@pytest.mark.parametrize("form", ["feather", "file", "stream"])
def test_arrow_files_hold_pictures_as_parquet_does(tmp_path: Path, form: str) -> None:
    cells = [{"bytes": JPEG, "path": "x.jpg"}, None, {"bytes": None, "path": "gone.jpg"}, {"bytes": JPEG, "path": None}]
    table = pa.table({"image": cells, "label": [1, 2, 3, 4]})
    write_arrow(tmp_path / f"data.{'feather' if form == 'feather' else 'arrow'}", table, form)
    (tmp_path / "state.json").write_text("{}")
    pictures, rejects, left_out = read(tmp_path)
    assert [storage.name(picture.uri).partition("#")[2] for picture in pictures] == ["row=0", "row=3"]
    assert rejects == {"no image bytes": 1, "missing": 1} and left_out.total() == 1
    assert [json.loads(picture.metadata or "")["label"] for picture in pictures] == [1, 4]


@pytest.mark.parametrize("form", ["feather", "file", "stream"])
def test_a_damaged_arrow_file_is_a_reject_and_the_others_are_read(tmp_path: Path, form: str) -> None:
    write_arrow(tmp_path / "a.arrow", pa.table({"image": [JPEG] * 5}), form)
    whole = (tmp_path / "a.arrow").read_bytes()
    (tmp_path / "b.arrow").write_bytes(whole[: len(whole) * 2 // 3])
    (tmp_path / "c.arrow").write_bytes(b"")
    pictures, rejects, _ = read(tmp_path)
    assert len(pictures) >= 5 and rejects == {"damaged Arrow file": 2}
    assert {storage.name(picture.uri)[0] for picture in pictures} <= {"a", "b"}


def test_a_stream_that_is_cut_between_batches_and_a_table_without_rows_are_told(tmp_path: Path) -> None:
    write_arrow(tmp_path / "a.arrow", pa.table({"image": [JPEG] * 4}), "stream")
    (tmp_path / "b.arrow").write_bytes((tmp_path / "a.arrow").read_bytes()[:-8])
    pq.write_table(pa.table({"image": pa.array([], pa.binary())}), tmp_path / "c.parquet")
    pictures, rejects, left_out = read(tmp_path)
    assert len(pictures) == 8 and rejects == {"damaged Arrow file": 1}
    assert left_out == {"left out: parquet: a table without rows": 1}


def test_columns_inside_others_are_named_by_a_path(tmp_path: Path) -> None:
    rows = [{"sample": {"photo": JPEG, "info": {"year": 1999}}, "note": "x"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    pictures, rejects, _ = read(tmp_path / "t.parquet", image_column="sample.photo")
    assert len(pictures) == 1 and not rejects
    shards = plan_shards(find_pictures((str(tmp_path / "t.parquet"),), "sample.photo"), 0)
    (column,) = metadata_columns(shards, ("sample.info.year",))
    assert records_table([PictureRow(pictures[0], 3, 3, 9)], [column]).column("sample_info_year").to_pylist() == [1999]


def test_rows_with_one_address_are_records_of_their_own_and_the_address_a_column(tmp_path: Path) -> None:
    table = pa.table({"jpg": [JPEG, JPEG], "URL": ["http://h/1.jpg"] * 2, "TEXT": ["a", "b"]})
    pq.write_table(table, tmp_path / "t.parquet")
    (tmp_path / "a.jpg").write_bytes(JPEG)
    shards = plan_shards(find_pictures((str(tmp_path),)), 0)
    columns = address_column(shards, ())
    pictures, _, _ = read(tmp_path)
    found = records_table([PictureRow(picture, 3, 3, 9) for picture in pictures], columns)
    assert found.column("url").to_pylist() == [None, "http://h/1.jpg", "http://h/1.jpg"]
    assert len(set(found.column("record_id").to_pylist())) == 3
    assert not address_column(shards, metadata_columns(shards, ("URL",)))
    assert not address_column(shards[:1], ())


def test_types_are_those_that_hold_all_values() -> None:
    kinds = {"int64": [1, None], "double": [1, 2.5], "bool": [True], "string": [1, "a"]}
    assert {kind: common_type(values) for kind, values in kinds.items()} == {kind: kind for kind in kinds}
    assert common_type([None]) == common_type([[1]]) == common_type([True, 1]) == "string"


def test_a_folder_without_pictures_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    with pytest.raises(InputError, match="1 mp4: neither picture nor archive"):
        find_pictures((str(tmp_path),))
