"""*Pure.* What became of one link: a row, and the picture if there is one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from clip_spark.pictures.download.statuses import OK

PICTURES, RECORDS = "images", "records"
"""Folders of a download."""
FIELDS: tuple[tuple[str, pa.DataType], ...] = (
    ("status", pa.string()),
    ("message", pa.string()),
    ("tries", pa.int32()),
    ("final_url", pa.string()),
    ("bytes", pa.int64()),
    ("sha256", pa.string()),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("original_width", pa.int32()),
    ("original_height", pa.int32()),
    ("seconds", pa.float32()),
    ("fetched", pa.string()),
    ("pdq", pa.string()),
    ("stored_as", pa.string()),
)
"""Columns that a download adds to its records.

`bytes` and `sha256` are of the file as it came; `fetched` is UTC; `pdq` is a hash of what the picture shows, where an
option needs one; `stored_as` is the id of the record whose file shows the same, where --dedup found one.
"""
SCHEMA = pa.schema([("position", pa.int64()), *FIELDS, ("ending", pa.string()), ("data", pa.large_binary())])
"""Of a checkpoint."""


Bytes = bytes
"""An Outcome's own `bytes` is a number."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """See FIELDS; `data` is the picture as it is stored, `ending` its ending, both empty if there is none."""

    position: int
    status: str
    message: str | None = None
    tries: int = 0
    final_url: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    original_width: int | None = None
    original_height: int | None = None
    seconds: float | None = None
    fetched: str | None = None
    pdq: str | None = None
    stored_as: str | None = None
    ending: str = ""
    data: Bytes = b""

    @property
    def is_ok(self) -> bool:
        """Whether there is a picture."""
        return self.status == OK

    @property
    def is_stored(self) -> bool:
        """Whether it has a file of its own."""
        return self.status == OK and self.stored_as is None

    def facts(self) -> dict[str, Any]:
        """What its record gets."""
        return {name: getattr(self, name) for name, _ in FIELDS}


def now() -> str:
    """*Anywhere.* UTC to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def to_table(outcomes: Sequence[Outcome]) -> pa.Table:
    """*Pure.* Outcomes as SCHEMA."""
    columns = {name: [getattr(item, name) for item in outcomes] for name in SCHEMA.names}
    return pa.table(columns, schema=SCHEMA)


def from_batch(batch: pa.RecordBatch) -> Iterable[Outcome]:
    """*Pure.* The inverse; an older version's outcomes have fewer columns."""
    for row in batch.to_pylist():
        yield Outcome(**row)
