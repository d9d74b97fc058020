"""The server ranks as its index has learnt to and says what scores mean; an empty answer tells the best there was."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clip_spark.index.build.build import build_index
from clip_spark.index.specs import IndexSpec
from clip_spark.search.hits import Wanted
from clip_spark.search.searcher import Searcher
from clip_spark.web.answers import SearchAnswer
from clip_spark.web.finding import Asked, Page, find
from clip_spark.web.metrics import Timings
from clip_spark.web.served import ServedIndex
from tests.helpers_embeddings import numbered, write_embeddings

DIM, TOPICS = 24, 50
RNG = np.random.default_rng(3)
CENTRES = RNG.normal(size=(TOPICS, DIM))


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


PICTURES = unit(CENTRES[RNG.integers(0, TOPICS, 300)] + 0.8 * RNG.normal(size=(300, DIM)) + RNG.normal(size=DIM))
TEXTS = unit(np.vstack([CENTRES + 0.5 * RNG.normal(size=CENTRES.shape), PICTURES.mean(axis=0)]))


def no_spark() -> Any:
    raise AssertionError("a small index needs no session")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> ServedIndex:
    folder: Path = tmp_path_factory.mktemp("hubs")
    write_embeddings(folder / "texts", TEXTS, numbered(len(TEXTS)))
    write_embeddings(folder / "pictures", PICTURES[:200], numbered(200), modality="image")
    output = str(folder / "index")
    sets = {"embeddings": (str(folder / "texts"),), "queries": str(folder / "pictures")}
    build_index(no_spark, IndexSpec(**sets, output=output, index_key="Flat"))
    return ServedIndex("texts", Searcher.open(output), Timings())


def test_requests_alone_and_together_are_ranked_alike(served: ServedIndex) -> None:
    asked = PICTURES[200:220]
    expected, plain = (served.searcher.search_positions(asked, Wanted(k=6), kind=kind)[1] for kind in ("image", ""))
    alone = [[hit.position for hit in served.nearest(one, Wanted(k=6), kind="image")] for one in asked]

    async def all_at_once() -> Any:
        return await asyncio.gather(*(served.nearest_soon(one, Wanted(k=6), 2, "image") for one in asked))

    together = asyncio.run(all_at_once())
    assert alone == expected.tolist() == [[hit.position for hit in hits] for hits in together]
    assert alone != plain.tolist()
    cosines = [[hit.score for hit in hits] for hits in together]
    assert np.allclose(cosines, np.take_along_axis(asked @ TEXTS.T, expected, 1), atol=1e-6)


def test_hits_bring_their_chance_and_an_empty_answer_the_best(served: ServedIndex) -> None:
    found = find(served, Asked(PICTURES[200], "image"), Page(Wanted(k=5))).to_json()
    answer = SearchAnswer.model_validate(found)
    assert len(answer.hits) == 5 and all(0 < hit.chance <= 1 for hit in answer.hits) and answer.best is None
    nothing = np.linalg.svd(np.concatenate([TEXTS, PICTURES]))[2][-1].astype(np.float32)  # as far from all as can be
    answer = SearchAnswer.model_validate(
        find(served, Asked(nothing, "image"), Page(Wanted(k=5, relevant=0.99))).to_json()
    )
    assert not answer.hits and answer.best is not None and 0 < answer.best.chance <= 1
    unknown = find(served, Asked(PICTURES[200], "text"), Page(Wanted(k=5))).to_json()
    assert all("chance" not in hit for hit in unknown["hits"])
