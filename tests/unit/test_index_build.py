"""Small indexes are exact and need no Spark."""

from __future__ import annotations

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from clip_spark import storage
from clip_spark.errors import DatasetError, InputError, ModelError, OutputError, SpecError
from clip_spark.index.build.build import build_index, preview
from clip_spark.index.build.choose_key import choose_key
from clip_spark.index.build.read_vectors import VectorReader
from clip_spark.index.build.train import new_index
from clip_spark.index.files import local_copy as cache
from clip_spark.index.files.layout import read_index
from clip_spark.index.specs import IndexSpec
from clip_spark.search.searcher import Searcher
from tests.helpers_embeddings import ENCODER, numbered, unit_vectors, write_embeddings


def no_spark():
    raise AssertionError("no session is needed here")


def build(folder: Path, rows: int, **options):
    vectors = unit_vectors(rows)
    emb = folder / "emb"
    if not emb.exists():
        write_embeddings(emb, vectors, numbered(rows))
    manifest = build_index(no_spark, IndexSpec(embeddings=str(emb), output=str(folder / "index"), **options))
    return vectors, manifest


@pytest.mark.parametrize("rows", [1, 10, 2000])
@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_search_equals_brute_force(tmp_path: Path, rows: int, parts: int, metric: str) -> None:
    vectors, manifest = build(tmp_path, rows, parts=parts, metric=metric)
    assert manifest.rows == rows
    searcher = Searcher.open(str(tmp_path / "index"))
    queries = unit_vectors(5, seed=9)
    for query, hits in zip(queries, searcher.search_embeddings(queries, 10), strict=True):
        scores = vectors @ query
        expected = np.argsort(-scores, kind="stable")[:10]
        assert [hit.record["text"] for hit in hits] == [f"text {i}" for i in expected]
        np.testing.assert_allclose([hit.score for hit in hits], scores[expected], atol=1e-5)
        assert [hit.rank for hit in hits] == list(range(1, min(10, rows) + 1))


def test_same_again_is_done_and_another_is_refused(tmp_path: Path) -> None:
    _, first = build(tmp_path, 50)
    _, again = build(tmp_path, 50)
    assert again.created == first.created and again.extra == first.extra
    with pytest.raises(OutputError, match="metric was 'ip', now 'l2'"):
        build(tmp_path, 50, metric="l2")


def test_overwrite_switches_to_a_new_generation_and_leaves_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, first = build(tmp_path, 50)
    monkeypatch.setenv("CLIP_SPARK_GRACE_HOURS", "0")
    _, second = build(tmp_path, 50, metric="l2", overwrite=True)
    assert second.extra["generation"] != first.extra["generation"]
    assert [path.name for path in (tmp_path / "index" / "parts").iterdir()] == [second.extra["generation"]]


def test_failed_build_leaves_the_old_index_serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path, 50)
    before = sorted(path for path in (tmp_path / "index").rglob("*") if path.is_file())
    monkeypatch.setattr(
        "clip_spark.index.build.build.measure", lambda *_: (_ for _ in ()).throw(DatasetError("broken"))
    )
    with pytest.raises(DatasetError, match="broken"):
        build(tmp_path, 50, metric="l2", overwrite=True)
    assert sorted(path for path in (tmp_path / "index").rglob("*") if path.is_file()) == before
    assert len(Searcher.open(str(tmp_path / "index")).search_embedding(unit_vectors(1)[0])) == 10


def test_like_leaves_out_the_record_itself(tmp_path: Path) -> None:
    vectors, _ = build(tmp_path, 1500)
    searcher = Searcher.open(str(tmp_path / "index"))
    seed = searcher.search_embedding(vectors[1234], 1)[0].record
    assert seed["text"] == "text 1234"
    hits = searcher.search_like(seed["record_id"], 5)
    order = [i for i in np.argsort(-(vectors @ vectors[1234]), kind="stable") if i != 1234]
    assert [hit.record["text"] for hit in hits] == [f"text {i}" for i in order[:5]]
    with pytest.raises(InputError, match="no record 'nonsense'"):
        searcher.search_like("nonsense")


