"""*Driver.* remove-records: take records of an index down; with --compact, erase what was taken down."""

from __future__ import annotations

import logging

import numpy as np

from clip_spark import schema
from clip_spark.compact import compact
from clip_spark.errors import InputError
from clip_spark.index.removals import add_removed
from clip_spark.index.selection import select_where
from clip_spark.report import Table
from clip_spark.search import Searcher
from clip_spark.session import SessionSource
from clip_spark.specs.search import RemoveSpec

log = logging.getLogger(__name__)


def remove_records(get_spark: SessionSource, spec: RemoveSpec) -> Table:
    """*Driver.* Take records down; open searchers follow within seconds.

    Raises:
        InputError: no record of the index is meant.
    """
    searcher = Searcher.open(spec.index)
    wanted = _meant(spec, searcher)
    if len(wanted) == 0 and (spec.ids or spec.where):
        raise InputError(f"No record of '{spec.index}' is meant by --ids or --where; nothing was removed.")
    ids = searcher.records.take(wanted, [schema.RECORD_ID]).column(0).drop_null().to_pylist() if len(wanted) else []
    everything = add_removed(searcher.manifest.uri, ids)
    if spec.compact:
        compact(get_spark(), searcher.manifest, searcher.info, searcher.records.find_all(everything))
    rows = [("removed now", len(ids)), ("removed in all", len(everything)), ("erased from the files", spec.compact)]
    return Table("remove-records", ("what", "value"), rows)


def _meant(spec: RemoveSpec, searcher: Searcher) -> np.ndarray:
    """Positions of the records that a spec names."""
    positions = searcher.records.find_all(spec.ids)
    if len(positions) < len(set(spec.ids)):
        log.warning("%d of the ids are not in the index", len(set(spec.ids)) - len(positions))
    if spec.where:
        chosen = select_where(searcher.records, searcher.info.rows, spec.where)
        positions = np.union1d(positions, np.flatnonzero(chosen.mask))
    return positions
