"""*Driver.* A finished dataset as an object: figures, rows as Arrow, pandas or Spark, a look at it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from clip_spark import storage
from clip_spark.api.rows import BATCH_ROWS, Part, ReadParts, part_batches, part_schema
from clip_spark.api.session import session
from clip_spark.api.spark_uris import spark_uris
from clip_spark.datasets.manifest import REPORT, Manifest, folder_of
from clip_spark.datasets.schema import EMBEDDING
from clip_spark.datasets.shards import REJECTS
from clip_spark.errors import InputError, SpecError

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

SIDE_BY_SIDE = ("records", "embeddings")
"""Folders of embeddings with the same rows in the same order."""


class Dataset:
    """A finished dataset: what a step returns and `open_dataset` opens.

    It may be given to another step in place of its URI: `cs.filter_ngrams(counts=counts, output=...)`.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest

    @property
    def uri(self) -> str:
        """The folder."""
        return self.manifest.uri

    @property
    def kind(self) -> str:
        """What it holds: counts, records, embeddings, index, hits, tags, ..."""
        return self.manifest.kind

    @property
    def rows(self) -> int:
        """How many rows all shards have; of an index those that were not removed."""
        if self.kind == "index":
            from clip_spark.index.open.removals import live_rows

            return live_rows(self.manifest)
        return self.manifest.rows

    @property
    def rejects(self) -> dict[str, int]:
        """Reason -> records that were dropped for it; `to_pandas(folder="rejects")` lists them."""
        return self.manifest.rejects

    @cached_property
    def report(self) -> dict[str, Any]:
        """Rows in and out, rejects by reason, bytes, seconds by stage, rates, versions."""
        return storage.read_json(self.manifest.locate(REPORT))

    @cached_property
    def folders(self) -> tuple[str, ...]:
        """The folders that hold rows; `rejects` is one of them where there are any."""
        paths = (path for receipt in self.manifest.receipts for path in receipt.files)
        return tuple(dict.fromkeys(folder_of(path) for path in paths if path.endswith(".parquet")))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self._schema("").names)

    def batches(
        self, columns: Sequence[str] = (), folder: str = "", rows: int = BATCH_ROWS
    ) -> Iterator[pa.RecordBatch]:
        """The rows in order, a few at a time, in little memory.

        Args:
            columns: which; none means all.
            folder: one of `folders`; by default the one that the dataset is about (embeddings come with their records).
            rows: most rows of a batch.

        Raises:
            SpecError: there is no such column or folder.
            InputError: the dataset holds no rows, such as an index.
        """
        for part in self._parts(folder):
            yield from part_batches(part, columns, rows)

    def to_arrow(self, columns: Sequence[str] = (), folder: str = "", limit: int | None = None) -> pa.Table:
        """The rows in order as one Arrow table, all of them in memory; `limit` takes only the first.

        The other arguments and the errors are those of `batches`.
        """
        found, rows = [], 0
        for batch in self.batches(columns, folder, min(limit or BATCH_ROWS, BATCH_ROWS)):
            if limit is not None and rows >= limit:
                break
            found.append(batch if limit is None else batch.slice(0, limit - rows))
            rows += batch.num_rows
        schema = found[0].schema if found else self._schema(folder)
        return pa.Table.from_batches(found, schema)

    def to_pandas(self, columns: Sequence[str] = (), folder: str = "", limit: int | None = None) -> pd.DataFrame:
        """The same as a pandas DataFrame."""
        return self.to_arrow(columns, folder, limit).to_pandas()

    def to_numpy(self) -> np.ndarray:
        """All embeddings, float32 (n, d), rows of length 1, in the order of the rows; raises InputError for others."""
        if self.kind != "embeddings":
            raise InputError(f"'{self.uri}' holds {self.kind}; only embeddings become one array.")
        vectors = np.empty((self.rows, int(self.manifest.extra["dim"])), np.float32)
        row = 0
        for batch in self.batches([EMBEDDING]):
            values = batch.column(0).flatten().to_numpy(zero_copy_only=False)
            vectors[row : row + batch.num_rows] = values.reshape(batch.num_rows, -1)
            row += batch.num_rows
        return vectors

    def spark(self, folder: str = "") -> DataFrame:
        """The rows as a Spark DataFrame in the running session, to go on in SQL; nothing is read yet.

        The files of one folder are read by Spark itself, so that its filters skip what they do not need; embeddings
        with their records are put side by side by the executors. Errors are those of `batches`.
        """
        spark, parts = session(), self._parts(folder)
        if all(len(part) == 1 for part in parts) and parts:
            return spark.read.parquet(*spark_uris(spark, [uri for (uri,) in parts]))
        from pyspark.sql.pandas.types import from_arrow_schema

        rows = spark.sparkContext.parallelize([(list(part),) for part in parts], max(len(parts), 1))
        schema = from_arrow_schema(self._schema(folder))
        return spark.createDataFrame(rows, "part array<string>").mapInArrow(ReadParts(), schema)

    def _parts(self, folder: str) -> list[Part]:
        if not folder and self.kind == "embeddings":
            named = [{folder_of(path): path for path in receipt.files} for receipt in self.manifest.receipts]
            found = [paths for paths in named if all(name in paths for name in SIDE_BY_SIDE)]
            return [tuple(storage.join(self.uri, paths[name]) for name in SIDE_BY_SIDE) for paths in found]
        return [(uri,) for uri in self.manifest.files(folder or self._main_folder())]

    def _main_folder(self) -> str:
        own = [name for name in self.folders if name != REJECTS]
        if self.kind == "index":
            raise InputError(f"'{self.uri}' is an index; open it with open_index to search it.")
        if len(own) > 1:
            raise SpecError(f"'{self.uri}' has several folders of rows; give folder: one of {', '.join(own)}.")
        return own[0] if own else ""

    def _schema(self, folder: str) -> pa.Schema:
        if folder and folder not in self.folders and folder != REJECTS:
            raise SpecError(f"'{self.uri}' has no folder '{folder}', only {', '.join(self.folders)}.")
        return next((part_schema(part) for part in self._parts(folder)), pa.schema([]))

    def __fspath__(self) -> str:
        return self.uri

    def __repr__(self) -> str:
        return f"<Dataset of {self.rows:,} {self.kind} rows in '{self.uri}'>"

    def _repr_html_(self) -> str:
        """*Driver.* What a notebook shows: the figures and the first rows."""
        from clip_spark.api.page import dataset_section

        return dataset_section(self)
