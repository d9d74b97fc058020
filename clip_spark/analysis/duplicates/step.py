"""*Driver.* find-duplicates: embeddings -> groups of near-duplicates, one of each kept.

<output>/duplicates/00000.parquet    record_id, group, keep, cosine, group_size: one file for each shard of embeddings
<output>/cells/00001.npz             what decided which records were compared (cells.py)
<output>/report.html, contact-sheet.png
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.analysis.duplicates.order import parse_keep
from clip_spark.analysis.duplicates.report import PAGE
from clip_spark.analysis.duplicates.shards import shards_of
from clip_spark.analysis.duplicates.spec import DuplicatesSpec
from clip_spark.analysis.duplicates.takedown import take_down
from clip_spark.analysis.duplicates.work import DuplicatesWork
from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.record_schema import unify
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.tables import Table
from clip_spark.errors import InputError
from clip_spark.index.files.layout import read_index
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import read_on_executors


def find_duplicates(get_spark: SessionSource, spec: DuplicatesSpec) -> Manifest:
    """*Driver.* Find the groups; and take all but the kept down from an index, if one is named.

    Raises:
        InputError: there is nothing to compare, or the index holds other records.
        SpecError: --keep means nothing for these records.
    """
    if not spec.remove:
        return _found(get_spark, spec)
    read_index(spec.remove)  # before any work: is there one?
    manifest = _found(get_spark, spec)
    return replace(manifest, news=take_down(get_spark, manifest, spec.remove))


def _found(get_spark: SessionSource, spec: DuplicatesSpec) -> Manifest:
    found = read_manifest(spec.embeddings, "embeddings")
    if not found.rows:
        raise InputError(f"'{found.uri}' holds no embeddings; there is nothing to compare.")
    order = parse_keep(spec.keep, records_schema(found))
    shards = shards_of(found)
    plan = Plan.of("duplicates", spec, {"embeddings": found.as_input()}, len(shards) + 1)
    run = begin_run(spec.output, plan, overwrite=spec.overwrite, read=read_on_executors(get_spark))
    if run.manifest is not None:
        return run.manifest
    return DuplicatesWork(get_spark, spec, run, found, shards, order).done()


def records_schema(found: Manifest) -> pa.Schema:
    """*Driver.* The columns of the records of a dataset."""
    uri = next(uri for uri, rows in found.sized_files("records") if rows)
    with storage.open_read(uri) as stream:
        return unify([(found.uri, pq.read_schema(stream))])


def preview(manifest: Manifest) -> list[Table]:
    """*Driver.* How many there are, and where to see them."""
    extra = manifest.extra
    rows = [
        ("records", extra["records"]),
        ("groups of near-duplicates", extra["groups"]),
        ("records in them", extra["grouped"]),
        ("of these not kept", extra["others"]),
        ("records of the largest group", extra["largest"]),
    ]
    if extra["groups"]:
        rows.append(("the largest groups", manifest.locate(PAGE)))
    return [Table("near-duplicates", ("what", "value"), rows)]
