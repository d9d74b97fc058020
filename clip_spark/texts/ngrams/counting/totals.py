"""*Pure.* Totals of a count: lines, tokens, bytes, and by order how many n-grams there were and are.

Tasks sum them up in the counters of their receipts: those of splits hold `lines`, `tokens`, `positions_2`, ..., those
of shards `survivors_2`, ...; the manifest of counts holds them under `extra`, where filter-ngrams finds what PMI needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from clip_spark.datasets.receipt import Receipt

BY_ORDER = ("positions", "distinct", "survivors")
"""n-grams counted with repeats; different ones that were looked at; different ones that reach the min count."""


OF_CORPUS = ("lines", "bytes", "tokens", "lines_with_replaced_bytes")


def key(name: str, order: int) -> str:
    """*Pure.* Name of a counter that holds one of BY_ORDER for one order."""
    return f"{name}_{order}"


def extra(least: Mapping[int, int], receipts: Sequence[Receipt]) -> dict[str, Any]:
    """*Pure.* What a manifest of counts says beside its receipts.

    Returns:
        OF_CORPUS, and `orders`: order (as text, for JSON) -> min_count, positions, distinct, survivors. `distinct`
        counts all words; of longer n-grams only those whose words all reach the smallest min count of these orders,
        because the others cannot reach it either and are never looked at.
    """
    sums: Counter[str] = sum((Counter(receipt.counters) for receipt in receipts), Counter())
    orders = {
        str(n): {"min_count": count, **{name: int(sums[key(name, n)]) for name in BY_ORDER}}
        for n, count in least.items()
    }
    return {**{name: int(sums[name]) for name in OF_CORPUS}, "orders": orders}
