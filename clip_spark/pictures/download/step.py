"""*Driver.* download-images: records with links -> pictures in webdataset tars, and what became of every link."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.commit import read_head
from clip_spark.datasets.manifest import Manifest, file_of, read_manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import Run, begin_run
from clip_spark.datasets.schema import check_columns
from clip_spark.datasets.spec import fingerprint
from clip_spark.datasets.taken_over import CopiedShard, MakeOrCopy
from clip_spark.errors import InputError, SpecError
from clip_spark.pictures.download.block_list import read_block_lists, read_pdq_lists
from clip_spark.pictures.download.doubles import Shards
from clip_spark.pictures.download.growth import GrowLinks
from clip_spark.pictures.download.outcomes import RECORDS
from clip_spark.pictures.download.report import checked, commit
from clip_spark.pictures.download.shard import DownloadWork, Fetch, columns_of
from clip_spark.pictures.download.slices import cut, whole
from clip_spark.pictures.download.specs import DownloadSpec
from clip_spark.pictures.download.stored_once import files_of, mark_doubles
from clip_spark.runtime import devices
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import Planned, read_on_executors, run_shards

STEP = "download-images"
MANY_LINKS = 10_000
"""Beyond so many the people whose servers are asked must be able to write to somebody."""
AGAIN = "retry"
"""Name of the input that a run has which fetches again what failed."""


def download_images(get_spark: SessionSource, spec: DownloadSpec) -> Manifest:
    """*Driver.* Fetch the pictures of all links; every row gets a status.

    Raises:
        InputError: the records are missing, or have no links.
        OutputError: the output was made of other links, or with other options.
        SpecError: no --contact for many links; nothing to retry; a column that does not exist.
        ResultError: no picture came, or more rows failed than --max-rejects allows; all is kept.
    """
    records, planned = _plan(spec)
    run = begin_run(
        spec.output,
        planned.plan,
        overwrite=spec.overwrite and not spec.retry_failed,
        read=read_on_executors(get_spark),
        grow=GrowLinks(records, spec.shard_rows, spec.retry_failed, spec.prune),
        prune=spec.prune,
    )
    if run.manifest is not None:
        return checked(run.manifest, spec.max_rejects)
    if items := run.todo(planned.items):
        spark = get_spark()
        work = cast(DownloadWork, planned.work(run.output, devices.threads_per_task(spark.sparkContext, len(items))))
        work = dataclasses.replace(work, tasks=min(len(items), spark.sparkContext.defaultParallelism))
        rows = sum(map(len, items))
        fresh = [item for item in items if not isinstance(item, CopiedShard)]
        if spec.dedup != "no" and fresh:
            run_shards(spark, f"{STEP}: links", fresh, Fetch(work), rows=rows)
            mark_doubles(get_spark, f"{STEP}: doubles", _all_shards(run, spec, fresh), records.rows)
        run_shards(spark, STEP, items, MakeOrCopy(run.output, run.plan.fingerprint, work), rows=rows)
    return checked(commit(run), spec.max_rejects)


def _all_shards(run: Run, spec: DownloadSpec, pending: list[Any]) -> Shards:
    """*Driver.* Every shard that the dataset will have, for a look at what is the same in them."""
    kept = files_of(run.grown_from.uri, run.growth.kept) if run.grown_from and run.growth else []
    copied = run.growth.copied if run.growth else []
    theirs = [(item.number, storage.join(item.place, file_of(item.receipt, RECORDS))) for item in copied]
    mine = [receipt for receipt in run.receipts() if receipt.shard not in dict(theirs)]
    written = [*kept, *theirs, *files_of(run.output, mine)]
    return Shards(run.output, run.plan.fingerprint, spec.dedup, written, pending)


def plan_tasks(spec: DownloadSpec) -> Planned:
    """*Driver.* What the tasks of a run of all links will do; raises what `download_images` raises."""
    return _plan(spec)[1]


def _plan(spec: DownloadSpec) -> tuple[Manifest, Planned]:
    records = read_manifest(spec.records, "records")
    if records.rows > MANY_LINKS and not spec.contact.strip():
        raise SpecError(
            f"{records.rows:,} links: give --contact, a mail or web address, so that those whose servers are asked can "
            "write to you."
        )
    with storage.open_read(records.files(RECORDS)[0]) as stream:
        columns = pq.ParquetFile(stream).schema_arrow
    if "uri" not in columns.names:
        raise InputError(f"The records of '{spec.records}' have no links; make-records --uri-column NAME keeps them.")
    if spec.hash_column:
        check_columns([spec.hash_column], columns.names)
    read_block_lists(spec.block_list)
    read_pdq_lists(spec.block_pictures)
    items = cut(whole(records), spec.shard_rows)
    plan = Plan.of("images", spec, {"records": records.as_input()}, len(items))
    plan = _plan_of_retry(plan, spec) if spec.retry_failed else plan

    def work(output: str, threads: int) -> DownloadWork:
        return DownloadWork(output, plan.fingerprint, spec, columns_of(columns), threads or 1)

    return records, Planned(plan, items, work)


def _plan_of_retry(plan: Plan, spec: DownloadSpec) -> Plan:
    """*Driver.* Another plan than that of what is there, since it replaces that; the same as long as that stays.

    Raises:
        SpecError: there is nothing of which anything could be tried again.
    """
    head = read_head(spec.output).manifest
    if head is None or head.spec != plan.spec:
        raise SpecError(
            f"--retry-failed: '{spec.output}' holds no finished download with these options; run without it first."
        )
    reasons = sorted(spec.retry_failed)
    again = {"uri": "", "fingerprint": fingerprint([head.created, head.content_fingerprint, reasons])}
    return dataclasses.replace(plan, inputs={**plan.inputs, AGAIN: again})
