"""*Pure.* A table as the bytes of an Arrow stream, to be sent."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.ipc


def to_stream(table: pa.Table, compression: str | None = None) -> bytes:
    """*Pure.* What `pyarrow.ipc.open_stream` reads back; compressed with `zstd` or `lz4`, or not at all."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())