@pytest.mark.parametrize(
    ("queries", "k", "message"),
    [
        (np.zeros((1, 32), np.float32), 3, "length 0"),
        (np.full((1, 32), np.nan, np.float32), 3, "nan"),
        (unit_vectors(1, 8), 3, "needs \\(n, 32\\)"),
        (unit_vectors(1), 0, "at least 1"),
    ],
)
def test_queries_without_an_answer_are_refused(tmp_path: Path, queries: np.ndarray, k: int, message: str) -> None:
    build(tmp_path, 20)
    with pytest.raises(SpecError, match=message):
        Searcher.open(str(tmp_path / "index")).search_embeddings(queries, k)


def test_damage_is_found_at_opening(tmp_path: Path) -> None:
    _, manifest = build(tmp_path, 20)
    part = Path(manifest.files("parts")[0])
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(DatasetError, match="bytes, its index says"):
        Searcher.open(manifest.uri)
    part.unlink()
    with pytest.raises(DatasetError, match="missing"):
        Searcher.open(manifest.uri)


def test_hashes_are_compared_when_asked_and_when_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, manifest = build(tmp_path, 20)
    fs, _ = storage.filesystem("memory://index")
    fs.put(manifest.uri, "/remote/index", recursive=True)
    monkeypatch.setenv("CLIP_SPARK_CACHE", str(tmp_path / "cache"))
    assert Searcher.open("memory://remote/index").search_embedding(vectors[3], 1)[0].record["text"] == "text 3"
    fetched = {path.name for path in (tmp_path / "cache").iterdir()}
    assert fetched == {
        file.sha256 for file in (*read_index(manifest.uri)[1].parts, *read_index(manifest.uri)[1].records)
    }
    part = Path(manifest.files("parts")[0])
    damaged = part.read_bytes()[:-1] + b"x"
    part.write_bytes(damaged)
    with pytest.raises(DatasetError, match="sha256 differs"):
        Searcher.open(manifest.uri, verify=True)
    shutil.rmtree(tmp_path / "cache")
    storage.write_bytes(f"memory://remote/index/{part.relative_to(manifest.uri)}", damaged)
    with pytest.raises(DatasetError, match="sha256 differs"):
        Searcher.open("memory://remote/index")
    assert not list((tmp_path / "cache").iterdir())


def test_changed_embeddings_are_said_and_the_index_still_answers(tmp_path: Path, caplog) -> None:
    vectors, _ = build(tmp_path, 20)
    (tmp_path / "emb").rename(tmp_path / "old")
    Searcher.open(str(tmp_path / "index"))
    assert "have changed" not in caplog.text
    write_embeddings(tmp_path / "emb", unit_vectors(21), numbered(21))
    searcher = Searcher.open(str(tmp_path / "index"))
    assert "have changed since" in caplog.text
    assert searcher.search_embedding(vectors[7], 1)[0].record["text"] == "text 7"


def test_queries_of_another_encoder_are_refused(tmp_path: Path) -> None:
    write_embeddings(tmp_path / "emb", unit_vectors(20), numbered(20))
    other = {**ENCODER, "model": "other", "weights_sha256": "x"}
    write_embeddings(tmp_path / "q", unit_vectors(20), numbered(20), modality="image", encoder=other)
    spec = IndexSpec(embeddings=str(tmp_path / "emb"), queries=str(tmp_path / "q"), output=str(tmp_path / "index"))
    with pytest.raises(ModelError, match="built with 'fake' and the --queries come from 'other'"):
        build_index(no_spark, spec)


