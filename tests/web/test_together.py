"""Queries of several requests share a forward pass, and nobody can tell from the vectors."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from clip_spark.errors import SpecError
from clip_spark.search.hits import Wanted
from clip_spark.web.catalog import Catalog
from clip_spark.web.shared_search import search_shared
from clip_spark.web.together import MOST, Together

TEXTS = ["a cat", "two dogs on a very green meadow", "flag", "a person with a red hat", "x"]


class Slow:
    """Encodes numbers as they are; its first pass waits until it is let go."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.begun, self.go = threading.Event(), threading.Event()

    def encode(self, items: list[float]) -> np.ndarray:
        self.sizes.append(len(items))
        self.begun.set()
        assert self.go.wait(60)
        if any(item < 0 for item in items):
            raise SpecError("negative")
        return np.array([[item] for item in items], np.float32)


def run_behind_one(slow: Slow, items: list[float]) -> tuple[Together, list[Any]]:
    """The results of queries that all came while the pass of another one, 0, ran."""
    together = Together()
    with ThreadPoolExecutor(len(items) + 1) as pool:
        first = pool.submit(together, slow.encode, 0.0)
        assert slow.begun.wait(60)
        others = [pool.submit(together, slow.encode, item) for item in items]
        while len(together._waiting) < len(items):
            threading.Event().wait(0.001)
        slow.go.set()
        assert first.result(60) == 0
        return together, [other.exception(60) or float(other.result()[0]) for other in others]


def test_what_comes_during_a_pass_shares_the_next() -> None:
    slow = Slow()
    _, found = run_behind_one(slow, [3.0, 1.0, 2.0])
    assert found == [3.0, 1.0, 2.0]
    assert slow.sizes == [1, 3]


def test_a_pass_has_a_limit() -> None:
    slow = Slow()
    items = [float(number) for number in range(MOST + 3)]
    _, found = run_behind_one(slow, items)
    assert found == items and slow.sizes == [1, MOST, 3]


def test_a_query_that_fails_fails_alone() -> None:
    _, found = run_behind_one(Slow(), [1.0, -1.0, 2.0])
    assert found[0] == 1.0 and found[2] == 2.0 and isinstance(found[1], SpecError)


def test_queries_that_are_encoded_differently_do_not_mix() -> None:
    slow, other = Slow(), Slow()
    other.go.set()
    together = Together()
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(together, slow.encode, 0.0)
        assert slow.begun.wait(60)
        others = [pool.submit(together, one.encode, 1.0) for one in (slow, other)]
        slow.go.set()
        assert [one.result(60) for one in (first, *others)] == [0, 1, 1]
    assert other.sizes == [1] and sum(slow.sizes) == 2


def test_a_shared_search_finds_what_each_would_alone(catalog: Catalog) -> None:
    parts = catalog.get("images").searcher.parts
    vectors = parts.vectors.take(np.arange(12))
    alone = [parts.search(vector[None], 5 + row % 2) for row, vector in enumerate(vectors)]
    with ThreadPoolExecutor(12) as pool:
        shared = list(pool.map(lambda row: search_shared(parts, vectors[row][None], 5 + row % 2), range(12)))
    for mine, other in zip(shared, alone, strict=True):
        np.testing.assert_array_equal(mine[0], other[0])
        np.testing.assert_array_equal(mine[1], other[1])


def test_an_event_loop_waits_for_a_pass_without_standing_still() -> None:
    slow = Slow()

    async def ask() -> list[Any]:
        together = Together()
        asked = [asyncio.ensure_future(together.soon(slow.encode, item)) for item in (1.0, -1.0, 2.0, 3.0)]
        asked[3].cancel()  # its client has gone away
        while not slow.begun.is_set():
            await asyncio.sleep(0.001)
        slow.go.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    found = asyncio.run(ask())
    assert found[0] == [1.0] and found[2] == [2.0]
    assert isinstance(found[1], SpecError) and isinstance(found[3], asyncio.CancelledError)


def test_a_plain_search_for_the_event_loop_finds_what_others_do(catalog: Catalog) -> None:
    served = catalog.get("images")
    vectors = served.searcher.parts.vectors.take(np.arange(20))
    wanted = [Wanted(k=5 + row % 2, unique=0.95 * (row % 3 == 2)) for row in range(20)]

    async def ask() -> list[Any]:
        return await asyncio.gather(*(served.nearest_soon(vectors[row], wanted[row], 3) for row in range(20)))

    for row, found in enumerate(asyncio.run(ask())):
        assert found == served.nearest(vectors[row], wanted[row], records=3)


@pytest.mark.parametrize("kind", ["texts", "pictures"])
def test_a_shared_pass_changes_no_vector(catalog: Catalog, client: Any, kind: str) -> None:
    encoder = catalog.get("images").searcher.encoder
    if kind == "texts":
        alone = np.stack([encoder.encode_texts([text])[0] for text in TEXTS])
        shared = encoder.encode_texts(TEXTS)
    else:
        paths = [one["picture"] for one in client.get("/sample?k=5").json()["records"]]
        pixels = [encoder.prepare(client.get(f"/{path}").content).values for path in paths]
        alone = np.stack([encoder.encode_pixels(np.stack([one]))[0] for one in pixels])
        shared = encoder.encode_pixels(np.stack(pixels))
    assert np.abs(alone - shared).max() < 1e-6
