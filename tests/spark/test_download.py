"""download-images on Spark: a table of links to pictures, tried again, embedded under the same ids."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from clip_spark.datasets.manifest import Manifest
from clip_spark.embed.pictures import embed_images
from clip_spark.embed.specs import EmbedImagesSpec
from clip_spark.errors import ResultError, SpecError
from clip_spark.pictures.download.report import by_status, preview
from clip_spark.pictures.download.specs import DownloadSpec
from clip_spark.pictures.download.step import download_images
from clip_spark.texts.make_records import make_records
from clip_spark.texts.specs import RecordsSpec
from tests.helpers_stages import stages_during
from tests.services.picture_web import PictureWeb, picture_web

pytestmark = pytest.mark.spark


@pytest.fixture
def web() -> Iterator[PictureWeb]:
    with picture_web(3) as found:
        yield found


def column(manifest: Manifest, name: str) -> list[Any]:
    return [value for uri in manifest.files("records") for value in pq.read_table(uri)[name].to_pylist()]


def test_from_links_to_embeddings(spark: Any, web: PictureWeb, tmp_path: Path) -> None:
    urls = [web.url(f"/ok/{n}.jpg", f"127.0.0.{1 + n % 3}") for n in range(30)]
    urls += [web.url("/fault/404/1"), web.url("/fault/ill/2"), web.url("/fault/html/3")]
    lines = (json.dumps({"url": url, "caption": f"number {n}"}) for n, url in enumerate(urls))
    (tmp_path / "links.jsonl").write_text("\n".join(lines))
    records = make_records(
        lambda: spark,
        RecordsSpec(
            rows=(str(tmp_path / "links.jsonl"),),
            output=str(tmp_path / "records"),
            uri_column="url",
            text_column="caption",
        ),
    )

    def download(**options: Any) -> Manifest:
        spec = {"records": records.uri, "output": str(tmp_path / "pictures"), "allow_private": True, "tries": 1}
        return download_images(lambda: spark, DownloadSpec(**{**spec, "shard_rows": 12, **options}))

    made: list[Manifest] = []
    stages = stages_during(spark, lambda: made.append(download()))
    assert stages and all(name.startswith("clip-spark download-images") for name in stages)
    first = made[0]
    assert by_status(first) == {"ok": 30, "http 404": 1, "http 503": 1, "not a picture": 1}
    assert sorted(column(first, "record_id")) == sorted(column(records, "record_id"))
    assert len(first.receipts) == 3 and first.extra == {"pictures": 30}
    before = Counter(web.asked)
    assert download() == first and web.asked == before, "the same command finds its work done"
    with pytest.raises(ResultError, match="3 of 33 links failed, more than --max-rejects 0.01 .*1 http 404"):
        download(max_rejects=0.01)

    again = download(retry_failed=("http",))
    assert by_status(again) == {"ok": 31, "http 404": 1, "not a picture": 1}
    assert {path for path in web.asked - before if path != "/robots.txt"} == {"/fault/404/1", "/fault/ill/2"}
    assert download() == again, "and so does it after a retry"
    assert [table.title for table in preview(again)] == ["links", "where links failed"]

    spec = EmbedImagesSpec(images=(again.uri,), output=str(tmp_path / "emb"), metadata_columns=("url",))
    embedded = embed_images(lambda: spark, spec)
    ok = {
        i: u for i, u, s in zip(*(column(again, c) for c in ("record_id", "uri", "status")), strict=True) if s == "ok"
    }
    assert dict(zip(column(embedded, "record_id"), column(embedded, "url"), strict=True)) == ok


def test_one_file_for_each_picture_and_one_embedding_for_each_file(spark: Any, web: PictureWeb, tmp_path: Path) -> None:
    urls = [web.url(f"/ok/{n * 40}.jpg?{copy}") for n in range(6) for copy in "ab"]
    (tmp_path / "links.txt").write_text("\n".join(urls))
    rows = {"rows": (str(tmp_path / "links.txt"),), "uri_column": "text", "text_column": "text"}
    records = make_records(lambda: spark, RecordsSpec(**rows, output=str(tmp_path / "records"), shards=2))  # type: ignore[arg-type]
    spec = {"records": records.uri, "output": str(tmp_path / "pictures"), "allow_private": True, "shard_rows": 5}
    made = download_images(lambda: spark, DownloadSpec(**spec, dedup="sha256", format="parquet"))  # type: ignore[arg-type]
    assert by_status(made) == {"ok": 12} and made.extra == {"pictures": 6} and len(made.receipts) == 3
    stored = dict(zip(column(made, "record_id"), column(made, "stored_as"), strict=True))
    holders = {one for one, other in stored.items() if other is None}
    assert Counter(other for other in stored.values() if other) == Counter(holders)
    embedded = embed_images(lambda: spark, EmbedImagesSpec(images=(made.uri,), output=str(tmp_path / "emb")))
    assert sorted(column(embedded, "record_id")) == sorted(holders)


def test_mistakes_are_found_before_any_task(tmp_path: Path, spark: Any) -> None:
    (tmp_path / "links.txt").write_text("http://a.b/c.jpg\n")
    rows = (str(tmp_path / "links.txt"),)
    records = make_records(
        lambda: spark, RecordsSpec(rows=rows, output=str(tmp_path / "records"), uri_column="text", text_column="text")
    )
    spec = {"records": records.uri, "output": str(tmp_path / "out")}
    with pytest.raises(SpecError, match="no finished download"):
        download_images(lambda: None, DownloadSpec(**spec, retry_failed=("all",)))  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="no column 'md5'"):
        download_images(lambda: None, DownloadSpec(**spec, hash_column="md5"))  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="--retry-failed is 'slow'; it must be one of all, no link"):
        DownloadSpec(**spec, retry_failed=("slow",))
