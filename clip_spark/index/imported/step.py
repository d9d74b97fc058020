"""*Driver.* import-index: a Faiss index that another tool has made -> embeddings, of which build-index makes our own.

Nothing of the file is believed: it is read in a child process, its ids must be 0 ... n - 1, and its metadata must have
as many rows. What it holds compressed comes out as it would be compared: not exactly what was put in.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.spec import fingerprint
from clip_spark.embed.imported.columns import plan_columns
from clip_spark.embed.imported.layouts import footers
from clip_spark.embed.imported.sources import Source, cut, pack
from clip_spark.embed.imported.spec import AUTO, PICTURE, TEXT
from clip_spark.embed.imported.step import TakeOver, as_input, planned_tasks, take_over
from clip_spark.embed.imported.task import ImportTask
from clip_spark.encoders import check_model
from clip_spark.errors import InputError
from clip_spark.index.imported.foreign_file import Look, ask, faiss_vectors
from clip_spark.index.imported.spec import ImportIndexSpec
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import Planned
from clip_spark.storage import FileInfo

STEP = "import-index"
NAMES = {PICTURE: "image.index", TEXT: "text.index"}
METADATA = ("metadata", "id_mapping")
"""Folders beside an index with a row for each vector, as clip-retrieval and fondant call them."""
ROW_NUMBER = "i"
"""What autofaiss calls the column of ids in an id mapping."""
log = logging.getLogger(__name__)


def import_index(get_spark: SessionSource, spec: ImportIndexSpec) -> Manifest:
    """*Driver.* Take the vectors out of a Faiss index, with what lies beside it.

    Raises:
        InputError: it is damaged, of another kind than can be read, or does not fit its metadata.
        ModelError: the model is unknown, or makes vectors of another length.
        SpecError: a column is not there, or no vector is of length 1 and `--normalise` was not given.
        ResultError: no vector could be used, or more were rejected than may be; all is kept.
    """
    return take_over(get_spark, spec, _plan(spec))


def plan_tasks(spec: ImportIndexSpec) -> Planned:
    """*Driver.* What the tasks of `import_index` will do; raises what it raises."""
    return _plan(spec).planned


def _plan(spec: ImportIndexSpec) -> TakeOver:
    check_model(spec.model)
    file, modality = find_index(spec)
    found = ask(file)
    if not found.exact:
        log.warning(
            "'%s' (%s) holds vectors compressed: they come out as they are compared there", file.uri, found.kind
        )
    beside = _metadata(spec, file)
    looked = footers(beside)
    _check_order(beside, [columns for _, columns in looked])
    sources = _sources(file, found, beside, [rows for rows, _ in looked])
    parts = cut(sources, spec.shard_rows)
    if not parts:
        raise InputError(f"'{file.uri}' holds no vectors.")
    schemas = [(one.uri, columns) for one, (_, columns) in zip(beside, looked, strict=True)]
    columns = plan_columns(schemas or [(file.uri, pa.schema([]))], spec, modality)
    shards = pack(parts, spec.shard_rows)
    plan = Plan.of("embeddings", spec, {"index": as_input(spec.index, parts)}, len(shards))
    task = ImportTask("", plan.fingerprint, columns, found.dim, spec.normalise, faiss_vectors)
    told = {"layout": "faiss", **asdict(found), "left_out": list(columns.left_out)}
    return TakeOver(STEP, "index", parts, found.dim, planned_tasks(plan, shards, task, told))


def find_index(spec: ImportIndexSpec) -> tuple[FileInfo, str]:
    """*Driver.* The Faiss file, and the modality as far as its name tells; raises InputError if there is none."""
    listed = storage.list_files(spec.index)
    if len(listed) == 1 and storage.absolute(listed[0].uri) == storage.absolute(spec.index):
        return listed[0], spec.modality
    top = {storage.name(file.uri): file for file in listed}
    wanted = [spec.modality] if spec.modality != AUTO else [PICTURE, TEXT]
    for kind in wanted:
        if NAMES[kind] in top:
            return top[NAMES[kind]], kind
    others = [file for name, file in top.items() if name == "faiss" or name.endswith((".index", ".faiss"))]
    if len(others) != 1:
        raise InputError(
            f"--index '{spec.index}' is no Faiss file, and no folder with image.index, text.index or one other .index."
        )
    return others[0], spec.modality


def _metadata(spec: ImportIndexSpec, index: FileInfo) -> list[FileInfo]:
    """*Driver.* The parquet files that say what the vectors are; none if nothing does."""
    beside = [storage.join(index.uri.rpartition("/")[0], name) for name in METADATA]
    for place in [spec.metadata] if spec.metadata else beside:
        if found := [file for file in storage.list_files(place) if file.uri.endswith(".parquet")]:
            return found
    if spec.metadata:
        raise InputError(f"--metadata '{spec.metadata}' holds no parquet file.")
    return []


def _check_order(beside: Sequence[FileInfo], schemas: Sequence[pa.Schema]) -> None:
    """*Driver.* Raise InputError where an id mapping of autofaiss does not come in the order of the vectors.

    A Spark task of its that was tried twice has left its rows twice.
    """
    first = 0
    for file, columns in zip(beside, schemas, strict=True):
        if ROW_NUMBER not in columns.names or not pa.types.is_integer(columns.field(ROW_NUMBER).type):
            return
        with storage.open_read(file.uri) as stream:
            numbers = pq.read_table(stream, columns=[ROW_NUMBER]).column(0).to_numpy()
        if not np.array_equal(numbers, np.arange(first, first + len(numbers))):
            raise InputError(
                f"'{file.uri}': its column '{ROW_NUMBER}' is not {first:,}, {first + 1:,}, ...: these rows are not "
                "those of the vectors in their order. Write them again, sorted by it and each once."
            )
        first += len(numbers)


def _sources(file: FileInfo, found: Look, beside: Sequence[FileInfo], rows: Sequence[int]) -> list[Source]:
    """*Pure.* What is taken over: the index in the pieces that its metadata has; raises InputError if they differ."""
    if not beside:
        return [Source(file.uri, file.bytes, found.rows, fingerprint([file.stamp, file.bytes])[:16])]
    if sum(rows) != found.rows:
        raise InputError(
            f"'{file.uri}' has {found.rows:,} vectors and its metadata ('{beside[0].uri}', ...) {sum(rows):,} rows; "
            "each vector needs one."
        )
    sources, first = [], 0
    for other, count in zip(beside, rows, strict=True):
        stamp = fingerprint([file.stamp, file.bytes, other.stamp])[:16]
        sources.append(Source(file.uri, file.bytes, count, stamp, beside=other.uri, first=first))
        first += count
    return sources
