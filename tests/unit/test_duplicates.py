"""find-duplicates against brute force: pairs, groups without chains, which record is kept, any partitioning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clip_spark.analysis.duplicates import cells as cells_module
from clip_spark.analysis.duplicates.cells import split_by, train_cells
from clip_spark.analysis.duplicates.groups import groups_of
from clip_spark.analysis.duplicates.near import connected, linked
from clip_spark.analysis.duplicates.spec import DuplicatesSpec
from clip_spark.analysis.duplicates.step import find_duplicates, preview
from clip_spark.datasets.manifest import Manifest
from clip_spark.errors import SpecError, UserError
from clip_spark.index.build.build import build_index
from clip_spark.index.change.remove import remove_records
from clip_spark.index.specs import IndexSpec, RemoveSpec
from clip_spark.search.searcher import Searcher
from tests.helpers_embeddings import numbered, unit_vectors, write_embeddings
from tests.helpers_spark import in_this_process

NEAR = 0.95
DIM = 24


def with_doubles(rows: int, doubles: int, seed: int = 0, least: float = 0.9) -> np.ndarray:
    """Unit vectors of which the last ones lie beside earlier ones, at cosines from `least` to 1."""
    random = np.random.default_rng(seed)
    vectors = unit_vectors(rows, DIM, seed)
    source = vectors[random.integers(rows, size=doubles)]
    across = random.normal(size=(doubles, DIM))
    across -= (across * source).sum(axis=1, keepdims=True) * source
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    cosines = random.uniform(least, 1, size=(doubles, 1))
    beside = cosines * source + np.sqrt(1 - cosines**2) * across
    return np.concatenate([vectors, beside]).astype(np.float32)


@pytest.fixture
def spark(monkeypatch: pytest.MonkeyPatch) -> Any:
    return in_this_process(monkeypatch)


def found(manifest: Manifest) -> list[dict[str, Any]]:
    """All rows."""
    return pa.concat_tables([pq.read_table(uri) for uri in manifest.files("duplicates")]).to_pylist()


def grouped(manifest: Manifest) -> dict[str, set[str]]:
    groups: dict[str, set[str]] = {}
    for row in found(manifest):
        groups.setdefault(row["group"], set()).add(row["record_id"])
    return groups


def run(spark: Any, folder: Path, name: str = "dup", **options: Any) -> Manifest:
    given = {"embeddings": str(folder / "emb"), "output": str(folder / name), **options}
    return find_duplicates(spark, DuplicatesSpec(**given))


def names(vectors: np.ndarray) -> list[str]:
    from clip_spark.datasets.schema import record_id

    return [record_id(name) for name in numbered(len(vectors))]


def test_cells_keep_near_pairs_together_and_hold_few_records() -> None:
    vectors = with_doubles(6000, 2000, least=NEAR)
    vectors = vectors[np.random.default_rng(1).permutation(len(vectors))]
    cells = train_cells(vectors, len(vectors), NEAR)
    owners = cells.of(vectors)
    one, two = np.nonzero(np.triu(vectors @ vectors.T >= NEAR, 1))
    assert (owners[one] == owners[two]).any(axis=1).mean() >= 0.99 and cells.together >= 0.99
    assert 12 * len(cells.tables) <= cells.count == owners.max() + 1 and np.bincount(owners.ravel()).max() < 2400
    assert np.array_equal(cells.of(vectors[3000:3700]), owners[3000:3700]), "whatever is beside it"
    again = cells_module.Cells.from_bytes(cells.to_bytes())
    assert np.array_equal(again.of(vectors), owners) and again.core == cells.core


def test_what_hangs_together_is_found_by_any_order_of_edges() -> None:
    random = np.random.default_rng(3)
    edges = random.integers(90, size=(80, 2))
    oracle = np.arange(90)
    for _ in range(90):
        for a, b in edges:
            oracle[[a, b]] = oracle[[a, b]].min()
    for order in (np.arange(80), random.permutation(80)):
        assert np.array_equal(connected(np.arange(90), *edges[order].T), oracle)
    vectors = with_doubles(300, 200)
    one, two = np.nonzero(np.triu(vectors @ vectors.T >= NEAR, 1))
    assert np.array_equal(linked(vectors, NEAR), connected(np.arange(500), one, two))


def test_groups_are_those_of_taking_records_one_by_one() -> None:
    vectors = with_doubles(40, 400, least=0.88)
    kept, cosines = groups_of(vectors, np.zeros(len(vectors)), NEAR)
    groups: list[list[int]] = []
    for row, vector in enumerate(vectors):
        fitting = [group for group in groups if (vectors[group] @ vector >= NEAR).all()]
        (fitting[0] if fitting else groups.append(group := []) or group).append(row)  # type: ignore[func-returns-value]
    assert {group[0]: group for group in groups} == {
        first: rows.tolist() for first, rows in split_by(kept, np.arange(440))
    }
    assert np.allclose(cosines, (vectors * vectors[kept]).sum(axis=1), atol=1e-6)
    assert max(map(len, groups)) > 5 and (np.bincount(kept) == 1).any()


def test_a_group_of_very_many_takes_what_cannot_be_too_far_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clip_spark.analysis.duplicates.groups.MOST_CHECKED", 10)
    vectors = with_doubles(3, 300, least=0.96)
    kept, _ = groups_of(vectors, np.zeros(len(vectors)), NEAR)
    for _, rows in split_by(kept, np.arange(len(kept))):
        assert (vectors[rows] @ vectors[rows].T >= NEAR - 1e-6).all()


@pytest.mark.parametrize("memory", ["256M", "100K"])
def test_any_partitioning_gives_the_groups_of_brute_force(spark: Any, tmp_path: Path, memory: str) -> None:
    vectors = with_doubles(1500, 500)
    vectors = np.concatenate([vectors, vectors[:40], vectors[:40]])  # equal ones too
    write_embeddings(tmp_path / "emb", vectors, numbered(len(vectors)), shard_rows=300)
    write_embeddings(tmp_path / "one", vectors, numbered(len(vectors)), shard_rows=5000)
    manifest = run(spark, tmp_path, task_memory=memory)
    kept, cosines = groups_of(vectors, np.zeros(len(vectors)), NEAR)
    ids = np.array(names(vectors))
    expected = {ids[first]: set(ids[rows]) for first, rows in split_by(kept, np.arange(len(kept))) if len(rows) > 1}
    assert grouped(manifest) == expected and manifest.extra["groups"] == len(expected)
    for row in found(manifest):
        at = int(np.flatnonzero(ids == row["record_id"])[0])
        assert row["keep"] == (row["record_id"] == row["group"]) and row["group_size"] == len(expected[row["group"]])
        assert abs(row["cosine"] - cosines[at]) < 1e-5
    other = run(spark, tmp_path, "other", embeddings=str(tmp_path / "one"))
    assert found(other) == found(manifest)
    assert preview(manifest)[0].rows[1][1] == len(expected)
    page = Path(manifest.locate("report.html")).read_text()
    assert "near-duplicates of" in page and page.count("nearly the same") == 30


def test_a_crowd_that_is_all_but_equal_is_one_group_and_costs_no_square(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells_module, "MOST_CROWD", 300)
    random = np.random.default_rng(5)
    crowd = unit_vectors(1, DIM) + random.normal(size=(2500, DIM)) * 0.002
    vectors = np.concatenate([unit_vectors(500, DIM, 7), crowd / np.linalg.norm(crowd, axis=1, keepdims=True)])
    write_embeddings(tmp_path / "emb", vectors.astype(np.float32), numbered(3000), shard_rows=700)
    compared: list[int] = []
    monkeypatch.setattr(
        "clip_spark.analysis.duplicates.compare.linked",
        lambda rows, threshold: compared.append(len(rows)) or linked(rows, threshold),
    )
    manifest = run(spark, tmp_path)
    largest = max(grouped(manifest).values(), key=len)
    assert largest >= set(names(vectors)[500:]) and manifest.extra["largest"] == len(largest)
    assert max(compared) <= 520


def write_columns(folder: Path, vectors: np.ndarray, **columns: list[Any]) -> None:
    """Embeddings with more columns of the records."""
    manifest = write_embeddings(folder / "emb", vectors, numbered(len(vectors)), shard_rows=len(vectors))
    file = Path(manifest.files("records")[0])
    table = pq.read_table(file)
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    pq.write_table(table, file)


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ("first", 0),
        ("largest", 1),
        ("oldest", 2),
        ("oldest:taken", 2),
        ("-width", 3),
        ("good", 3),
        ("length(text)", 0),
        ("made.of", 2),
        ("made.by", 3),
    ],
)
def test_which_of_a_group_is_kept(spark: Any, tmp_path: Path, keep: str, kept: int) -> None:
    vectors = np.repeat(unit_vectors(1, DIM), 4, axis=0)
    times = pa.array([5, 7, 1, None], pa.timestamp("s"))
    columns = {
        "width": [10, 50, 10, 5],
        "height": [10, 10, 5, 9],
        "taken": times,
        "good": [None, 1.0, float("nan"), 2.0],
        "made": [{"by": row} for row in range(4)],
        "made.of": [1, 2, 9, 3],
    }
    write_columns(tmp_path, vectors, **columns)
    assert list(grouped(run(spark, tmp_path, keep=keep))) == [names(vectors)[kept]]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"keep": "largest"}, "no column 'width'"),
        ({"keep": "oldest"}, "oldest:COLUMN"),
        ({"keep": "oldest:when"}, "no column 'when'"),
        ({"keep": "text"}, "a number or a time is needed"),
        ({"keep": "n +"}, "expected here"),
        ({"remove": "nowhere"}, "nowhere' does not exist"),
    ],
)
def test_a_mistake_is_told_before_any_work(spark: Any, tmp_path: Path, options: dict[str, str], words: str) -> None:
    write_embeddings(tmp_path / "emb", with_doubles(20, 5), numbered(25))
    with pytest.raises(UserError, match=words):
        run(spark, tmp_path, **options)
    assert not (tmp_path / "dup").exists()
    with pytest.raises(SpecError, match="from 0.8"):
        DuplicatesSpec(embeddings="e", output="o", threshold=0.5)


def test_pictures_of_one_hash_are_one_whatever_their_vectors(spark: Any, tmp_path: Path) -> None:
    vectors, sha = unit_vectors(6, DIM), ["a" * 64, "b" * 64, "a" * 64, None, "c" * 64, "d" * 64]
    pdq = [None, "0f" * 32, None, None, "0f" * 32, "f0" * 32]
    write_columns(tmp_path, vectors, sha256=sha, pdq=pdq)
    ids = names(vectors)
    assert grouped(run(spark, tmp_path)) == {ids[0]: {ids[0], ids[2]}, ids[1]: {ids[1], ids[4]}}


def test_all_but_the_kept_are_taken_down_and_nothing_whose_kept_is_not_there(spark: Any, tmp_path: Path) -> None:
    vectors = np.repeat(unit_vectors(5, DIM), 2, axis=0)
    write_embeddings(tmp_path / "emb", vectors, numbered(10))
    index, ids = str(tmp_path / "index"), names(vectors)
    build_index(lambda: None, IndexSpec(embeddings=(str(tmp_path / "emb"),), output=index, index_key="Flat"))
    remove_records(lambda: None, RemoveSpec(index=index, ids=(ids[4],)))
    for told in ("4 records taken down", "0 records taken down"):
        assert told in run(spark, tmp_path, remove=index).news
    with Searcher.open(index) as searcher:
        hits = searcher.search_embedding(vectors[0], 10)
    assert {hit.record["record_id"] for hit in hits} == {ids[row] for row in (0, 2, 5, 6, 8)}


def test_a_killed_run_goes_on_and_ends_as_one_that_was_not(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = with_doubles(300, 200)
    write_embeddings(tmp_path / "emb", vectors, numbered(500), shard_rows=100)
    whole, written = run(spark, tmp_path, "whole"), []
    from clip_spark.analysis.duplicates import write

    real = write.has_receipt

    def until_killed(output: str, number: int) -> bool:
        done = real(output, number)
        if not done:
            written.append(number)
            if len(written) == 3:
                raise KeyboardInterrupt
        return done

    monkeypatch.setattr(write, "has_receipt", until_killed)
    with pytest.raises(KeyboardInterrupt):
        run(spark, tmp_path)
    assert found(run(spark, tmp_path)) == found(whole) and written == [0, 1, 2, 2, 3, 4]
    assert run(spark, tmp_path).created == run(spark, tmp_path).created
