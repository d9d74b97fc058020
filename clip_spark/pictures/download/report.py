"""*Driver.* What a download says of itself: report.json, report.html, tables at the end, and whether it succeeded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from clip_spark import storage
from clip_spark.datasets.manifest import REPORT, Manifest
from clip_spark.datasets.receipt import sum_up
from clip_spark.datasets.run import Run
from clip_spark.datasets.tables import Table
from clip_spark.errors import ResultError
from clip_spark.pictures.download.checkpoints import WORK
from clip_spark.pictures.download.page import download_page
from clip_spark.pictures.download.statuses import OK
from clip_spark.pictures.download.tally import BLOCKED, CAME, FAILED_AT, SHOWN, SLOW_LINKS, SLOW_SECONDS, STATUS, TOOK

PAGE = "report.html"
MOST_HOSTS = 20
BINS = {"links_by_seconds": TOOK, "files_by_bytes": CAME, "pictures_by_pixels": SHOWN}
OWN = (STATUS, FAILED_AT, BLOCKED, SLOW_SECONDS, SLOW_LINKS, *BINS.values())


NOT_OBEYED = {
    "robots": "robots.txt was not obeyed (--no-robots)",
    "robots_tag": "X-Robots-Tag was not obeyed (--no-robots-tag)",
    "aipref": "Content-Usage of IETF AIPREF was not obeyed (--no-aipref)",
    "tdm": "tdm-reservation was not obeyed (--no-tdm)",
}
"""Option -> what is said where it is switched off."""


def by_status(manifest: Manifest) -> Counter[str]:
    """*Pure.* Status -> rows."""
    return _named(sum_up(receipt.counters for receipt in manifest.receipts), STATUS)


def _named(sums: Mapping[str, float], prefix: str) -> Counter[str]:
    return Counter({name.removeprefix(prefix): int(n) for name, n in sums.items() if name.startswith(prefix)})


def commit(run: Run) -> Manifest:
    """*Driver.* Make a download official, with its report and the page of it."""

    def refine(report: dict[str, Any]) -> dict[str, Any]:
        found = {**refined(report), "not_obeyed": not_obeyed(run.plan.spec)}
        storage.write_bytes(storage.join(run.output, PAGE), download_page(found).encode())
        return found

    kept = run.growth.kept if run.growth else ()
    sums = sum_up(receipt.counters for receipt in (*kept, *run.receipts()))
    manifest = run.commit({"pictures": int(sums["pictures"])}, refine, (PAGE,))
    # Each shard has deleted its own checkpoints; what is left is of attempts that were killed, or came too late.
    storage.remove_tree(storage.join(run.output, WORK, run.plan.fingerprint))
    storage.remove_empty_folders(storage.join(run.output, WORK))
    return manifest


def not_obeyed(spec: Mapping[str, Any]) -> list[str]:
    """*Pure.* A sentence for each preference of those who publish pictures that a run was told to leave alone."""
    return [sentence for name, sentence in NOT_OBEYED.items() if not spec[name]]


def refined(report: Mapping[str, Any]) -> dict[str, Any]:
    """*Pure.* A report that says what became of the links, of the counters of all shards."""
    sums = report["counters"]
    statuses = _named(sums, STATUS)
    return {
        **report,
        "rows_out": statuses[OK],
        "counters": {name: value for name, value in sums.items() if not name.startswith(OWN)},
        "by_status": dict(statuses.most_common()),
        "blocked_by_list": dict(_named(sums, BLOCKED).most_common()),
        "failed_at_host": _failed(_named(sums, FAILED_AT)),
        "slow_hosts": _slow(sums),
        **{name: dict(sorted((int(at), n) for at, n in _named(sums, prefix).items())) for name, prefix in BINS.items()},
    }


def _failed(sums: Counter[str]) -> dict[str, dict[str, int]]:
    """Host -> status -> links, of the hosts at which most failed."""
    found: dict[str, dict[str, int]] = {}
    for name, number in sums.most_common():
        host, _, status = name.partition(" ")
        found.setdefault(host, {})[status] = number
    most = sorted(found, key=lambda host: (-sum(found[host].values()), host))[:MOST_HOSTS]
    return {host: found[host] for host in most}


def _slow(sums: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Host -> links and seconds that they took together, of the hosts that took most."""
    seconds = {name.removeprefix(SLOW_SECONDS): value for name, value in sums.items() if name.startswith(SLOW_SECONDS)}
    links = _named(sums, SLOW_LINKS)
    most = sorted(seconds, key=lambda host: (-seconds[host], host))[:MOST_HOSTS]
    return {host: {"links": links[host], "seconds": round(seconds[host], 1)} for host in most}


def preview(manifest: Manifest) -> list[Table]:
    """*Driver.* What became of the links, how many files that made, and where most failed."""
    report = storage.read_json(manifest.locate(REPORT))
    rows = [(status, number, f"{number / manifest.rows:.1%}") for status, number in report["by_status"].items()]
    tables = [Table("links", ("status", "rows", "share"), rows)]
    pictures, found = manifest.extra["pictures"], by_status(manifest)[OK]
    if pictures != found:
        shared = [("with a file of their own", pictures), ("whose picture another one stores", found - pictures)]
        tables.append(Table("links that are ok", ("which", "rows"), shared))
    if said := report.get("not_obeyed"):
        tables.append(Table("preferences", ("that were left alone",), [(sentence,) for sentence in said]))
    if lists := report.get("blocked_by_list"):
        tables.append(Table("blocked", ("by the list", "rows"), list(lists.items())))
    if hosts := report.get("failed_at_host"):
        failed = [(host, sum(why.values()), "; ".join(f"{n:,} {status}" for status, n in why.items()))
                  for host, why in hosts.items()]  # fmt: skip
        tables.append(Table("where links failed", ("host", "links", "why"), failed[:10]))
    return tables


def checked(manifest: Manifest, max_rejects: float) -> Manifest:
    """*Driver.* The manifest, if pictures came and no more failed than may.

    Raises:
        ResultError: it was not so; the dataset is kept.
    """
    found = by_status(manifest)
    failed = Counter({status: number for status, number in found.items() if status != OK})
    why = "; ".join(f"{number:,} {status}" for status, number in failed.most_common(5))
    if not found[OK]:
        raise ResultError(
            f"None of {manifest.rows:,} links gave a picture ({why}); '{manifest.uri}' says why for each."
        )
    if failed.total() > max_rejects * manifest.rows:
        raise ResultError(
            f"{failed.total():,} of {manifest.rows:,} links failed, more than --max-rejects {max_rejects:g} ({why}); "
            "all is kept, and --retry-failed all tries them again."
        )
    return manifest
