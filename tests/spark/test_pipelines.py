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


def links(web: PictureWeb, count: int = LINKS) -> list[tuple[str, str]]:
    """(prompt, link) of a table in which every tenth link is gone."""
    paths = [f"/fault/404/{n}" if n % 10 == 9 else f"/ok/{n}.jpg" for n in range(count)]
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


def some_pictures(folder: Path) -> dict[str, str]:
    """Pictures of the demo as jpgs in a folder: name of each file without its ending -> what it shows."""
    folder.mkdir()
    found = {}
    with tarfile.open(ROOT / "clip_spark/demo/pictures/00000.tar") as tar:
        for member in [m for m in tar.getmembers() if m.name.endswith(".png")][:PICTURES]:
            key = member.name.removesuffix(".png")
            picture = Image.open(io.BytesIO(tar.extractfile(member).read()))  # type: ignore[union-attr]
            picture.convert("RGB").save(folder / f"{key}.jpg")
            found[key] = key.partition("-")[2].replace("-", " ")
    return found


def test_clipper(spark: Any, tmp_path: Path) -> None:
    """A folder of jpgs with clipper's metadata.json becomes an index that is searched and a map with names."""
    folder = tmp_path / "images"
    metadata = {key: {"name": name} for key, name in some_pictures(folder).items()}
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


def test_clip_grams_and_clip_faiss(spark: Any, tmp_path: Path) -> None:
    """Texts tag the pictures of a folder in .knn files beside them; words find the pictures."""
    names = some_pictures(tmp_path / "images")
    (tmp_path / "texts").mkdir()
    lines = [*names.values(), *["grinning face"] * 3]
    (tmp_path / "texts/a.txt").write_text("\n".join(lines))
    places = {"images": str(tmp_path / "images"), "work": str(tmp_path / "w")}
    steps = read_pipeline(
        str(ROOT / "conf/pipelines/clip-grams.yaml"), {**places, "corpus": str(tmp_path / "texts")}, STEPS
    )
    run_pipeline(lambda: spark, steps, rebuild=False)
    tags = {key: (tmp_path / f"images/{key}.knn").read_text().splitlines() for key in names}
    assert all(len(found) == 10 for found in tags.values())
    smiling = next(key for key, name in names.items() if name == "grinning face")
    assert "grinning face" in tags[smiling], "a pair that is seen three times is a tag"
    phrases = {tag for found in tags.values() for tag in found if " " in tag}
    assert all(sum(line.count(tag) for line in lines) >= 3 for tag in phrases)
    steps = read_pipeline(str(ROOT / "conf/pipelines/clip-faiss.yaml"), {**places, "work": str(tmp_path / "f")}, STEPS)
    run_pipeline(lambda: spark, steps, rebuild=False)
    assert read_manifest(str(tmp_path / "f/index"), "index").extra["key"] == "Flat"
    assert Searcher.open(str(tmp_path / "f/index")).search_text("grinning face", k=1)[0].record["uri"]


def test_clip_retrieval(spark: Any, tmp_path: Path) -> None:
    """A table of links and captions becomes an image and a text index that know each other by record id."""
    with picture_web(3) as web:
        texts, urls = zip(*links(web, 40), strict=True)
        pq.write_table(pa.table({"URL": urls, "TEXT": texts}), tmp_path / "links.parquet")
        run(spark, "clip-retrieval.yaml", rows=str(tmp_path / "links.parquet"), work=str(tmp_path / "w"))
    pictures, captions = (read_manifest(str(tmp_path / f"w/{name}-embeddings")) for name in ("image", "text"))
    assert ids(pictures) == ids(captions) and pictures.rows == 36
    hit = Searcher.open(str(tmp_path / "w/text-index")).search_text("a picture of number 7", k=1)[0]
    assert hit.record["caption"] == hit.record["text"] == "a picture of number 7"
