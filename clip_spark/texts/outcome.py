"""*Driver.* How a text step ends: what its report says of files and left-outs; nothing is no success."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.manifest import REPORT, Manifest, folder_of
from clip_spark.datasets.receipt import Receipt, sum_up
from clip_spark.datasets.run import Run
from clip_spark.datasets.shards import REJECTS
from clip_spark.datasets.tables import Table
from clip_spark.errors import ResultError
from clip_spark.texts.corpus.account import FORM, LEFT_OUT, NO_ENDING, named

EXAMPLES = 100
"""Files of rejects that are looked through for examples."""


def check(run: Run, rows: int, max_rejects: float, hint: str = "") -> None:
    """*Driver.* Refuse to call a run a success that made nothing, or rejected too much.

    Args:
        run: all its shards are written.
        rows: that were read, without the rejected ones.
        max_rejects: the largest share of rows that may be rejected, 0 to 1.
        hint: what may be the reason where nothing was rejected.

    Raises:
        ResultError: the run ends without a manifest. If nothing came out, the folder is free for another try; after too
            many rejects all is kept, and the same command with a larger --max-rejects ends it.
    """
    found = rejects(run)
    rejected = sum(found.values())
    if not any(receipt.rows for receipt in run.receipts()):
        why = _told(run, found) or hint or "the input holds no text"
        run.abandon()
        raise ResultError(f"Nothing came out of {rows + rejected:,} rows: {why}. Nothing was written.")
    if rejected > max_rejects * (rows + rejected):
        raise ResultError(
            f"{rejected:,} of {rows + rejected:,} rows were rejected, more than --max-rejects {max_rejects:g}: "
            f"{_told(run, found)}. All is kept; the same command with a larger --max-rejects ends it."
        )


def rejects(run: Run) -> Counter[str]:
    """*Driver.* Reason -> rows that were rejected."""
    return sum_up(receipt.rejects for receipt in run.receipts())


def counters(run: Run) -> Counter[str]:
    """*Driver.* The counters of all receipts."""
    return sum_up(receipt.counters for receipt in run.receipts())


def _told(run: Run, found: Mapping[str, int]) -> str:
    such_as = examples(run.output, run.receipts())
    return "; ".join(f"{reason}: {number:,} (such as {such_as.get(reason, '?')})" for reason, number in found.items())


def examples(output: str, receipts: Sequence[Receipt]) -> dict[str, str]:
    """*Driver.* Reason -> source and message of one reject, from the first files of rejects."""
    files = [path for receipt in receipts for path in receipt.files if folder_of(path) == REJECTS]
    found: dict[str, str] = {}
    for path in files[:EXAMPLES]:
        with storage.open_read(storage.join(output, path)) as stream:
            for row in pq.read_table(stream).to_pylist():
                found.setdefault(row["reason"], f"{row['source']}: {row['message']}"[:300])
    return found


def of_files(sums: Mapping[str, float], left_out: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    """*Pure.* What a report says of files: what they were found to be, and what was left out, by ending and reason."""
    found = Counter(left_out)
    for name, number in named(sums, LEFT_OUT).items():
        ending, _, reason = name.partition(": ")
        found["" if ending == NO_ENDING else ending, reason] += number
    rows = [{"ending": ending, "files": n, "reason": reason} for (ending, reason), n in sorted(found.items())]
    return {"files": named(sums, FORM), "left_out": rows}


def tables(manifest: Manifest) -> list[Table]:
    """*Driver.* For the end of a job: what was left out, and each reason for rejects with an example."""
    report = storage.read_json(manifest.locate(REPORT))
    found: list[Table] = []
    if left_out := report.get("left_out"):
        rows = [(row["ending"] or NO_ENDING, row["files"], row["reason"]) for row in left_out]
        found.append(Table("left out", ("ending", "files", "why"), rows))
    if manifest.rejects:
        such_as = examples(manifest.uri, manifest.receipts)
        rejected = [(reason, n, such_as.get(reason, "")) for reason, n in sorted(manifest.rejects.items())]
        found.append(Table("rejected", ("why", "rows", "such as"), rejected))
    return found


def refined(report: dict[str, Any], rows: int, about: Mapping[str, Any]) -> dict[str, Any]:
    """*Pure.* The report of make-records: rows in are those that were read, duplicates and rejects among them."""
    kept = {name: n for name, n in report["counters"].items() if not name.startswith((FORM, LEFT_OUT))}
    return {**report, "rows_in": rows + sum(report["rejects"].values()), "counters": kept, **about}
