"""Downloads in this process, without Spark and without a web: records, links that come or do not, and what is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.schema import record_id
from clip_spark.datasets.shards import ShardWriter
from clip_spark.pictures.download import shard, step, stored_once
from clip_spark.pictures.download.earlier import own_archive
from clip_spark.pictures.download.links import Link
from clip_spark.pictures.download.outcomes import Outcome
from clip_spark.pictures.download.specs import DownloadSpec
from clip_spark.pictures.download.step import download_images
from clip_spark.pictures.items import Picture
from clip_spark.texts.specs import RecordsSpec
from tests.services.picture_web import picture

Web = Counter[str]


def make_records(place: Path, rows: list[dict[str, Any]], shards: int = 2) -> Manifest:
    """Records of links, in the order of their ids, as make-records leaves them."""
    found = sorted(({"record_id": record_id(row["uri"]), "kind": "image", **row} for row in rows), key=repr)
    stamp = {"uri": "", "fingerprint": repr(found)}
    spec = RecordsSpec(rows=("x",), output=str(place), uri_column="url")
    run = begin_run(spec.output, Plan.of("records", spec, {"rows": stamp}, shards), overwrite=place.exists())
    schema = pa.Table.from_pylist(found).schema
    for number in range(shards):
        with ShardWriter(run.output, run.plan.fingerprint, number, {"records": schema}) as writer:
            writer.write("records", pa.Table.from_pylist(found[number::shards], schema))
            writer.finish()
    return run.commit()


def shown(url: str) -> bytes:
    """The picture that a link gives: `3` and `3-again` the same, each number another."""
    digits = url.rpartition("/")[2].partition("-")[0]
    return picture(20 * int(digits)) if digits.isdigit() else picture(999)


def fake_web(monkeypatch: pytest.MonkeyPatch) -> Web:
    """Links ending in `gone` are 404; all tasks run in this process. Counts what was asked for."""
    asked: Web = Counter()

    def run(_spec: Any, links: Iterable[Link], _threads: int, take: Callable[[Outcome], None], _tasks: int) -> None:
        for link in links:
            asked[link.url] += 1
            if link.url.endswith("gone"):
                take(Outcome(link.position, "http 404", "the server answered 404", 1))
            else:
                data = shown(link.url)
                digest = sha256(data).hexdigest()
                take(Outcome(link.position, "ok", None, 1, bytes=len(data), sha256=digest, ending="jpg", data=data))

    def run_shards(_spark: Any, _step: str, items: Any, work: Any, **_more: Any) -> None:
        for item in items:
            work(item)

    monkeypatch.setattr(shard, "run", run)
    monkeypatch.setattr(step, "run_shards", run_shards)
    monkeypatch.setattr(stored_once, "spread", lambda _spark, items: Rows([list(items)]))
    monkeypatch.setattr(stored_once, "collect", lambda _spark, _step, rows, _total: list(rows.all()))
    monkeypatch.setattr(step, "devices", SimpleNamespace(threads_per_task=lambda *_: 1))
    return asked


class Rows:
    """As much of an RDD as the steps of downloads use, in this process."""

    def __init__(self, partitions: list[list[Any]]) -> None:
        self.partitions = partitions

    def all(self) -> list[Any]:
        return [row for part in self.partitions for row in part]

    def flatMap(self, work: Any) -> Rows:
        return Rows([[found for row in part for found in work(row)] for part in self.partitions])

    def partitionBy(self, count: int, number: Any) -> Rows:
        parts: list[list[Any]] = [[] for _ in range(count)]
        for row in self.all():
            parts[number(row[0]) % count].append(row)
        return Rows(parts)

    def mapPartitions(self, work: Any) -> Rows:
        return Rows([list(work(iter(part))) for part in self.partitions])

    def mapPartitionsWithIndex(self, work: Any) -> Rows:
        return Rows([list(work(number, iter(part))) for number, part in enumerate(self.partitions)])


def download(folder: Path, **options: Any) -> Manifest:
    spec = {"records": str(folder / "records"), "output": str(folder / "out"), "shard_rows": 3, **options}
    return download_images(
        lambda: SimpleNamespace(sparkContext=SimpleNamespace(defaultParallelism=2)), DownloadSpec(**spec)
    )  # type: ignore[arg-type, return-value]


def links(*names: str, **more: Any) -> list[dict[str, Any]]:
    return [{"uri": f"http://a/{name}", "text": name, **more} for name in names]


def rows(manifest: Manifest) -> dict[str, str]:
    """Link -> status; a link that comes twice fails, and so does a picture without its row."""
    found: dict[str, str] = {}
    for records, archive in zip(manifest.files("records"), manifest.files("images"), strict=True):
        here = pq.read_table(records).to_pylist()
        assert not found.keys() & {row["uri"] for row in here}
        found |= {row["uri"]: row["status"] for row in here}
        pictures = [item for item in own_archive(archive).read() if isinstance(item, Picture)]
        stored = [row for row in here if row["status"] == "ok" and row["stored_as"] is None]
        assert [item.record_id for item in pictures] == [row["record_id"] for row in stored]
        assert [item.data for item in pictures] == [shown(row["uri"]) for row in stored]
    return found
