"""*Driver.* A sample of a dataset's vectors that does not depend on files or partitions: those of the smallest ids."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets import schema
from clip_spark.datasets.embeddings import read_embeddings
from clip_spark.datasets.manifest import Manifest

FILE, ROW = "file", "row"


def read_sample(dataset: Manifest, most: int) -> np.ndarray:
    """*Driver.* Vectors of a dataset of embeddings, float32 (<= most, d), by rising record id.

    Ids are hashes, so these are as good as drawn. All ids are read, in turn, and the vectors of one file at a time.
    """
    uris = dataset.files("embeddings")
    chosen = pa.table({schema.RECORD_ID: pa.array([], pa.string()), FILE: pa.array([], pa.int64()), ROW: []})
    chosen = chosen.cast(pa.schema([(schema.RECORD_ID, pa.string()), (FILE, pa.int64()), (ROW, pa.int64())]))
    for number, uri in enumerate(uris):
        found = pa.concat_tables([chosen, _ids(uri, number).cast(chosen.schema)])
        chosen = found.take(pc.select_k_unstable(found, min(most, found.num_rows), [(schema.RECORD_ID, "ascending")]))
    files, rows = (chosen.column(name).to_numpy() for name in (FILE, ROW))
    out = np.empty((len(rows), dataset.extra["dim"]), np.float32)
    for number in np.unique(files):
        mine = files == number
        out[mine] = read_embeddings(uris[number])[rows[mine]]
    return out


def _ids(uri: str, number: int) -> pa.Table:
    with storage.open_read(uri) as stream:
        ids = pq.read_table(stream, columns=[schema.RECORD_ID]).column(0)
    rows = np.arange(len(ids))
    return pa.table({schema.RECORD_ID: ids, FILE: np.full(len(ids), number), ROW: rows})
