"""*Pure.* The report of a download as one HTML page that stands alone and opens from a disk."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from clip_spark.pictures.download.statuses import OK

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Download</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #222 }}
table {{ border-collapse: collapse; margin: .5rem 0 1.5rem }}
th, td {{ text-align: left; padding: .2rem .8rem .2rem 0 }}
td.n {{ text-align: right; font-variant-numeric: tabular-nums }} h2 {{ font-size: 1.1rem; margin: 2rem 0 .3rem }}
.ok {{ fill: #2b8a5f }} .failed {{ fill: #b5533c }} .bin {{ fill: #4a6fa5 }} text {{ font-size: 11px; fill: #555 }}
</style>
<h1>What became of {rows:,} links</h1>
<p>{pictures:,} pictures are stored, of {files:,.1f} MB that came.</p>
{body}
</html>
"""
BAR, PLOT, HEIGHT = 360, 640, 120
"""Pixels."""


def download_page(report: Mapping[str, Any]) -> str:
    """*Pure.* The page of a report (report.refined); whatever comes from links is escaped."""
    parts = [
        _statuses(report["by_status"], report["rows_in"]),
        _plot("Seconds of a link's last try", report["links_by_seconds"], _seconds),
        _plot("Bytes of a file", report["files_by_bytes"], _bytes),
        _plot("Pixels of a picture's shorter side, as it came", report["pictures_by_pixels"], lambda at: f"{2**at:,}"),
        "".join(f"<p>{html.escape(sentence)}." for sentence in report.get("not_obeyed", ())),
        _blocked(report["blocked_by_list"]),
        _failed(report["failed_at_host"]),
        _slow(report["slow_hosts"]),
    ]
    sums = report["counters"]
    pictures, files = sums.get("pictures", 0), sums.get("bytes fetched", 0) / 1e6
    return PAGE.format(rows=report["rows_in"], pictures=int(pictures), files=files, body="\n".join(filter(None, parts)))


def _statuses(found: Mapping[str, int], rows: int) -> str:
    lines = []
    for status, number in found.items():
        width = BAR * number / max(1, rows)
        kind = "ok" if status == OK else "failed"
        bar = f'<svg width="{BAR}" height="14"><rect class="{kind}" width="{width:.1f}" height="14"/></svg>'
        share = f"{number / max(1, rows):.2%}"
        lines.append(f"<tr><td>{html.escape(status)}<td class=n>{number:,}<td class=n>{share}<td>{bar}")
    return f"<h2>By status</h2><table><tr><th>status<th>links<th>share<th>{''.join(lines)}</table>"


def _plot(title: str, bins: Mapping[int, int], name: Any) -> str:
    """Bars of a count by powers of two."""
    if not bins:
        return ""
    first, last, most = min(bins), max(bins), max(bins.values())
    width = min(60.0, PLOT / (last - first + 1))
    bars = []
    for at in range(first, last + 1):
        height, left = HEIGHT * bins.get(at, 0) / most, (at - first) * width
        bars.append(
            f'<rect class="bin" x="{left:.1f}" y="{HEIGHT - height:.1f}" width="{width - 2:.1f}" height="{height:.1f}">'
            f"<title>{html.escape(name(at))} to {html.escape(name(at + 1))}: {bins.get(at, 0):,}</title></rect>"
            f'<text x="{left:.1f}" y="{HEIGHT + 14}">{html.escape(name(at))}</text>'
        )
    return f'<h2>{html.escape(title)}</h2><svg width="{PLOT}" height="{HEIGHT + 20}">{"".join(bars)}</svg>'


def _seconds(at: int) -> str:
    return f"{2**at:g} s" if at >= 0 else f"{1000 * 2.0**at:.0f} ms"


def _bytes(at: int) -> str:
    return f"{2**at} B" if at < 10 else f"{2 ** (at - 10)} kB" if at < 20 else f"{2 ** (at - 20)} MB"


def _blocked(lists: Mapping[str, int]) -> str:
    lines = [f"<tr><td>{html.escape(name)}<td class=n>{number:,}" for name, number in lists.items()]
    return f"<h2>Blocked by a list</h2><table><tr><th>list<th>links{''.join(lines)}</table>" if lines else ""


def _failed(hosts: Mapping[str, Mapping[str, int]]) -> str:
    if not hosts:
        return ""
    lines = [
        f"<tr><td>{html.escape(host)}<td class=n>{sum(why.values()):,}<td>"
        + html.escape("; ".join(f"{number:,} {status}" for status, number in why.items()))
        for host, why in hosts.items()
    ]
    return f"<h2>Where most links failed</h2><table><tr><th>host<th>links<th>why{''.join(lines)}</table>"


def _slow(hosts: Mapping[str, Mapping[str, float]]) -> str:
    if not hosts:
        return ""
    lines = [
        f"<tr><td>{html.escape(host)}<td class=n>{int(one['links']):,}<td class=n>{one['seconds']:,.1f}"
        f"<td class=n>{one['seconds'] / max(1, one['links']):.2f}"
        for host, one in hosts.items()
    ]
    head = "<tr><th>host<th>links<th>seconds<th>each"
    return f"<h2>Where most time was spent</h2><table>{head}{''.join(lines)}</table>"
