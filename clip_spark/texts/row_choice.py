"""*Worker.* Which rows of a table become records: those of a condition, of a sample, of the first so many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from clip_spark.datasets.condition.binding import Bound
from clip_spark.datasets.condition.evaluate import check_condition, rows_that_fit
from clip_spark.texts.corpus import Account
from clip_spark.texts.record_columns import key_columns, own_name
from clip_spark.texts.specs import RecordsSpec

FILTERED, NOT_SAMPLED = "filtered", "not sampled"
"""Counters of rows that were left out as the user wished."""


@dataclass(frozen=True)
class RowChoice:
    """Which records are taken of those that could be made.

    Attributes:
        where: a condition on their columns; none means all.
        names: the same columns under other names, as the tables of the user have them: name -> column of records.
        sample: share of the record ids, above 0 to 1.
        seed: another number is another sample.
    """

    where: Bound | None
    names: dict[str, str]
    sample: float
    seed: int

    def of(self, records: pa.Table, account: Account) -> pa.Table:
        """*Worker.* The records that are taken, in their order; the others are counted."""
        if self.where is not None:
            records = _kept(records, rows_that_fit(self.where, with_names(records, self.names)), FILTERED, account)
        if self.sample < 1:
            drawn = sampled(records["record_id"], self.sample, self.seed)
            records = _kept(records, pa.array(drawn), NOT_SAMPLED, account)
        return records


def plan_choice(spec: RecordsSpec, columns: pa.Schema, found: list[str]) -> RowChoice:
    """*Driver.* The choice that a spec asks for; raises SpecError where its condition cannot be used.

    Args:
        spec: what the user wants.
        columns: of the records.
        found: the names of columns in the user's tables.
    """
    names = {name: own_name(name) for name in found if own_name(name) != name}
    for keys in key_columns(spec, found):
        if keys:
            names[f"{keys.top}.{keys.inside}" if keys.inside else keys.top] = keys.target
    names = {name: column for name, column in names.items() if column in columns.names}
    schema = with_names(columns.empty_table(), names).schema
    return RowChoice(check_condition(spec.where, schema) if spec.where else None, names, spec.sample, spec.seed)


def with_names(records: pa.Table, names: dict[str, str]) -> pa.Table:
    """*Pure.* The records with some columns once more under the names that the user knows; these come first."""
    known = {name: records[column] for name, column in names.items()}
    return pa.table({**{name: records[name] for name in records.column_names}, **known})


def sampled(record_ids: pa.ChunkedArray, share: float, seed: int) -> np.ndarray:
    """*Pure.* Whether each record is in the sample, bool (n,): by its id and the seed alone, wherever it stands.

    The ids are hashes already; the finaliser of SplitMix64 (Steele, Lea and Flood 2014) makes of one and the seed a
    number that looks drawn, so that samples of two seeds have nothing to do with each other.
    """
    ids = np.array([int(text[16:], 16) for text in record_ids.to_pylist()], np.uint64)
    with np.errstate(over="ignore"):
        mixed = ids + np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return np.asarray((mixed >> np.uint64(11)).astype(np.float64) / 2.0**53 < share)


def _kept(records: pa.Table, mask: pa.Array, counter: str, account: Account) -> pa.Table:
    kept = records.filter(mask)
    account.counters[counter] += records.num_rows - kept.num_rows
    return kept
