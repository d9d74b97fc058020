"""Parts that another tool has written are changed as if clip-spark had."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pytest

from clip_spark.index.change.opened_parts import emptied, erasable
from clip_spark.index.files.faiss_library import inverted_of
from clip_spark.index.open.vectors import ids_by_list
from tests.helpers_embeddings import unit_vectors

ROWS, DIM = 300, 32
VECTORS = unit_vectors(ROWS, DIM)
GONE = np.array([0, 7, 299])
MAPS = {"none": faiss.DirectMap.NoMap, "array": faiss.DirectMap.Array, "hashes": faiss.DirectMap.Hashtable}


def part(path: Path, key: str, places: str = "none") -> str:
    """A file; `places` is the map from ids to places in its lists that its tool left in it."""
    index = faiss.index_factory(DIM, key, faiss.METRIC_INNER_PRODUCT)
    index.train(VECTORS)
    if key.startswith("IDMap"):
        index.add_with_ids(VECTORS, np.arange(ROWS))
    else:
        index.add(VECTORS)
    if places != "none":
        inverted_of(index).set_direct_map_type(MAPS[places])
    faiss.write_index(index, str(path))
    return str(path)


@pytest.mark.parametrize("places", MAPS)
@pytest.mark.parametrize("key", ["IVF4,Flat", "OPQ8_32,IVF4,SQ8"])
def test_lists_lose_vectors_whatever_knew_their_places(tmp_path: Path, key: str, places: str) -> None:
    index = erasable(part(tmp_path / "part", key, places))
    assert index.remove_ids(GONE) == len(GONE) and index.ntotal == ROWS - len(GONE)
    left = np.sort(np.concatenate(list(ids_by_list(index))))
    np.testing.assert_array_equal(left, np.setdiff1d(np.arange(ROWS), GONE))


@pytest.mark.parametrize("key", ["Flat", "IDMap,Flat", "SQ8"])
def test_vectors_keep_their_ids_when_others_go(tmp_path: Path, key: str) -> None:
    index = erasable(part(tmp_path / "part", key))
    index.remove_ids(GONE)
    _, found = index.search(VECTORS, 1)
    stay = np.setdiff1d(np.arange(ROWS), GONE)
    np.testing.assert_array_equal(found[stay, 0], stay)
    assert not np.isin(found, GONE).any()


@pytest.mark.parametrize("places", MAPS)
@pytest.mark.parametrize("key", ["IVF4,Flat", "OPQ8_32,IVF4,SQ8"])
def test_an_emptied_part_takes_vectors_as_a_new_one(tmp_path: Path, key: str, places: str) -> None:
    index = emptied(part(tmp_path / "part", key, places))
    assert index.ntotal == 0
    index.add_with_ids(VECTORS[:100], np.arange(900, 1000))
    assert np.sort(np.concatenate(list(ids_by_list(index)))).tolist() == list(range(900, 1000))
    assert index.search(VECTORS[5:6], 1)[1][0, 0] == 905
