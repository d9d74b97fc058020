"""*Driver.* remove-records: take records of an index down; with --compact, erase what was taken down."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from clip_spark import storage
from clip_spark.datasets import schema
from clip_spark.datasets.retire import grace_hours
from clip_spark.datasets.run import plan_of
from clip_spark.datasets.tables import Table
from clip_spark.errors import InputError, OutputError, SpecError
from clip_spark.index.change.compact import check_erasable, compact
from clip_spark.index.change.generation import begin_change
from clip_spark.index.change.verify import verify_erased
from clip_spark.index.files.layout import IndexInfo, read_index
from clip_spark.index.files.needed_faiss import check_faiss
from clip_spark.index.open.records import RecordReader
from clip_spark.index.open.removals import merge_removed, take_down
from clip_spark.index.open.selection import select_where
from clip_spark.index.specs import RemoveSpec
from clip_spark.runtime.session import SessionSource

log = logging.getLogger(__name__)


def remove_records(get_spark: SessionSource, spec: RemoveSpec) -> Table:
    """*Driver.* Take records down; open searchers follow within seconds.

    Raises:
        InputError: no record of the index is meant, or with --compact none can be erased.
        OutputError: with --compact, another writer was quicker; the records are taken down, but not erased.
        DatasetError: with --verify, something of what was removed is left in a file.
    """
    head, manifest, info = begin_change(spec.index)
    if spec.compact:
        check_erasable(head.uri, info)
    if spec.compact or spec.verify:
        check_faiss(head.uri, info.key)
    asked = {*spec.ids, *_read_ids(spec.ids_file)}
    ids = _meant(asked, spec.where, manifest.uri, info)
    if not ids and (asked or spec.where):
        raise InputError(f"No record of '{spec.index}' is meant by --ids, --ids-file or --where; nothing was removed.")
    new, everything = take_down(head.uri, ids)
    if spec.compact:
        try:
            compact(get_spark, head, plan_of(manifest), info, everything)
        except OutputError as error:  # taken down they are, whoever was quicker
            raise OutputError(f"{len(new)} records were taken down, and none erased: {error}") from error
        merge_removed(head.uri)
    rows: list[tuple[str, Any]] = [
        ("removed now", len(new)),
        ("removed in all", len(everything)),
        ("erased from the files", _erased(spec)),
    ]
    if spec.verify:
        rows.append(("proven to be empty", verify_erased(*read_index(head.uri), everything)))
    return Table("remove-records", ("what", "value"), rows)


def _erased(spec: RemoveSpec) -> str:
    """*Pure.* What has become of the bytes: readers may go on with the files that were replaced for a while."""
    if not spec.compact:
        return "no"
    hours = grace_hours()
    return f"yes, the files before go in {hours:g} hours (clean --older-than 0 --delete: now)" if hours else "yes"


def _read_ids(uri: str) -> list[str]:
    """The lines of a file of ids; raises InputError where it is not there, or empty."""
    if not uri:
        return []
    try:
        found = [line.strip() for line in storage.read_text(uri).splitlines() if line.strip()]
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(f"--ids-file '{uri}' is no file; give one with a record id on each line.") from error
    if not found:
        raise InputError(f"--ids-file '{uri}' is empty; write one record id on each line.")
    return found


def _meant(ids: set[str], where: str, uri: str, info: IndexInfo) -> set[str]:
    """Ids of the records that are named: of the index, and of the one beside it, or a switch would bring them back."""
    found = _found(ids, where, uri, info)
    if info.other is not None:
        try:
            found |= _found(ids, where, uri, info.other.info)
        except SpecError as error:  # its records may have other columns
            log.warning("of the index that is kept beside it, only ids are meant and not --where: %s", error)
            found |= _found(ids, "", uri, info.other.info)
    if missing := ids - found:
        log.warning("%d of the ids are not in the index", len(missing))
    return found


def _found(ids: set[str], where: str, uri: str, info: IndexInfo) -> set[str]:
    """Those of the ids that one index has, and those that a condition means there."""
    records = RecordReader(uri, info.records, info.columns)  # a Searcher would fetch every part to look up ids
    positions = records.find_all(sorted(ids))
    if where:
        positions = np.union1d(positions, np.flatnonzero(select_where(records, info.rows, where).mask))
    if not len(positions):
        return set()
    return set(records.take(positions, [schema.RECORD_ID]).column(0).drop_null().to_pylist())
