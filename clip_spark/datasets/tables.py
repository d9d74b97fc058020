"""*Pure.* What a job tells its user at the end: tables, as data; `console` draws them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Table:
    """Rows for a person to read; numbers are right-aligned when drawn."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]


def as_plain(tables: Iterable[Table]) -> list[dict[str, Any]]:
    """*Pure.* The same for JSON: of each table its title, and each row by its columns."""
    return [
        {"title": table.title, "rows": [dict(zip(table.columns, row, strict=True)) for row in table.rows]}
        for table in tables
    ]


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
