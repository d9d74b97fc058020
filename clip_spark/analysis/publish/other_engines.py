"""*Worker.* An index as other engines have it, written by their own libraries: LanceDB's table, usearch's file."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import IO

import numpy as np
import pyarrow as pa

from clip_spark.analysis.publish.contents import Contents
from clip_spark.datasets.schema import RECORD_ID
from clip_spark.errors import UserError

TABLE = "vectors"
"""Name of the table, so that `lancedb.connect(folder).open_table(TABLE)` opens it."""


def write_lance(folder: str, contents: Contents) -> None:
    """*Worker.* A table with the columns of the records and `vector`, in a folder of this machine.

    Raises:
        UserError: lancedb is not installed.
    """
    try:
        import lancedb
    except ImportError as error:
        raise UserError("lancedb is not installed; install it with `pip install 'clip-spark[lancedb]'`.") from error
    schema = _lance_table(contents, 0, 0).schema
    database = lancedb.connect(folder)
    batches = (_lance_table(contents, *each) for each in contents.blocks(0, len(contents.positions)))
    reader = pa.RecordBatchReader.from_batches(schema, (batch for table in batches for batch in table.to_batches()))
    database.create_table(TABLE, data=reader, schema=schema)


def _lance_table(contents: Contents, start: int, stop: int) -> pa.Table:
    records = contents.records(start, stop)
    vectors = contents.vectors(start, stop) if stop > start else np.empty((0, contents.info.dim), np.float32)
    values = pa.array(np.ascontiguousarray(vectors, np.float32).reshape(-1))
    own = {name: records.column(name) for name in records.column_names if name not in (RECORD_ID, "vector")}
    vector = pa.FixedSizeListArray.from_arrays(values, contents.info.dim)
    return pa.table({"id": records.column(RECORD_ID), "vector": vector, **own})


def write_usearch(stream: IO[bytes], contents: Contents) -> None:
    """*Worker.* An index whose key i is row i of the data; by inner product, which of unit vectors is the cosine.

    Raises:
        UserError: usearch is not installed.
    """
    try:
        from usearch.index import Index
    except ImportError as error:
        raise UserError("usearch is not installed; install it with `pip install 'clip-spark[usearch]'`.") from error
    index = Index(ndim=contents.info.dim, metric="ip", dtype="f32")
    for start, stop in contents.blocks(0, len(contents.positions)):
        vectors = np.ascontiguousarray(contents.vectors(start, stop), np.float32)
        index.add(np.arange(start, stop, dtype=np.uint64), vectors, threads=1)  # else no two builds are alike
    with tempfile.TemporaryDirectory() as scratch:
        place = os.path.join(scratch, "vectors.usearch")
        index.save(place)
        with open(place, "rb") as made:
            shutil.copyfileobj(made, stream)


def lance_files(contents: Contents) -> Iterator[tuple[str, str]]:
    """*Worker.* (Path in the publication, place on this disk) of each file of the table; gone after the last."""
    with tempfile.TemporaryDirectory() as scratch:
        write_lance(scratch, contents)
        for folder, _, names in sorted(os.walk(scratch)):
            for name in sorted(names):
                place = os.path.join(folder, name)
                yield os.path.relpath(place, scratch), place
