"""An open index lets go of its files when nobody uses it, and a store that is down holds no search up."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import pytest

from clip_spark.errors import StorageError
from clip_spark.index.build.build import build_index
from clip_spark.index.change.remove import remove_records
from clip_spark.index.open import removals
from clip_spark.index.open.parts import _open_part
from clip_spark.index.specs import IndexSpec, RemoveSpec
from clip_spark.search.hits import Wanted
from clip_spark.search.searcher import Searcher
from tests.helpers_embeddings import numbered, unit_vectors, write_embeddings

MAPS = Path("/proc/self/maps")
SECONDS = 60


def no_spark() -> None:
    raise AssertionError("no session is needed here")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(removals, "LOCAL_SECONDS", 0.02)
    write_embeddings(tmp_path / "emb", unit_vectors(200), numbered(200), shard_rows=50)
    build_index(no_spark, IndexSpec(embeddings=str(tmp_path / "emb"), output=str(tmp_path / "index"), parts=2))
    remove_records(no_spark, RemoveSpec(index=str(tmp_path / "index"), where="text = 'text 9'"))
    return str(tmp_path / "index")


def texts(searcher: Searcher) -> list[str]:
    (hits,) = searcher.search(unit_vectors(200)[:1], Wanted(k=5, where="n = 2", unique=0.999))
    return [hit.record["text"] for hit in hits]


def mapped(index: str) -> int:
    return MAPS.read_text().count(index)


def watching() -> int:
    return sum(thread.name == "removals" for thread in threading.enumerate())


def wait_until(so: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not so():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.skipif(not MAPS.exists(), reason="needs /proc")
def test_a_searcher_that_nobody_holds_is_gone_without_a_garbage_collection(index: str) -> None:
    before = watching()
    gc.collect()
    gc.disable()  # as good as frozen, which is what a Spark worker's objects are
    try:
        for _ in range(3):
            searcher = Searcher.open(index)
            searcher.hold()
            assert len(texts(searcher)) == 5 and mapped(index) >= 4
        del searcher
        wait_until(lambda: mapped(index) == 0)  # the thread that looks for takedowns may hold it while it looks
    finally:
        gc.enable()
    wait_until(lambda: watching() <= before)


@pytest.mark.skipif(not MAPS.exists(), reason="needs /proc")
def test_a_closed_searcher_lets_go_of_its_files(index: str) -> None:
    with Searcher.open(index) as searcher:
        texts(searcher)
    assert mapped(index) == 0


def test_no_search_asks_the_store_for_takedowns(index: str, monkeypatch: pytest.MonkeyPatch) -> None:
    searcher = Searcher.open(index)
    before = texts(searcher)
    asked: list[str] = []

    def down(uri: str) -> None:
        asked.append(threading.current_thread().name)
        raise StorageError("the store is down")

    monkeypatch.setattr(removals, "takedowns", down)
    end = time.monotonic() + SECONDS
    while not searcher.parts.outdated:
        assert texts(searcher) == before and time.monotonic() < end
    assert searcher.parts.outdated == "takedowns cannot be read: the store is down"
    assert set(asked) == {"removals"}
    monkeypatch.undo()
    remove_records(no_spark, RemoveSpec(index=index, where=f"text = '{before[0]}'"))
    while before[0] in texts(searcher):
        assert time.monotonic() < end
    assert searcher.parts.outdated == ""


ENDS_WHILE_OTHERS_WORK = """
import sys, threading, time
from clip_spark.index.open import removals
removals.LOCAL_SECONDS = 0.01
from clip_spark.search.searcher import Searcher
searcher = Searcher.open(sys.argv[1])
threading.Thread(target=time.sleep, args=(0.5,)).start()
"""


def test_a_process_that_ends_with_an_open_index_says_nothing(index: str) -> None:
    """Its main thread is over while others still work, and Python starts no thread any more."""
    done = subprocess.run([sys.executable, "-c", ENDS_WHILE_OTHERS_WORK, index], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_takedowns_are_looked_for_again_after_a_thread_could_not_start(
    index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(uri: str) -> None:
        raise RuntimeError("can't start new thread")

    searcher = Searcher.open(index)
    monkeypatch.setattr(removals, "takedowns", no_thread)
    wait_until(lambda: searcher.parts.outdated == "takedowns cannot be read: can't start new thread")
    monkeypatch.undo()
    wait_until(lambda: searcher.parts.outdated == "")


def test_a_search_in_a_mapped_file_starts_no_threads(tmp_path: Path) -> None:
    vectors = unit_vectors(2000)
    index = faiss.index_factory(vectors.shape[1], "IVF64,Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add_with_ids(vectors, np.arange(2000))
    faiss.write_index(index, str(tmp_path / "part"))
    found = _open_part(2000, str(tmp_path / "part"))
    lists = faiss.downcast_InvertedLists(faiss.extract_index_ivf(found).invlists)
    assert isinstance(lists, faiss.OnDiskInvertedLists) and lists.prefetch_nthread == 0
    asked = faiss.SearchParametersIVF(nprobe=8)
    for mine, other in zip(*(each.search(vectors[:9], 5, params=asked) for each in (found, index)), strict=True):
        np.testing.assert_array_equal(mine, other)
