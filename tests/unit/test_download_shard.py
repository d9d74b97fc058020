"""A shard of a download: every row accounted for, resumed, retried; the same pictures under the same ids."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from clip_spark.datasets.plan import Plan
from clip_spark.datasets.receipt import Receipt
from clip_spark.pictures.download import checkpoints
from clip_spark.pictures.download.checkpoints import Checkpoints
from clip_spark.pictures.download.earlier import OldShard, own_archive
from clip_spark.pictures.download.outcomes import Outcome
from clip_spark.pictures.download.shard import DownloadWork, columns_of
from clip_spark.pictures.download.slices import NewShard, Slice, read_rows
from clip_spark.pictures.download.specs import DownloadSpec
from clip_spark.pictures.items import Picture
from clip_spark.pictures.stored import read_picture
from clip_spark.pictures.tars import TarPart
from tests.services.picture_web import PictureWeb, picture, picture_web

PLAN = Plan("images", {}, {}, 1).fingerprint


@pytest.fixture(scope="module")
def web() -> Iterator[PictureWeb]:
    with picture_web(1) as found:
        yield found


def write_records(place: Path, urls: list[str]) -> NewShard:
    rows = [
        {"record_id": f"{n:032x}", "kind": "image", "text": f"no {n}", "uri": url, "width": n, "likes": n}
        for n, url in enumerate(urls)
    ]
    pq.write_table(pa.Table.from_pylist(rows), place, row_group_size=7)
    return NewShard(0, (Slice(str(place), 0, len(urls)),))


def work(output: Path, part: NewShard, **options: Any) -> DownloadWork:
    spec = DownloadSpec(records="r", output=str(output), allow_private=True, tries=1, timeout=5.0, **options)
    return DownloadWork(str(output), PLAN, spec, columns_of(pq.read_schema(part.slices[0].uri)), 2)


def rows(output: Path) -> list[dict[str, Any]]:
    return pq.read_table(output / "records/00000.parquet").to_pylist()


def members(output: Path) -> dict[str, bytes]:
    with tarfile.open(output / "images/00000.tar") as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]


def test_every_row_has_a_status_and_its_own_columns(web: PictureWeb, tmp_path: Path) -> None:
    urls = [web.url(f"/ok/{n}.jpg") for n in range(20)] + [web.url("/fault/404/7"), "", web.url("/fault/html/8")]
    part = write_records(tmp_path / "r.parquet", urls)
    receipt = work(tmp_path / "out", part)(part)
    found = rows(tmp_path / "out")
    assert [row["uri"] for row in found] == urls and [row["likes"] for row in found] == list(range(23))
    assert [row["input_width"] for row in found] == list(range(23))
    assert Counter(row["status"] for row in found) == {"ok": 20, "http 404": 1, "no link": 1, "not a picture": 1}
    assert receipt.rows == 23 and receipt.counters["status: ok"] == 20
    assert (found[3]["width"], found[3]["original_width"], found[3]["bytes"]) == (300, 300, len(picture(3)))
    stored = members(tmp_path / "out")
    assert len(stored) == 60 and stored[f"{3:032x}.txt"] == b"no 3"
    image = Image.open(io.BytesIO(stored[f"{3:032x}.jpg"]))
    assert image.size == (300, 200) and abs(image.getpixel((9, 9))[0] - 3) < 3  # type: ignore[index]
    assert not list((tmp_path / "out").glob("_work/**/*.arrow"))


def test_a_tar_of_ours_gives_the_records_ids(web: PictureWeb, tmp_path: Path) -> None:
    part = write_records(tmp_path / "r.parquet", [web.url("/ok/1.jpg")])
    work(tmp_path / "out", part)(part)
    (found,) = TarPart(str(tmp_path / "out/images/00000.tar"), own=True).read()
    assert found.record_id == f"{0:032x}" and found.caption == "no 0" and '"likes": 0' in found.metadata  # type: ignore[union-attr]


def test_parquet_says_what_a_tar_says(web: PictureWeb, tmp_path: Path) -> None:
    urls = [web.url(f"/ok/{n}.jpg") for n in range(70)] + [web.url("/fault/404/7")]
    part = write_records(tmp_path / "r.parquet", urls)
    for format in ("webdataset", "parquet"):
        work(tmp_path / format, part, format=format)(part)
    tar = own_archive(str(tmp_path / "webdataset/images/00000.tar"))
    table = own_archive(str(tmp_path / "parquet/images/00000.parquet"))
    both = [[item for item in archive.read() if isinstance(item, Picture)] for archive in (tar, table)]
    assert [len(found) for found in both] == [70, 70]
    for one, other in zip(*both, strict=True):
        assert (one.record_id, one.data, one.caption) == (other.record_id, other.data, other.caption)
        said, also = (json.loads(item.metadata or "") for item in (one, other))
        del said["fetched"], also["fetched"], also["caption"]
        assert said == also
    assert read_picture({"uri": both[1][66].uri}) == both[0][66].data
    again = OldShard(
        0, 71, *(str(tmp_path / f"parquet/{kind}/00000.parquet") for kind in ("records", "images")), ("http",)
    )
    work(tmp_path / "again", part, format="parquet")(again)
    stored = [pq.read_table(tmp_path / f"{name}/images/00000.parquet") for name in ("parquet", "again")]
    assert stored[0] == stored[1]


def test_a_killed_task_does_not_ask_again_for_what_has_come(
    web: PictureWeb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = write_records(tmp_path / "r.parquet", [web.url(f"/ok/{100 + n}.jpg") for n in range(30)])
    monkeypatch.setattr(checkpoints, "BYTES", 5000)
    one = work(tmp_path / "out", part)
    add, seen = Checkpoints.add, list[Outcome]()

    def killed(self: Checkpoints, outcome: Outcome) -> None:
        seen.append(outcome)
        if len(seen) == 20:
            monkeypatch.setattr(Checkpoints, "flush", lambda self: None)  # nothing is written any more
            raise KeyboardInterrupt
        add(self, outcome)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "add", killed)
        with pytest.raises(KeyboardInterrupt):
            one(part)
    monkeypatch.undo()
    kept = Checkpoints(str(tmp_path / "out"), PLAN, 0).done()
    assert 0 < len(kept) < 20
    web.asked.clear()
    one(part)
    assert not [path for path in (f"/ok/{100 + position}.jpg" for position in kept) if web.asked[path]]
    assert [row["status"] for row in rows(tmp_path / "out")] == ["ok"] * 30


def test_two_attempts_at_once_write_the_same_bytes(tmp_path: Path) -> None:
    one, other = (Checkpoints(str(tmp_path), PLAN, 0) for _ in range(2))
    one.add(Outcome(0, "timeout"))
    one.flush()
    other.add(Outcome(0, "ok", data=b"x"))
    other.flush()
    assert list(one.outcomes()) == list(other.outcomes()) == [Outcome(0, "timeout")]


def test_an_attempt_that_comes_too_late_changes_nothing(
    web: PictureWeb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its driver is another one's twin, and all that it has fetched has been fetched and written meanwhile."""
    part = write_records(tmp_path / "r.parquet", [web.url(f"/ok/{n}.jpg") for n in range(3)])
    quick, late = (work(tmp_path / "out", part) for _ in range(2))
    for place, name in ((DownloadWork, "fetch"), (Checkpoints, "decide"), (Checkpoints, "outcomes")):
        whole, receipts = getattr(place, name), list[Receipt]()

        def beaten(*args: Any) -> Any:
            found = whole(*args)  # noqa: B023 - it is called in this round alone
            monkeypatch.undo()
            receipts.append(quick(part))  # noqa: B023
            return found

        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        monkeypatch.setattr(place, name, beaten)
        assert late(part) == receipts[0]
        web.asked.clear()
        assert late(part) == receipts[0] and not web.asked
        files = [str(file.relative_to(tmp_path / "out")) for file in sorted((tmp_path / "out").rglob("*.*"))]
        assert files == ["images/00000.tar", "receipts/00000.json", "records/00000.parquet"]


