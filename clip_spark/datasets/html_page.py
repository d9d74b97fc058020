"""*Pure.* A page that stands alone: one HTML file with tables and plots as SVG, which opens from a disk and prints.

Whatever comes in as text is escaped here; only what these functions return is HTML.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
:root {{ color-scheme: light dark; --ink: light-dark(#222, #ddd); --soft: light-dark(#5c5c5c, #a5a5a5);
  --line: light-dark(#e2e2e2, #3a3a3a); --bin: light-dark(#4a6fa5, #7fa3d8); --ok: light-dark(#2b8a5f, #4fb886);
  --failed: light-dark(#b5533c, #e08b74); background: light-dark(#fff, #191a1c) }}
body {{ font: 15px/1.45 system-ui, sans-serif; color: var(--ink); margin: 2rem auto; max-width: 64rem;
  padding: 0 1rem }}
td img {{ max-height: 72px; vertical-align: middle }}
.wide {{ overflow-x: auto }} table {{ border-collapse: collapse; margin: .5rem 0 1.5rem }}
th, td {{ text-align: left; padding: .25rem .9rem .25rem 0; vertical-align: top }}
td:has(svg), td:first-child, td.n {{ white-space: nowrap }}
th {{ font-weight: 600; color: var(--soft) }} tr + tr > td {{ border-top: 1px solid var(--line) }}
td.n, th.n {{ text-align: right; font-variant-numeric: tabular-nums }} h1 {{ font-size: 1.5rem; margin: 0 0 .3rem }}
h2 {{ font-size: 1.1rem; margin: 2rem 0 .3rem }} p {{ max-width: 44rem }} p.soft {{ color: var(--soft) }}
svg text {{ font-size: 11px; fill: var(--soft) }} svg {{ overflow: visible }}
.bin {{ fill: var(--bin) }} .ok {{ fill: var(--ok) }} .failed {{ fill: var(--failed) }} .rest {{ fill: var(--line) }}
</style>
{body}
</html>
"""
PLOT, HEIGHT, WIDEST_BIN = 640, 120, 60.0
"""Pixels."""


class Markup(str):
    """HTML that is meant as such: made by the functions of this file."""


def page(title: str, parts: Sequence[str]) -> str:
    """The whole file; empty parts are left out."""
    return PAGE.format(title=html.escape(title), body="\n".join(filter(None, parts)))


def heading(text: str, level: int = 2) -> Markup:
    """`<h2>` by default."""
    return Markup(f"<h{level}>{html.escape(text)}</h{level}>")


def paragraph(text: str, soft: bool = False) -> Markup:
    """A sentence or more."""
    return Markup(f"<p{' class=soft' if soft else ''}>{html.escape(text)}</p>")


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Markup:
    """Numbers to the right, with commas; a cell may be Markup. Without rows: nothing."""
    if not rows:
        return Markup()
    numeric = [all(isinstance(row[at], int | float) or row[at] is None for row in rows) for at in range(len(columns))]
    head = "".join(f"<th{' class=n' if n else ''}>{html.escape(c)}" for c, n in zip(columns, numeric, strict=True))
    body = "".join(f"<tr>{''.join(map(_cell, row))}" for row in rows)
    return Markup(f'<div class="wide"><table><tr>{head}{body}</table></div>')


def _cell(value: Any) -> str:
    if isinstance(value, Markup):
        return f"<td>{value}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"<td class=n>{number(value)}"
    return f"<td>{'' if value is None else html.escape(str(value))}"


def number(value: float) -> str:
    """With commas; three figures of a fraction."""
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value else "0"


def bar(parts: Sequence[tuple[str, float, str]], whole: float, width: int = 360) -> Markup:
    """A horizontal bar of parts that lie side by side.

    Args:
        parts: class of the colour (`ok`, `failed`, `bin`, `rest`), length, what it says when pointed at.
        whole: the length that is as wide as the bar can be.
        width: of that, in pixels.
    """
    drawn, left = [], 0.0
    for kind, length, said in parts:
        wide = width * length / whole if whole else 0.0
        title = f"<title>{html.escape(said)}</title>" if said else ""
        drawn.append(f'<rect class="{kind}" x="{left:.1f}" width="{wide:.1f}" height="14">{title}</rect>')
        left += wide
    return Markup(f'<svg width="{width}" height="14" role="img">{"".join(drawn)}</svg>')


def histogram(title: str, bins: Mapping[int, int], name: Callable[[int], str]) -> str:
    """Bars of a count by bins that follow one another, with `name(at)` where each begins; without any: nothing."""
    if not bins:
        return ""
    first, last, most = min(bins), max(bins), max(bins.values())
    width = min(WIDEST_BIN, PLOT / (last - first + 1))
    bars = []
    for at in range(first, last + 1):
        height, left = HEIGHT * bins.get(at, 0) / most, (at - first) * width
        bars.append(
            f'<rect class="bin" x="{left:.1f}" y="{HEIGHT - height:.1f}" width="{width - 2:.1f}" height="{height:.1f}">'
            f"<title>{html.escape(name(at))} to {html.escape(name(at + 1))}: {bins.get(at, 0):,}</title></rect>"
            f'<text x="{left:.1f}" y="{HEIGHT + 14}">{html.escape(name(at))}</text>'
        )
    drawn = "".join(bars)
    return f'{heading(title)}<div class="wide"><svg width="{PLOT}" height="{HEIGHT + 20}">{drawn}</svg></div>'