def test_an_index_of_another_layout_is_one_sentence(tmp_path: Path) -> None:
    _, manifest = build(tmp_path, 20)
    place = tmp_path / "index" / "manifest.json"
    value = storage.read_json(str(place))
    storage.write_json(str(place), {**value, "extra": {k: v for k, v in value["extra"].items() if k != "records"}})
    with pytest.raises(DatasetError, match="lacks records, which .* needs; build it again with --overwrite"):
        Searcher.open(manifest.uri)
    settings = {**value["extra"]["settings"], "of_the_future": 1}
    storage.write_json(str(place), {**value, "extra": {**value["extra"], "settings": settings}})
    with pytest.raises(DatasetError, match="build it again"):
        Searcher.open(manifest.uri)
    storage.write_json(str(place), {**value, "format_version": 99})
    with pytest.raises(DatasetError, match="newer clip-spark .format 99.; upgrade"):
        Searcher.open(manifest.uri)


@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_a_vector_under_a_wrong_position_is_found_before_the_commit(
    tmp_path: Path, metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = VectorReader.take
    monkeypatch.setattr(VectorReader, "take", lambda self, rows: np.roll(original(self, rows), 1, axis=0))
    with pytest.raises(DatasetError, match="does not find itself"):
        build(tmp_path, 50, metric=metric)
    assert not (tmp_path / "index" / "manifest.json").exists() and not list((tmp_path / "index").rglob("*.index"))


def test_an_exact_index_gets_no_advice_about_recall(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    build(tmp_path, 500, index_key="Flat", max_query_ms=1e-6)
    assert "--max-query-ms" not in caplog.text
    with pytest.raises(SpecError, match="must be above 0"):
        IndexSpec(embeddings="e", output="o", max_query_ms=0)


def test_the_key_follows_size_memory_and_time() -> None:
    room = 1 << 34
    assert choose_key(200_000, 512, room) == "Flat"
    assert choose_key(200_001, 512, room) == "IVF2048,Flat"
    assert choose_key(200_000, 1024, room) == "IVF2048,Flat"
    assert choose_key(9_999, 512, room, query_ms=0.4) == "IVF256,Flat"
    assert choose_key(1_000_000, 512, room) == "IVF4096,Flat"
    assert choose_key(1_000_000, 512, 1 << 30) == "IVF4096,SQ8"
    assert choose_key(1_000_000, 512, 1 << 28) == "OPQ128_512,IVF4096,PQ128x8"
    assert choose_key(100_000_000, 512, room) == "OPQ128_512,IVF32768_HNSW32,PQ128x8"
    with pytest.raises(SpecError, match="raise --max-index-memory to"):
        choose_key(1_000_000, 512, 1 << 24)
    with pytest.raises(SpecError, match="is not one that Faiss builds"):
        new_index("IVF16,Nonsense", 32, "ip")


@pytest.mark.parametrize("rows", [17, 1000, 40_000, 300_000])
@pytest.mark.parametrize("dim", [24, 32, 100, 512])
def test_the_memory_that_is_advised_is_the_least_that_works(rows: int, dim: int) -> None:
    with pytest.raises(SpecError, match="do not fit") as refused:
        choose_key(rows, dim, 1)
    (advised,) = re.findall(r"to (\d+)M or more", str(refused.value))
    choose_key(rows, dim, int(advised) << 20)
    if int(advised) > 1:
        with pytest.raises(SpecError):
            choose_key(rows, dim, (int(advised) - 1) << 20)


def test_what_an_exact_index_shows_has_no_lists(tmp_path: Path) -> None:
    shown = [what for table in preview(build(tmp_path, 20)[1]) for what, *_ in table.rows]
    assert "vectors" in shown and not [what for what in shown if "nprobe" in str(what)]


def test_workers_of_one_machine_fetch_a_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, manifest = build(tmp_path, 20)
    storage.filesystem("memory://shared")[0].put(manifest.uri, "/shared/index", recursive=True)
    monkeypatch.setenv("CLIP_SPARK_CACHE", str(tmp_path / "cache"))
    fetched: list[str] = []
    original = cache._copy
    monkeypatch.setattr(cache, "_copy", lambda uri, target: (fetched.append(uri), original(uri, target))[1])
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: Searcher.open("memory://shared/index"), range(4)))
    assert len(fetched) == 1
