"""*Driver.* import-index: a Faiss index that another tool has made -> embeddings, of which build-index makes our own.

Nothing of the file is believed: it is read in a child process, its ids must be 0 ... n - 1, and its metadata must have
as many rows. What it holds compressed comes out as it would be compared: not exactly what was put in.
"""

from __future__ import annotations

import logging
import re
from dataclasses import asdict

from clip_spark import storage
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.plan import Plan
from clip_spark.embed.imported.columns import plan_columns
from clip_spark.embed.imported.sources import pack
from clip_spark.embed.imported.spec import AUTO, PICTURE, TEXT
from clip_spark.embed.imported.step import OWN_IDS, TakeOver, as_input, planned_tasks, take_over
from clip_spark.embed.imported.task import ImportTask
from clip_spark.encoders import check_model
from clip_spark.errors import InputError
from clip_spark.index.imported.beside import find_beside
from clip_spark.index.imported.foreign_file import ask, faiss_vectors
from clip_spark.index.imported.spec import AdoptSpec, ImportIndexSpec
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import Planned
from clip_spark.storage import FileInfo

STEP = "import-index"
PART = re.compile(r"(.*?(?:index|faiss|part))[-_.]?\d+(?:\.index|\.faiss)?\Z")
"""A file of an index in several; what comes before the number."""
NAMES = {PICTURE: "image.index", TEXT: "text.index"}
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
    if not found.rows:
        raise InputError(f"'{file.uri}' holds no vectors.")
    beside = find_beside(file, found.rows, spec.metadata, spec.shard_rows)
    parts = beside.parts
    columns = plan_columns(beside.schemas, spec, modality)
    shards = pack(parts, spec.shard_rows)
    plan = Plan.of("embeddings", spec, {"index": as_input(spec.index, parts)}, len(shards))
    task = ImportTask("", plan.fingerprint, columns, found.dim, spec.normalise, faiss_vectors)
    told = {"layout": "faiss", **asdict(found), OWN_IDS: beside.ids, "left_out": list(columns.left_out)}
    return TakeOver(STEP, "index", parts, found.dim, planned_tasks(plan, shards, task, told))


def find_index(spec: ImportIndexSpec | AdoptSpec) -> tuple[FileInfo, str]:
    """*Driver.* The Faiss file, and the modality as far as its name tells; raises InputError if there is none."""
    listed = storage.list_files(spec.index)
    if not listed:
        raise InputError(f"--index '{spec.index}' does not exist, or holds no files.")
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


def find_parts(spec: AdoptSpec) -> tuple[list[FileInfo], str]:
    """*Driver.* The Faiss files of one index, by name, and the modality as far as a name tells.

    autofaiss writes several as knn.index0, knn.index1, ...; raises InputError where there is none, or of more indices.
    """
    groups: dict[str, list[FileInfo]] = {}
    for file in storage.list_files(spec.index):
        if found := PART.match(storage.name(file.uri)):
            groups.setdefault(found[1], []).append(file)
    wanted = [name for name in groups if spec.modality in (AUTO, name.removesuffix(".index"))] or [*groups]
    if len(wanted) != 1 or len(groups[wanted[0]]) < 2:
        file, modality = find_index(spec)
        return [file], modality
    kind = wanted[0].removesuffix(".index")
    return groups[wanted[0]], kind if kind in NAMES else spec.modality
