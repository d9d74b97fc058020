"""*Worker.* The page of describe-set: one HTML file that stands alone."""

from __future__ import annotations

import html
from typing import Any

from clip_spark.search.contact_sheet import PAGE, picture_tag

WIDTH, HEIGHT = 320, 36
"""Pixels of a distribution."""


def describe_page(found: dict[str, Any]) -> str:
    """*Worker.* The page for a summary."""
    intro = (
        f"<p>{found['images']:,} images. For each image the best text of each class (column "
        f"<b>{html.escape(found['column'])}</b>); scores are cosines.</p>"
    )
    body = intro + _overview(found) + "".join(map(_section, found["classes"]))
    return PAGE.format(title="How the pictures are described", body=body)


def _overview(found: dict[str, Any]) -> str:
    bins = sorted(int(low) for each in found["classes"] for low in each["bins"])
    rows = []
    for each in found["classes"]:
        figures = "".join(f"<td class=n>{value:.3f}" for value in (each["mean"], *each["quantiles"]))
        rows.append(
            f"<tr><td>{html.escape(each['class'])}<td class=n>{each['images']:,}{figures}"
            f"<td>{_histogram(each['bins'], bins[0], bins[-1])}"
        )
    unit = found["bins_per_unit"]
    scale = f"best scores from {bins[0] / unit:.2f} to {(bins[-1] + 1) / unit:.2f}" if bins else ""
    head = f"<tr><th>class<th>images<th>mean best score<th>10 %<th>median<th>90 %<th>{scale}"
    return f"<table>{head}{''.join(rows)}</table>"


def _histogram(counts: dict[str, int], first: int, last: int) -> str:
    """*Pure.* Bars of a class; all classes share the scale from bin `first` to bin `last`."""
    width, most = WIDTH / (last - first + 1), max(counts.values())
    bars = []
    for low, count in counts.items():
        height = HEIGHT * count / most
        left = (int(low) - first) * width
        bars.append(f'<rect x="{left:.1f}" y="{HEIGHT - height:.1f}" width="{width - 0.5:.1f}" height="{height:.1f}"/>')
    return f'<svg width="{WIDTH}" height="{HEIGHT}">{"".join(bars)}</svg>'


def _section(each: dict[str, Any]) -> str:
    rows = [
        f"<tr><td>{html.escape(tag['text'])}<td class=n>{tag['images']:,}<td class=n>{tag['mean']:.3f}"
        f"<td>{''.join(picture_tag({'uri': uri}) for uri in tag['examples'])}"
        for tag in each["tags"]
    ]
    head = "<tr><th>tag<th>images<th>mean score<th>examples"
    return f"<h2>class {html.escape(each['class'])}</h2><table>{head}{''.join(rows)}</table>"
