"""*Driver.* The page of compare-models: one HTML file that stands alone, with the texts that the models disagree on."""

from __future__ import annotations

import html
from collections.abc import Iterator

from clip_spark.analysis.compare.step import Compared, compared_tables
from clip_spark.pictures.items import Picture
from clip_spark.search.contact_sheet import PAGE, inline_tag, small_picture

MOST = 24
"""Texts that are shown."""


def compare_page(found: Compared) -> str:
    """*Driver.* The tables of a comparison, what each model finds everywhere, and where the models differ."""
    tables = "".join(_table(table.title, table.columns, table.rows) for table in compared_tables(found))
    return PAGE.format(title="Models compared", body=f"{tables}{_hubs(found)}{_differences(found)}")


def _table(title: str, columns: tuple[str, ...], rows: object) -> str:
    head = "".join(f"<th>{html.escape(column)}" for column in columns)
    lines = (
        "<tr>" + "".join(f"<td{'' if isinstance(cell, str) else ' class=n'}>{html.escape(str(cell))}" for cell in row)
        for row in rows  # type: ignore[attr-defined]
    )
    return f"<h2>{html.escape(title)}</h2><table><tr>{head}{''.join(lines)}</table>"


def _hubs(found: Compared) -> str:
    """The picture and the text that each model finds most often."""
    rows = []
    for model, (pictures, texts) in found.found.items():
        rows.append(
            f"<tr><td>{html.escape(model)}<td>{_shown(found.sample.pictures[pictures.hub_at])}<td class=n>"
            f"{pictures.hub:.1%}<td>{html.escape(found.texts[texts.hub_at])}<td class=n>{texts.hub:.1%}"
        )
    head = "<tr><th>model<th>picture<th>in the first ten of<th>text<th>in the first ten of"
    return f"<h2>found everywhere</h2><table>{head}{''.join(rows)}</table>"


def _differences(found: Compared) -> str:
    """Texts whose first picture is right for some models and wrong for others."""
    rows = []
    for row in _split(found):
        cells = []
        for pictures, _ in found.found.values():
            mark = "✓" if pictures.right[row] else "✗"
            cells.append(f"<td>{_shown(found.sample.pictures[pictures.first[row]])} {mark}")
        rows.append(f"<tr><td>{html.escape(found.texts[row])}{''.join(cells)}")
    if not rows:
        return ""
    head = "<tr><th>text" + "".join(f"<th>{html.escape(model)}" for model in found.found)
    return f"<h2>texts that the models answer differently</h2><table>{head}{''.join(rows)}</table>"


def _split(found: Compared) -> Iterator[int]:
    """Rows of such texts, at most MOST, spread over the sample."""
    right = [pictures.right for pictures, _ in found.found.values()]
    rows = [row for row in range(len(found.texts)) if len({bool(each[row]) for each in right}) > 1]
    yield from rows[:: max(1, -(-len(rows) // MOST))]


def _shown(picture: Picture) -> str:
    """A thumbnail inside the page."""
    return inline_tag(small_picture(picture.data))
