"""*Worker.* Records on their way to the model: read in slices, checked, split into tokens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.record_schema import shaped
from clip_spark.datasets.row_groups import row_groups
from clip_spark.datasets.schema import RECORD_ID
from clip_spark.errors import Rejected

if TYPE_CHECKING:
    from clip_spark.encoders.protocol import Tokenise, Tokenised

TEXT = "text"
SLICE_ROWS = 16_384
"""Records that are computed together; texts of one slice share batches. At most two slices are in memory at once."""


@dataclass(frozen=True)
class Slice:
    """Rows `start` to `stop` of one records file."""

    uri: str
    start: int
    stop: int
    without: tuple[int, ...] = ()
    """Rows that another one of the same id stands for."""


@dataclass(frozen=True)
class ReadyRecords:
    """Records that the model can take.

    Attributes:
        records: n rows, their text in the column `text`.
        said: of each template, the n texts that it makes.
        rejects: (record id, reason, message) of the rows that were left out.
        seconds: that their texts took to become tokens.
    """

    records: pa.Table
    said: list[Tokenised]
    rejects: list[tuple[str, str, str]]
    seconds: float


@dataclass(frozen=True)
class Preparer:
    """*Worker.* Makes records ready; runs in a thread beside the model.

    Attributes:
        tokenise: the encoder's; splits the texts into tokens.
        column: the one to embed.
        templates: what is said of each record, with {} in place of its text.
        trial: splits texts in another process, for a shard that was tried before; else None.
    """

    tokenise: Tokenise
    column: str
    templates: tuple[str, ...]
    trial: Callable[[list[str]], object] | None = None

    def __call__(self, table: pa.Table) -> ReadyRecords:
        """Check and split; rejects what has no text, or a text that ends the process."""
        rejects: list[tuple[str, str, str]] = []
        records = with_text(table, self.column)
        kept = pa.array([self._is_usable(*row, rejects) for row in _rows(records)], pa.bool_())
        records = records.filter(kept) if rejects else records
        texts = records.column(TEXT).to_pylist()
        start = time.perf_counter()
        said = [self.tokenise([template.replace("{}", text) for text in texts]) for template in self.templates]
        return ReadyRecords(records, said, rejects, time.perf_counter() - start)

    def _is_usable(self, record_id: str, text: str | None, rejects: list[tuple[str, str, str]]) -> bool:
        if not text or not text.strip():
            rejects.append((record_id, "no text", "the record's text is empty"))
            return False
        try:
            # Only this depends on a text's own characters: the model itself sees numbers of a vocabulary.
            if self.trial:
                self.trial([template.replace("{}", text) for template in self.templates])
        except Rejected as error:
            rejects.append((record_id, error.reason, error.message))
            return False
        return True


def _rows(records: pa.Table) -> Iterator[tuple[str, str | None]]:
    return zip(records.column(RECORD_ID).to_pylist(), records.column(TEXT).to_pylist(), strict=True)


def records_schema(uri: str) -> pa.Schema:
    """*Worker.* The columns of a records file, the user's own among them."""
    with storage.open_read(uri) as stream:
        return pq.read_schema(stream).remove_metadata()


def with_text(table: pa.Table, column: str) -> pa.Table:
    """*Worker.* Records whose `text` is what is embedded: a copy of that column."""
    if column == TEXT:
        return table
    others = [name for name in table.column_names if name != TEXT]
    return table.select(others).append_column(TEXT, table.column(column).cast(pa.string()))


def read_slices(slices: tuple[Slice, ...], arrow_schema: pa.Schema) -> Iterator[pa.Table]:
    """*Worker.* The records of some slices, in order, at most SLICE_ROWS at a time; other row groups are not read."""
    for part in slices:
        with storage.open_read(part.uri) as stream:
            file = pq.ParquetFile(stream)
            groups, skip = row_groups(file.metadata, part.start, part.stop)
            table = file.read_row_groups(groups).slice(skip, part.stop - part.start)
        if part.without:
            rows = np.arange(part.start, part.stop)
            table = table.filter(pa.array(~np.isin(rows, part.without)))
        for start in range(0, table.num_rows, SLICE_ROWS):
            batches = table.slice(start, SLICE_ROWS).to_batches()
            yield pa.Table.from_batches([shaped(batch, arrow_schema) for batch in batches], arrow_schema)
