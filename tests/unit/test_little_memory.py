"""Codes of few bits: which are chosen, what they take, and that exact comparison makes up for them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from clip_spark.errors import SpecError
from clip_spark.index.build.choose_key import choose_key
from clip_spark.index.build.exact import exact_hits
from clip_spark.index.build.questions import make_questions, recalls
from clip_spark.index.build.train import QUERY_BITS, new_index, train_index
from clip_spark.index.build.tune import RERANKS, WIDER, tune
from clip_spark.index.files import keys, needed_faiss
from clip_spark.index.files.faiss_library import has_rabitq, inverted_of
from clip_spark.index.files.layout import Effort, IndexFile, IndexInfo, SearchSettings
from clip_spark.index.files.shapes import key_of
from clip_spark.index.imported.sound import check_sound
from clip_spark.index.open import vectors as stored
from clip_spark.index.open.effort import choose_effort
from clip_spark.index.open.parts import PartSet, open_part
from clip_spark.index.open.vectors import VectorStore, stored_rows
from tests.helpers_embeddings import unit_vectors

ROWS, DIM, LISTS = 3000, 64, 16
needs_rabitq = pytest.mark.skipif(not has_rabitq(), reason=f"RaBitQ needs {needed_faiss.WITH_RABITQ}")
KEY = f"RR{DIM},IVF{LISTS},RaBitQ"


def store_of(folder: Path, vectors: np.ndarray, *bounds: int) -> VectorStore:
    """float16 vectors beside parts, in a file for each two bounds."""
    files = []
    for start, end in pairwise(bounds):
        vectors[start:end].astype(np.float16).tofile(folder / f"{start}.f16")
        size = (folder / f"{start}.f16").stat().st_size
        files.append(IndexFile(f"{start}.f16", start, end - start, size, "x"))
    return VectorStore(str(folder), files, vectors.shape[1])


def file_of(parts: PartSet) -> str:
    return str(Path(parts.store.uri) / "part")


@pytest.mark.parametrize("rabitq", [False, True])
@pytest.mark.parametrize("rows", [100_000, 1_000_000, 50_000_000, 1_000_000_000])
@pytest.mark.parametrize("dim", [64, 512, 768])
def test_more_memory_never_buys_less_and_what_is_chosen_fits(rows: int, dim: int, rabitq: bool) -> None:
    taken = []
    for room in np.geomspace(rows * 16, rows * (4 * dim + 64), 60).astype(int).tolist():
        try:
            key = choose_key(rows, dim, room, 1e-3, rabitq)
        except SpecError:
            assert not taken
            continue
        taken.append(keys.bytes_per_vector(key, dim))
        assert rows * taken[-1] + keys.lists_of(key) * dim * 4 <= room
    assert taken == sorted(taken) and len(set(taken)) >= 3


def test_a_key_that_needs_a_later_faiss_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needed_faiss, "has_rabitq", lambda: False)
    with pytest.raises(SpecError, match=r"'RR32,IVF4,RaBitQ' needs faiss-cpu>=1\.11, and the Faiss here is \d"):
        new_index("RR32,IVF4,RaBitQ", 32, "ip")


def test_a_million_in_a_tenth_of_the_memory_is_a_bit_per_number() -> None:
    tenth = 120 << 20
    assert choose_key(1_000_000, 512, tenth) == "RR512,IVF4096,RaBitQ"
    assert choose_key(1_000_000, 512, tenth, rabitq=False) == "OPQ64_512,IVF4096,PQ64x8"


@needs_rabitq
@pytest.mark.parametrize("dim", [24, 64, 100, 512])
@pytest.mark.parametrize("metric", [faiss.METRIC_INNER_PRODUCT, faiss.METRIC_L2])
def test_codes_take_what_is_reckoned(dim: int, metric: int) -> None:
    index = faiss.index_factory(dim, "IVF4,RaBitQ", metric)
    assert index.code_size + keys.ID_BYTES == keys.bytes_per_vector(f"RR{dim},IVF4,RaBitQ", dim)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[PartSet, np.ndarray]:
    """Parts as a build leaves them, in files, with their vectors beside them in several more."""
    folder, vectors = tmp_path_factory.mktemp("codes"), unit_vectors(ROWS, DIM)
    index = train_index(KEY, "ip", vectors, 0)
    index.add_with_ids(vectors, np.arange(ROWS))
    faiss.write_index(index, str(folder / "part"))
    part = IndexFile("part", 0, ROWS, (folder / "part").stat().st_size, "x")
    info = IndexInfo({}, "image", DIM, "ip", KEY, SearchSettings(), (part,))
    return PartSet([open_part(str(folder), part)], info, store_of(folder, vectors, 0, 1000, 1010, ROWS)), vectors


@needs_rabitq
def test_few_bits_and_an_exact_look_find_what_is_nearest(built: tuple[PartSet, np.ndarray]) -> None:
    parts, vectors = built
    queries = unit_vectors(40, DIM, seed=3)
    true = exact_hits([(0, vectors)], queries, 10)[1]
    scores, found = parts.search(queries, 10, SearchSettings(nprobe=LISTS, rerank=64))
    assert (
        recalls(found, true).mean() > 0.95 > recalls(parts.search(queries, 10, SearchSettings(LISTS))[1], true).mean()
    )
    np.testing.assert_allclose(scores, np.einsum("nd,nmd->nm", queries, vectors[found]), atol=2e-3)
    one = np.concatenate([parts.search(query[None], 10, SearchSettings(LISTS, rerank=64))[1] for query in queries])
    np.testing.assert_array_equal(found, one)


@needs_rabitq
def test_codes_are_known_again_and_looked_through(built: tuple[PartSet, np.ndarray]) -> None:
    index, path = built[0].indexes[0], file_of(built[0])
    assert key_of(index) == KEY and inverted_of(index).qb == QUERY_BITS
    foreign = faiss.read_index(path, faiss.IO_FLAG_MMAP)
    check_sound(foreign, path)
    inverted_of(foreign).qb = 99
    with pytest.raises(ValueError, match="RaBitQ codes are damaged"):
        check_sound(foreign, path)


@needs_rabitq
def test_what_is_erased_is_found_no_more(built: tuple[PartSet, np.ndarray]) -> None:
    parts, vectors = built
    index = faiss.read_index(file_of(parts))
    index.remove_ids(np.array([5, 700]))
    inverted_of(index).nprobe = LISTS
    assert index.ntotal == ROWS - 2 and not {5, 700} & set(index.search(vectors[[5, 700]], 50)[1].ravel().tolist())
    restored = stored_rows(parts.indexes[0], 0, np.arange(3))
    np.testing.assert_allclose(np.linalg.norm(restored, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("held", [1, 7, 8192])
def test_candidates_are_compared_in_any_portions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int) -> None:
    draw, vectors = np.random.default_rng(held), unit_vectors(90, 24).astype(np.float16)
    monkeypatch.setattr(stored, "RERANK_ROWS", held)
    monkeypatch.setattr(stored, "CACHED_ROWS", 3)
    queries, positions = unit_vectors(6, 24, seed=1), draw.integers(-1, 90, (6, 11))
    positions[2] = -1
    scores = store_of(tmp_path, vectors, 0, 30, 31, 90).rescore(queries, positions)
    expected = np.einsum("nd,nmd->nm", queries, vectors[positions].astype(np.float32))
    np.testing.assert_allclose(scores, np.where(positions < 0, -np.inf, expected), atol=1e-6)


@needs_rabitq
def test_more_candidates_are_tried_before_all_lists(built: tuple[PartSet, np.ndarray]) -> None:
    parts, vectors = built
    looked: list[tuple[int, int]] = []

    class Watched:
        """Parts that note what is tried."""

        def __getattr__(self, name: str) -> Any:
            return getattr(parts, name)

        def search(self, queries: np.ndarray, k: int, settings: SearchSettings, **rest: Any) -> Any:
            looked.append((settings.rerank, settings.nprobe))
            return parts.search(queries, k, settings, **rest)

    queries = (unit_vectors(60, DIM, seed=8), None)
    (asked,) = make_questions([queries], ROWS, lambda wanted: [exact_hits([(0, vectors)], *one)[1] for one in wanted])
    (effort,) = tune(Watched(), KEY, 0.97, asked, (10,))  # type: ignore[arg-type]
    assert effort.recall >= 0.97 and effort.settings.rerank in RERANKS
    least = min(nprobe for _, nprobe in looked)
    assert all(nprobe <= WIDER * least for rerank, nprobe in looked if rerank < effort.settings.rerank)


def test_deeper_searches_compare_fewer_for_a_hit_but_none_less_in_all() -> None:
    rows = [(1, 2, 16), (10, 8, 64), (100, 8, 16), (1000, 9, 4), (10_000, 40, 4)]
    table = tuple(Effort(k, SearchSettings(nprobe, rerank=rerank), 0.96) for k, nprobe, rerank in rows)
    chosen = {k: choose_effort(table, table[1].settings, k, 1_000_000, None).settings.rerank for k in range(1, 10_001)}
    assert all(chosen[k] == rerank for k, _, rerank in rows)
    in_all = np.array([k * rerank for k, rerank in chosen.items()])
    before = np.maximum.accumulate(in_all)
    assert (in_all + np.arange(1, 10_001) >= before).all()  # whole numbers for each hit
    assert chosen[5] == 64 and chosen[11] == 64 and chosen[50] == 32 and chosen[20_000 // 4] == 4
    assert choose_effort(table, table[1].settings, 20_000, 1_000_000, None).settings.rerank == 4
