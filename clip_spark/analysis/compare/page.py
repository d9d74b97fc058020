"""*Driver.* The page of compare-models: one HTML file that stands alone, with the texts that the models disagree on."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any

from clip_spark.analysis.compare.step import Compared, compared_tables
from clip_spark.datasets.html_page import Markup, heading, page, table
from clip_spark.pictures.items import Picture
from clip_spark.search.contact_sheet import inline_tag, small_picture

MOST = 24
"""Texts that are shown."""


def compare_page(found: Compared) -> str:
    """*Driver.* The tables of a comparison, what each model finds everywhere, and where the models differ."""
    parts = [part for each in compared_tables(found) for part in (heading(each.title), table(each.columns, each.rows))]
    return page("Models compared", [heading("Models compared", 1), *parts, *_hubs(found), *_differences(found)])


def _hubs(found: Compared) -> list[str]:
    """The picture and the text that each model finds most often."""
    columns = ("model", "picture", "in the first ten of", "text", "in the first ten of")
    rows = [
        (
            model,
            _shown(found.sample.pictures[pictures.hub_at]),
            f"{pictures.hub:.1%}",
            found.texts[texts.hub_at],
            f"{texts.hub:.1%}",
        )
        for model, (pictures, texts) in found.found.items()
    ]
    return [heading("found everywhere"), table(columns, rows)]


def _differences(found: Compared) -> list[str]:
    """Texts whose first picture is right for some models and wrong for others."""
    rows: list[tuple[Any, ...]] = []
    for row in _split(found):
        shown = (
            _shown(found.sample.pictures[pictures.first[row]], "✓" if pictures.right[row] else "✗")
            for pictures, _ in found.found.values()
        )
        rows.append((found.texts[row], *shown))
    if not rows:
        return []
    return [heading("texts that the models answer differently"), table(("text", *found.found), rows)]


def _split(found: Compared) -> Iterator[int]:
    """Rows of such texts, at most MOST, spread over the sample."""
    right = [pictures.right for pictures, _ in found.found.values()]
    rows = [row for row in range(len(found.texts)) if len({bool(each[row]) for each in right}) > 1]
    yield from rows[:: max(1, -(-len(rows) // MOST))]


def _shown(picture: Picture, mark: str = "") -> Markup:
    """A thumbnail inside the page, and a mark behind it."""
    return Markup(f"{inline_tag(small_picture(picture.data))} {html.escape(mark)}")
