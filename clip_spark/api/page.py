"""*Driver.* A dataset as a piece of HTML, for notebooks."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clip_spark.datasets.schema import EMBEDDING
from clip_spark.search.contact_sheet import picture_tag

if TYPE_CHECKING:
    from clip_spark.api.dataset import Dataset

SHOWN_ROWS = 10
SHOWN_NUMBERS = 4
"""Of an embedding."""
LONG = 60
"""Characters of a cell."""
STYLE = """.clip-spark td,.clip-spark th{text-align:left;vertical-align:middle;padding:2px 8px}
.clip-spark td.n{text-align:right} .clip-spark img{max-height:64px;max-width:96px}"""


def dataset_section(dataset: Dataset) -> str:
    """*Driver.* What it holds and where, what was dropped, and the first rows."""
    figures = [f"{dataset.rows:,} rows", *(f"{count:,} rejected: {why}" for why, count in dataset.rejects.items())]
    said = html.escape(", ".join(figures))
    head = f"<b>{html.escape(dataset.kind)}</b> {said}<br><code>{html.escape(dataset.uri)}</code>"
    rows = [] if dataset.kind == "index" else dataset.to_arrow(limit=SHOWN_ROWS).to_pylist()
    return f"<section class=clip-spark><style>{STYLE}</style>{head}{rows_table(rows)}</section>"


def rows_table(rows: list[dict[str, Any]]) -> str:
    """*Driver.* Some rows; columns that are empty in all of them are left out, pictures are shown."""
    if not rows:
        return ""
    names = [name for name in rows[0] if any(row[name] not in (None, "") for row in rows)]
    pictures = "image_id" in rows[0] or any(row.get("kind") == "image" for row in rows)
    head = "".join(f"<th>{html.escape(name)}" for name in (["picture"] if pictures else []) + names)
    body = "".join(f"<tr>{_picture(row) if pictures else ''}{''.join(_cell(n, row[n]) for n in names)}" for row in rows)
    return f"<table><tr>{head}{body}</table>"


def _picture(row: Mapping[str, Any]) -> str:
    return f"<td>{picture_tag(row)}"


def _cell(name: str, value: Any) -> str:
    if name == EMBEDDING:
        return f"<td>{', '.join(f'{x:.3f}' for x in value[:SHOWN_NUMBERS])}, … ({len(value)})"
    if isinstance(value, float):
        return f"<td class=n>{value:,.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"<td class=n>{value:,}"
    text = "" if value is None else str(value)
    return f"<td>{html.escape(text if len(text) <= LONG else text[:LONG] + '…')}"
