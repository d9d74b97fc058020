"""The pipelines of conf/ that begin with links do their whole job, over a web and a hub on loopback."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from clip_spark.commands.pipeline import read_pipeline, run_pipeline
from clip_spark.commands.registry import STEPS
from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.pictures.download.report import by_status
from clip_spark.search.searcher import Searcher
from clip_spark.storage import files
from tests.services.hub import running_hub
from tests.services.picture_web import PictureWeb, picture_web

pytestmark = pytest.mark.spark
ROOT = Path(__file__).resolve().parents[2]
LINKS = 1000
PICTURES = 24


def run(spark: Any, name: str, **settings: str) -> None:
    steps = read_pipeline(str(ROOT / "conf/pipelines" / name), {**settings, "private": "true"}, STEPS)
    run_pipeline(lambda: spark, steps, rebuild=False)


def ids(manifest: Manifest) -> set[str]:
    return {value for uri in manifest.files("records") for value in pq.read_table(uri)["record_id"].to_pylist()}


def links(web: PictureWeb) -> list[tuple[str, str]]:
    """(prompt, link) of a table in which every tenth link is gone."""
    paths = [f"/fault/404/{n}" if n % 10 == 9 else f"/ok/{n}.jpg" for n in range(LINKS)]
    return [(f"a picture of number {n}", web.url(path, f"127.0.0.{1 + n % 3}")) for n, path in enumerate(paths)]


def test_prompt_search(spark: Any, tmp_path: Path) -> None:
    with picture_web(3) as web, (tmp_path / "1k.csv").open("w", newline="") as table:
        rows = csv.writer(table)
        rows.writerow(["prompt", "raw_data"])
        for prompt, link in links(web):
            rows.writerow([prompt, json.dumps({"raw_discord_data": {"image_uri": link}})])
        table.flush()
        run(spark, "prompt-search.yaml", rows=str(tmp_path / "1k.csv"), work=str(tmp_path / "w"))
    prompts, pictures = (read_manifest(str(tmp_path / f"w/{name}-index"), "index") for name in ("prompt", "picture"))
    assert (prompts.rows, pictures.rows) == (LINKS, LINKS * 9 // 10)
    found = [read_manifest(str(tmp_path / f"w/{name}-embeddings")) for name in ("prompt", "picture")]
    assert ids(found[1]) < ids(found[0]), "the picture and the prompt of a row are known by one id"


def test_datacomp(spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_hub() as hub, picture_web(3) as web:
        monkeypatch.setitem(fsspec.config.conf, "hf", {"endpoint": hub.url})
        monkeypatch.setitem(spark.sparkContext.environment, "HF_ENDPOINT", hub.url)  # its workers start with that
        files.forget_clients()
        sink = io.BytesIO()
        table = {
            name: list(values) for name, values in zip(("text", "url"), zip(*links(web), strict=True), strict=True)
        }
        pq.write_table(pa.table(table), sink)
        hub.files["me/datacomp"] = {"data/train-0.parquet": sink.getvalue()}
        run(spark, "datacomp.yaml", rows="hf://datasets/me/datacomp/data", work=str(tmp_path / "w"))
    files.forget_clients()
    assert by_status(read_manifest(str(tmp_path / "w/pictures"))) == {"ok": LINKS * 9 // 10, "http 404": LINKS // 10}
    assert read_manifest(str(tmp_path / "w/index"), "index").rows == LINKS * 9 // 10


def test_clipper(spark: Any, tmp_path: Path) -> None:
    """A folder of jpgs with clipper's metadata.json becomes an index that is searched and a map with names."""
    folder, metadata = tmp_path / "images", {}
    folder.mkdir()
    with tarfile.open(ROOT / "clip_spark/demo/pictures/00000.tar") as tar:
        for member in [m for m in tar.getmembers() if m.name.endswith(".png")][:PICTURES]:
            key, name = member.name.removesuffix(".png"), member.name.removesuffix(".png").partition("-")[2]
            picture = Image.open(io.BytesIO(tar.extractfile(member).read()))  # type: ignore[union-attr]
            picture.convert("RGB").save(folder / f"{key}.jpg")
            metadata[key] = {"name": name.replace("-", " ")}
    (folder / "metadata.json").write_text(json.dumps(metadata))
    (tmp_path / "words.txt").write_text("\n".join(["face", "smile", *(each["name"] for each in metadata.values())]))
    settings = {"images": str(folder), "words": str(tmp_path / "words.txt"), "columns": ["name"]}
    steps = read_pipeline(str(ROOT / "conf/pipelines/clipper.yaml"), {**settings, "work": str(tmp_path / "w")}, STEPS)
    run_pipeline(lambda: spark, steps, rebuild=False)
    found = read_manifest(str(tmp_path / "w/map"), "map")
    points = pa.concat_tables([pq.read_table(uri) for uri in found.files("points")])
    names = {each["name"] for each in metadata.values()}
    assert found.extra["rows"]["image"] == PICTURES and names <= set(points["name"].to_pylist())
    assert all(region["name"] for region in json.loads(Path(found.locate("regions.json")).read_bytes())[0]["regions"])
    assert Searcher.open(str(tmp_path / "w/picture-index")).search_text("grinning face", k=1)[0].record["uri"]
