"""An output has nothing to do with its inputs, and what lies beside them is no part of them."""

from __future__ import annotations

import pytest

from clip_spark.datasets.apart import relation


@pytest.mark.parametrize(
    ("output", "other", "found"),
    [
        ("/d/x", "/d/x", "is"),
        ("/d", "/d/x", "contains"),
        ("/d/x/out", "/d/x", "lies inside"),
        ("/d/xy", "/d/x", ""),
        ("/d/out", "/d/*.csv", ""),
        ("/d", "/d/*.csv", "contains"),
        ("/d/out", "/d/*", "lies inside"),
        ("/d/a/out", "/d/*", "lies inside"),
        ("/d/a/out", "/d/**/*.txt", "lies inside"),
        ("/p/emb", "/p/My Photos [2023]", ""),
        ("/p/My Photos [2023]/emb", "/p/My Photos [2023]", "lies inside"),
        ("/p", "/p/My Photos [2023]", "contains"),
        ("s3://b/out", "s3://b/out-of-others", ""),
        ("s3://b/in/out", "s3://b/in", "lies inside"),
    ],
)
def test_two_places(output: str, other: str, found: str) -> None:
    assert relation(output, other) == found
