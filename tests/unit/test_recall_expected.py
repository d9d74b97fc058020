"""The recall that an answer promises: measured, exact, or honestly unknown."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from clip_spark.index.files.layout import Effort, SearchSettings
from clip_spark.search.hits import Wanted
from clip_spark.web.metrics import Timings
from clip_spark.web.served import ServedIndex


def served(recall: float, cross: Any, rerank: int = 0) -> ServedIndex:
    """An index of pictures whose searches have that recall."""
    effort = Effort(10, SearchSettings(4, 0, rerank), recall)
    size = {"settings": effort.settings, "vectors": (), "dim": 1, "rows": 1}
    info = SimpleNamespace(key="IVF4,Flat", modality="image", measured={"recall_at_10_cross": cross}, **size)
    return ServedIndex(
        "i",
        SimpleNamespace(info=info, effort=lambda wanted: effort, parts=None, pieces=None, in_pieces=False),
        Timings(),
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("recall", "cross", "kind", "rerank", "expected"),
    [
        (1.0, "not measured", "text", 0, 1.0),  # exact
        (0.96, "not measured", "image", 0, 0.96),
        (0.96, "not measured", "text", 0, None),
        (0.96, "not measured", "mixed", 0, None),
        (0.96, 0.97, "text", 0, 0.96),
        (1.0, "not measured", "text", 4, None),  # all lists of a compressed index are not all vectors
        (math.nan, 0.97, "image", 0, None),
    ],
)
def test_what_an_answer_promises(recall: float, cross: Any, kind: str, rerank: int, expected: float | None) -> None:
    assert served(recall, cross, rerank).recall_expected(Wanted(k=10), kind) == expected
