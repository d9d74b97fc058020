"""*Pure.* What a job tells its user at the end: tables, as data; `console` draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Table:
    """Rows for a person to read; numbers are right-aligned when drawn."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]


def overview(report: dict[str, Any]) -> Table:
    """*Pure.* The few figures of a `report.json` that everybody wants."""
    rows: list[tuple[Any, ...]] = [
        ("rows in", report["rows_in"]),
        ("rows out", report["rows_out"]),
        *[(f"rejected: {reason}", count) for reason, count in sorted(report["rejects"].items())],
        ("shards", report["shards"]),
        ("bytes", report["bytes"]),
        ("seconds", report["wall_seconds"]),
    ]
    return Table(report["kind"], ("what", "value"), rows)
