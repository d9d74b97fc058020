"""*Worker.* The page of describe-set: one HTML file that stands alone."""

from __future__ import annotations

import html
from typing import Any

from clip_spark.contact_sheet import PAGE, picture_tag


def describe_page(found: dict[str, Any]) -> str:
    """*Worker.* The page for a summary."""
    intro = (
        f"<p>{found['images']:,} images. For each image the best text of each class (column "
        f"<b>{html.escape(found['column'])}</b>); scores are cosines.</p>"
    )
    body = intro + _overview(found["classes"]) + "".join(map(_section, found["classes"]))
    return PAGE.format(title="describe-set", body=body)


def _overview(classes: list[dict[str, Any]]) -> str:
    rows = []
    for each in classes:
        low, middle, high = each["quantiles"]
        bar = f'<div class=bar style="width:{max(0.0, each["mean"]) * 300:.0f}px"></div>'
        rows.append(
            f"<tr><td>{html.escape(each['class'])}<td>{each['images']:,}<td>{each['mean']:.3f}<td>{low:.3f}"
            f"<td>{middle:.3f}<td>{high:.3f}<td>{bar}"
        )
    head = "<tr><th>class<th>images<th>mean best score<th>10 %<th>median<th>90 %<th>"
    return f"<table>{head}{''.join(rows)}</table>"


def _section(each: dict[str, Any]) -> str:
    rows = [
        f"<tr><td>{html.escape(tag['text'])}<td>{tag['images']:,}<td>{tag['mean']:.3f}"
        f"<td>{''.join(picture_tag(uri) for uri in tag['examples'])}"
        for tag in each["tags"]
    ]
    head = "<tr><th>tag<th>images<th>mean score<th>examples"
    return f"<h2>class {html.escape(each['class'])}</h2><table>{head}{''.join(rows)}</table>"
