"""Files that a user names: the ending says the format, and what has none is told so as a file."""

from __future__ import annotations

import pytest

from clip_spark.errors import SpecError
from clip_spark.search.spec import SearchSpec


@pytest.mark.parametrize("name", [".", "hits", "out/", "hits.txt", "s3://bucket/a.b/hits"])
def test_hits_are_saved_to_a_file_with_an_ending_that_is_known(name: str) -> None:
    with pytest.raises(SpecError, match=r"must be a file whose name ends in one of \.jsonl, \.csv, \.parquet"):
        SearchSpec(index="i", text="a", save=name)


def test_each_known_ending_is_taken() -> None:
    for name in ("hits.jsonl", "s3://bucket/hits.csv", "out.d/hits.parquet"):
        assert SearchSpec(index="i", text="a", save=name).save == name
