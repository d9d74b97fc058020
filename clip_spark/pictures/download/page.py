"""*Pure.* The report of a download as one HTML page that stands alone and opens from a disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clip_spark.datasets.html_page import bar, heading, histogram, page, paragraph, table
from clip_spark.pictures.download.statuses import OK


def download_page(report: Mapping[str, Any]) -> str:
    """*Pure.* The page of a report (report.refined); whatever comes from links is escaped."""
    sums = report["counters"]
    pictures, files = sums.get("pictures", 0), sums.get("bytes fetched", 0) / 1e6
    return page(
        "Download",
        [
            heading(f"What became of {report['rows_in']:,} links", 1),
            paragraph(f"{int(pictures):,} pictures are stored, of {files:,.1f} MB that came."),
            _statuses(report["by_status"], report["rows_in"]),
            histogram("Seconds of a link's last try", report["links_by_seconds"], _seconds),
            histogram("Bytes of a file", report["files_by_bytes"], _bytes),
            histogram(
                "Pixels of a picture's shorter side, as it came", report["pictures_by_pixels"], lambda at: f"{2**at:,}"
            ),
            *(paragraph(f"{sentence}.") for sentence in report.get("not_obeyed", ())),
            _blocked(report["blocked_by_list"]),
            _failed(report["failed_at_host"]),
            _slow(report["slow_hosts"]),
        ],
    )


def _statuses(found: Mapping[str, int], rows: int) -> str:
    whole = max(1, rows)
    lines = [
        (status, number, f"{number / whole:.2%}", bar([("ok" if status == OK else "failed", number, "")], whole))
        for status, number in found.items()
    ]
    return heading("By status") + table(("status", "links", "share", ""), lines)


def _seconds(at: int) -> str:
    return f"{2**at:g} s" if at >= 0 else f"{1000 * 2.0**at:.0f} ms"


def _bytes(at: int) -> str:
    return f"{2**at} B" if at < 10 else f"{2 ** (at - 10)} kB" if at < 20 else f"{2 ** (at - 20)} MB"


def _blocked(lists: Mapping[str, int]) -> str:
    return heading("Blocked by a list") + table(("list", "links"), list(lists.items())) if lists else ""


def _failed(hosts: Mapping[str, Mapping[str, int]]) -> str:
    if not hosts:
        return ""
    rows = [
        (host, sum(why.values()), "; ".join(f"{number:,} {status}" for status, number in why.items()))
        for host, why in hosts.items()
    ]
    return heading("Where most links failed") + table(("host", "links", "why"), rows)


def _slow(hosts: Mapping[str, Mapping[str, float]]) -> str:
    if not hosts:
        return ""
    rows = [
        (host, int(one["links"]), round(one["seconds"], 1), round(one["seconds"] / max(1, one["links"]), 2))
        for host, one in hosts.items()
    ]
    return heading("Where most time was spent") + table(("host", "links", "seconds", "each"), rows)
