"""*Worker.* Which positions a search may return: a filter on record columns, minus what was taken down."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from clip_spark.errors import SpecError
from clip_spark.index.files.faiss_library import load_faiss
from clip_spark.index.open.records import RecordReader

POSITION = "position__"


class Selection:
    """Allowed positions as a bitmap that Faiss reads; immutable, so threads share it.

    Attributes:
        mask: bool (rows,).
        count: positions that are allowed.
        selector: Faiss IDSelector over the bitmap.
    """

    def __init__(self, mask: np.ndarray) -> None:
        faiss = load_faiss()
        self.mask, self.count = mask, int(mask.sum())
        self._bits = np.packbits(mask, bitorder="little")  # Faiss keeps a pointer: this must live as long
        self.selector: Any = faiss.IDSelectorBitmap(len(self._bits), faiss.swig_ptr(self._bits))

    def without(self, positions: np.ndarray) -> Selection:
        """The same minus some positions."""
        mask = self.mask.copy()
        mask[positions] = False
        return Selection(mask)

    @staticmethod
    def everything(rows: int) -> Selection:
        """All positions."""
        return Selection(np.ones(rows, bool))


def select_where(records: RecordReader, rows: int, condition: str) -> Selection:
    """*Worker.* The positions whose record fulfils an SQL condition on its columns.

    Args:
        records: of the index.
        rows: positions of the index.
        condition: what would follow WHERE, such as `n = 2 and text like '%dog%'`.

    Raises:
        SpecError: DuckDB does not understand it.
    """
    mask = np.zeros(rows, bool)
    mask[positions_where(records.table(), condition)] = True
    return Selection(mask)


def check_where(records: RecordReader, condition: str) -> None:
    """*Driver.* Raise SpecError unless DuckDB understands the condition; reads no record."""
    positions_where(records.schema.empty_table(), condition)


def positions_where(table: pa.Table, condition: str) -> np.ndarray:
    """*Worker.* The rows, int64, of a table that fulfil an SQL condition; SpecError if it cannot be used."""
    import duckdb

    with duckdb.connect(config={"threads": 2}) as connection:
        # The condition may come over the network: it must not read files or load extensions.
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        position = pa.array(np.arange(table.num_rows, dtype=np.int64))
        connection.register("records", table.append_column(POSITION, position))
        try:
            found = connection.execute(f"SELECT {POSITION} FROM records WHERE ({condition})").fetchnumpy()
            return np.asarray(found[POSITION])
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            names = ", ".join(table.column_names)
            raise SpecError(f"The condition '{condition}' cannot be used: {reason} The columns are {names}.") from error
