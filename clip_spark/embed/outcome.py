"""*Driver.* What came of embed-images: what was left out, examples of rejects, and when it is a failure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.shards import REJECTS
from clip_spark.datasets.tables import Table
from clip_spark.errors import ResultError
from clip_spark.pictures.items import LEFT_OUT, left_out_rows

EXAMPLE_FILES = 20
"""Files of rejects that are looked through for examples; a million of them would take longer than the job."""


def with_left_out(report: dict[str, Any], found: Mapping[str, float]) -> dict[str, Any]:
    """*Pure.* A report with `left_out`: what the listing and the tasks did not read, by ending and reason.

    Args:
        report: of the tasks, whose counters say what they left out.
        found: counters of what the listing left out.
    """
    counters = report["counters"]
    kept = {name: value for name, value in counters.items() if not name.startswith(LEFT_OUT)}
    return {**report, "counters": kept, "left_out": left_out_rows(Counter(counters) + Counter(found))}


def checked(manifest: Manifest, max_rejects: float) -> Manifest:
    """*Driver.* The manifest, if something came out and no more was rejected than may be.

    Raises:
        ResultError: it was not so; the dataset is kept.
    """
    rejected = sum(manifest.rejects.values())
    why = _why(manifest)
    if not manifest.rows:
        raise ResultError(
            f"No picture could be embedded ({why or 'the inputs hold none'}); {_details(manifest)} "
            "Mend the input, and give another --output or --overwrite."
        )
    share = rejected / (manifest.rows + rejected)
    if share > max_rejects:
        raise ResultError(
            f"{share:.1%} of the pictures were rejected ({why}), more than --max-rejects {max_rejects:g}; "
            f"the others are embedded. {_details(manifest)}"
        )
    return manifest


def _why(manifest: Manifest) -> str:
    """The reasons with their numbers; while nothing came out of it, also what is said of one reject."""
    why = "; ".join(f"{count:,} {reason}" for reason, count in Counter(manifest.rejects).most_common(5))
    if manifest.rows or not why:
        return why
    _, _, source, message = rejects_table(manifest).rows[0]
    return f"{why}, such as {source}: {message}"


def _details(manifest: Manifest) -> str:
    return f"'{manifest.locate(REJECTS)}' says which." if manifest.rejects else "See its report.json."


def left_out_table(report: Mapping[str, Any]) -> Table:
    """*Pure.* What was not read, by ending and reason."""
    rows = [(row["ending"], row["files"], row["reason"]) for row in report.get("left_out", ())]
    return Table("left out", ("ending", "files", "why"), rows)


def rejects_table(manifest: Manifest) -> Table:
    """*Driver.* Each reason with its number and one example."""
    examples: dict[str, tuple[str, str]] = {}
    for uri in manifest.files(REJECTS)[:EXAMPLE_FILES]:
        if len(examples) == len(manifest.rejects):
            break
        with storage.open_read(uri) as stream:
            for row in pq.read_table(stream).to_pylist():
                examples.setdefault(row["reason"], (row["source"], row["message"]))
    counts = Counter(manifest.rejects).most_common()
    rows = [(reason, count, *examples.get(reason, ("", ""))) for reason, count in counts]
    return Table("rejected", ("why", "pictures", "such as", "message"), rows)
