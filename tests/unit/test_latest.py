"""The latest values by key."""

from __future__ import annotations

from clip_spark.web.latest import Latest


def test_what_was_not_used_for_longest_goes() -> None:
    kept = Latest[str, int](2)
    kept.put("a", 1)
    kept.put("b", 2)
    assert kept.get("a") == 1
    kept.put("c", 3)
    assert (kept.get("a"), kept.get("b"), kept.get("c")) == (1, None, 3)