def test_only_what_failed_is_fetched_again(web: PictureWeb, tmp_path: Path) -> None:
    urls = [web.url("/ok/1.jpg"), web.url("/fault/ill/41"), web.url("/fault/404/42"), web.url("/ok/2.jpg")]
    part = write_records(tmp_path / "r.parquet", urls)
    work(tmp_path / "one", part)(part)
    assert [row["status"] for row in rows(tmp_path / "one")] == ["ok", "http 503", "http 404", "ok"]
    before = Counter(web.asked)
    files = str(tmp_path / "one/records/00000.parquet"), str(tmp_path / "one/images/00000.tar")
    work(tmp_path / "two", part)(OldShard(0, 4, *files, ("http",)))
    assert [row["status"] for row in rows(tmp_path / "two")] == ["ok", "ok", "http 404", "ok"]
    assert set(web.asked - before) == {"/robots.txt", "/fault/ill/41", "/fault/404/42"}
    old, new = members(tmp_path / "one"), members(tmp_path / "two")
    assert {name: data for name, data in new.items() if name in old} == old and len(new) == len(old) + 3
    assert rows(tmp_path / "two")[0] == rows(tmp_path / "one")[0]


def test_a_slice_is_read_as_it_is_cut(tmp_path: Path) -> None:
    whole = write_records(tmp_path / "r.parquet", [str(n) for n in range(1000)])
    uri = whole.slices[0].uri
    few = (251, 300, 769)
    for part, rows in ((Slice(uri, 250, 770), range(250, 770)), (Slice(uri, 251, 770, few), few)):
        assert [row for table in read_rows(part, ["uri"]) for row in table["uri"].to_pylist()] == list(map(str, rows))
