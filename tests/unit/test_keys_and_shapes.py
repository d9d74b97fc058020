"""What a key says of an index, and what an opened part of it shows, are the same."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from clip_spark.index.files import keys, shapes
from clip_spark.index.files.faiss_library import has_rabitq
from clip_spark.index.open.vectors import as_compared
from tests.helpers_embeddings import unit_vectors

ROWS, DIM = 400, 32
KINDS = (
    "Flat", "IDMap,Flat", "SQ8", "IDMap,SQ8", "PCA16,Flat", "HNSW8", "IDMap,HNSW8", "HNSW8_SQ8", "PCA16,HNSW8",
    "IVF4,Flat", "IVF4_HNSW8,Flat", "IVF4,SQ8", "IVF4,SQfp16", "IVF4,PQ8x4", "OPQ8_32,IVF4_HNSW8,PQ8x4",
    *(["RR32,IVF4,RaBitQ"] if has_rabitq() else []),
)  # fmt: skip


@pytest.fixture(params=KINDS)
def part(request: pytest.FixtureRequest) -> faiss.Index:
    index = faiss.index_factory(DIM, request.param, faiss.METRIC_INNER_PRODUCT)
    index.train(unit_vectors(ROWS, DIM))
    if isinstance(index, faiss.IndexIDMap):
        index.add_with_ids(unit_vectors(ROWS, DIM), np.arange(ROWS))
    else:
        index.add(unit_vectors(ROWS, DIM))
    return index


def test_a_key_says_what_its_part_shows(part: faiss.Index) -> None:
    key = shapes.key_of(part)
    assert keys.is_graph(key) == shapes.is_graph(part)
    assert keys.keeps_vectors(key) == shapes.keeps_vectors(part)
    assert keys.widest(key, ROWS) == shapes.reach(part)


def test_vectors_are_kept_where_the_part_gives_back_each_bit(part: faiss.Index) -> None:
    lists = faiss.try_extract_index_ivf(part) if "IVF" in shapes.key_of(part) else None
    numbers = [0] if lists is None else range(lists.nlist)
    sizes = [ROWS] if lists is None else [lists.invlists.list_size(number) for number in numbers]
    found = np.concatenate([as_compared(part, *one) for one in zip(numbers, map(np.arange, sizes), strict=True)])
    kept = {row.tobytes() for row in found} == {row.tobytes() for row in unit_vectors(ROWS, DIM)}
    assert shapes.keeps_vectors(part) == kept
