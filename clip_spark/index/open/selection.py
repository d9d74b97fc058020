"""*Worker.* Which positions a search may return: a filter on record columns, minus what was taken down."""

from __future__ import annotations

from typing import Any

import numpy as np

from clip_spark.datasets.condition.binding import bind
from clip_spark.datasets.condition.evaluate import SECONDS, check_condition, check_patterns
from clip_spark.index.files.faiss_library import load_faiss
from clip_spark.index.open.matching import matching_positions
from clip_spark.index.open.records import RecordReader


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


def select_where(
    records: RecordReader, rows: int, condition: str, live: Selection | None = None, seconds: float = SECONDS
) -> Selection:
    """*Worker.* The positions whose record fulfils a condition on its columns.

    Args:
        records: of the index.
        rows: positions of the index.
        condition: such as `n = 2 and text like '%dog%'`.
        live: what was not taken down; the condition sees nothing else. None means that all records are live.
        seconds: the longest that it may take.

    Raises:
        SpecError: the condition cannot be used, or takes too long or too much memory.
    """
    bound = bind(condition, records.schema)
    check_patterns(condition, bound)
    mask = np.zeros(rows, bool)
    mask[matching_positions(bound, records, None if live is None else live.mask, seconds)] = True
    return Selection(mask)


def check_where(records: RecordReader, condition: str) -> None:
    """*Driver.* Raise SpecError unless the condition can be used on these records; reads no record."""
    check_condition(condition, records.schema)
