"""*Driver.* import-embeddings: vectors that another tool has made -> embeddings; no model computes anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.doubled import doubled_rows
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import Run, begin_run
from clip_spark.datasets.shards import REJECTS
from clip_spark.datasets.sources import write_sources
from clip_spark.datasets.spec import fingerprint
from clip_spark.embed.facts import facts
from clip_spark.embed.imported.columns import IDS, LINES, Columns, plan_columns, vector_column
from clip_spark.embed.imported.growth import as_sources, grow
from clip_spark.embed.imported.layouts import Found, find
from clip_spark.embed.imported.rows import read_blocks, readable
from clip_spark.embed.imported.sources import ImportShard, Source, cut, find_lines, pack
from clip_spark.embed.imported.spec import IDS as IDS_LAYOUT
from clip_spark.embed.imported.spec import PARQUET, WITH_LINES, ImportSpec, TakeOverSpec
from clip_spark.embed.imported.task import ImportTask, checked
from clip_spark.embed.pending import MakeOrCopy
from clip_spark.embed.task import ENCODER, adopt_encoder, check_agrees, note_encoder, noted_encoder
from clip_spark.encoders import check_model, load_encoder
from clip_spark.errors import InputError, ModelError, ResultError, SpecError
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import Planned, read_on_executors, run_shards

STEP = "import-embeddings"
IMPORTED = "imported"
"""In a manifest's `extra`: from what layout, of what type of number."""
OWN_IDS = "own_ids"
"""In that: whether ids that lie beside the vectors tell records apart."""


@dataclass(frozen=True)
class TakeOver:
    """What is decided before any folder is taken.

    Attributes:
        step: name for the Spark UI and the progress line.
        option: that gave what is taken over, for messages.
        parts: of all files.
        dim: numbers of a vector.
        planned: the tasks.
    """

    step: str
    option: str
    parts: Sequence[Source]
    dim: int
    planned: Planned


def import_embeddings(get_spark: SessionSource, spec: ImportSpec) -> Manifest:
    """*Driver.* Take over the vectors of another tool, bit by bit, with what lies beside them.

    Raises:
        InputError: they are missing, damaged, of different lengths, or do not fit what lies beside them.
        ModelError: the model is unknown, or makes vectors of another length.
        SpecError: a column is not there, or no vector is of length 1 and `--normalise` was not given.
        ResultError: no vector could be used, or more were rejected than may be; all is kept.
    """
    return take_over(get_spark, spec, _plan(spec))


def plan_tasks(spec: ImportSpec) -> Planned:
    """*Driver.* What the tasks of `import_embeddings` will do; raises what it raises."""
    return _plan(spec).planned


def _plan(spec: ImportSpec) -> TakeOver:
    check_model(spec.model)
    found = find(spec)
    parts = find_lines(cut(found.files, spec.shard_rows))
    if not parts:
        raise InputError(f"--embeddings '{spec.embeddings}' holds no vectors.")
    schemas = _schemas(found)
    vectors = vector_column(schemas, spec.embedding_column) if found.layout == PARQUET else ""
    columns = plan_columns(schemas, spec, found.modality, vectors)
    dim = found.dims[0] if found.dims else _length_of_first(parts, columns)
    told = {"layout": found.layout, "dtypes": list(found.dtypes), "left_out": list(columns.left_out)}
    shards = pack(parts, spec.shard_rows)
    plan = Plan.of("embeddings", spec, {"embeddings": as_input(spec.embeddings, parts)}, len(shards))
    task = ImportTask("", plan.fingerprint, columns, dim, spec.normalise)
    return TakeOver(STEP, "embeddings", parts, dim, planned_tasks(plan, shards, task, told))


def planned_tasks(plan: Plan, shards: Sequence[ImportShard], task: ImportTask, told: Mapping[str, Any]) -> Planned:
    """*Driver.* Tasks that all are one but for their output; the first block tells whether they can do anything.

    Raises:
        SpecError: no vector of it can be used.
    """
    check_unit(shards[0].parts[0], task)
    extra = {"modality": task.columns.modality, "columns": task.columns.schema.names, IMPORTED: dict(told)}
    return Planned(plan, shards, lambda output, threads: replace(task, output=output), extra)


def as_input(uri: str, parts: Sequence[Source]) -> dict[str, Any]:
    """*Pure.* How a plan names what is taken over."""
    content = fingerprint([[part.name, part.stamp] for part in parts])
    return {"uri": storage.absolute(uri), "fingerprint": content}


def take_over(get_spark: SessionSource, spec: TakeOverSpec, plan: TakeOver) -> Manifest:
    """*Driver.* Do what was planned; raises what `import_embeddings` raises."""
    run = begin_run(
        spec.output,
        plan.planned.plan,
        overwrite=spec.overwrite,
        read=read_on_executors(get_spark),
        grow=partial(grow, plan.parts, spec.shard_rows, plan.option, spec.prune),
        prune=spec.prune,
    )
    if run.manifest:
        return _accepted(run.manifest, spec.max_rejects)
    if run.growth is None:
        write_sources(run.output, as_sources(plan.planned.items))
    _note_model(run, spec, plan)
    if items := run.todo(plan.planned.items):
        work = MakeOrCopy(run.output, run.plan.fingerprint, plan.planned.work(run.output, 0))
        run_shards(get_spark(), plan.step, items, work)
    imported = plan.planned.extra[IMPORTED]
    if spec.id_column or imported["layout"] == IDS_LAYOUT or imported.get(OWN_IDS):
        _check_ids(run)
    extra = dict(plan.planned.extra)
    manifest = run.commit({**facts(run, extra.pop("modality"), 0), **extra}, None, (ENCODER,))
    return _accepted(manifest, spec.max_rejects)


def _schemas(found: Found) -> list[tuple[str, pa.Schema]]:
    """*Pure.* The columns beside the vectors, also of lines and of ids."""
    beside = {WITH_LINES: [(LINES, pa.string())], IDS_LAYOUT: [(IDS, pa.string())]}.get(found.layout, [])
    return list(found.schemas) or [(found.files[0].uri, pa.schema(beside))]


def _length_of_first(parts: Sequence[Source], columns: Columns) -> int:
    """*Driver.* Numbers of most of the first vectors that parquet has."""
    for part in parts:
        with storage.open_read(part.uri) as stream, readable(part.uri):
            for batch in pq.ParquetFile(stream).iter_batches(1024, columns=[columns.vectors]):
                lengths = Counter(len(value) for value in batch.column(0).to_pylist() if value)
                if lengths:
                    return max(lengths, key=lambda length: (lengths[length], length))
    raise InputError(f"The column '{columns.vectors}' of '{parts[0].uri}' holds no vectors.")


def check_unit(part: Source, task: ImportTask) -> None:
    """*Driver.* Raise SpecError where no vector of the first block would be kept, before any work."""
    blocks = read_blocks(part, task.columns.vectors, task.dim, task.vectors)
    with closing(blocks):
        block = next(blocks)
    _, reasons = checked(block.vectors, task.normalise)
    if not (reasons == "").any():
        why, count = Counter(reasons.tolist()).most_common(1)[0]
        with np.errstate(over="ignore", invalid="ignore"):
            length = float(np.linalg.norm(block.vectors[0].astype(np.float64)))
        advice = "" if task.normalise else "; --normalise divides each vector by its length"
        raise SpecError(
            f"None of the first {len(reasons):,} vectors of '{part.uri}' can be used: {count:,} are {why} (the first "
            f"has length {length:.4g}){advice}."
        )


def _note_model(run: Run, spec: TakeOverSpec, plan: TakeOver) -> None:
    """*Driver.* Note who encodes queries; of a dataset that grows, the model that it names already."""
    if run.grown_from:
        adopt_encoder(run.output, run.grown_from.extra["encoder"])
    encoder = load_encoder(spec.encoder)
    noted = noted_encoder(run.output) or note_encoder(run.output, run.plan.fingerprint, encoder)
    check_agrees(run.output, encoder.info(), noted)
    if noted["dim"] != plan.dim:
        run.abandon()
        raise ModelError(
            f"The vectors of --{plan.option} have {plan.dim} numbers and those of '{spec.model}' {noted['dim']}; "
            "name the model that made them."
        )


def _check_ids(run: Run) -> None:
    """*Driver.* One id, one record; raises InputError where the user's column does not tell records apart."""
    shards = [(run.head.uri, receipt) for receipt in run.growth.kept] if run.growth and run.head else []
    shards += [(run.output, receipt) for receipt in run.receipts()]
    files = [storage.join(uri, path) for uri, one in shards for path in one.files if "records/" in path]
    doubled = doubled_rows(files)
    if doubled:
        uri, rows = next(iter(doubled.items()))
        number = sum(map(len, doubled.values()))
        run.abandon()  # the same command would end here again
        raise InputError(
            f"{number:,} ids come more than once, the first in row {int(rows[0]):,} of '{uri}'; give an --id-column "
            "that tells records apart, or none (of .npy files: give those of the vectors alone), which takes the place "
            "of each row."
        )


def _accepted(manifest: Manifest, max_rejects: float) -> Manifest:
    """*Driver.* The manifest, if something came out and no more was rejected than may be."""
    rejected = sum(manifest.rejects.values())
    share = rejected / max(1, manifest.rows + rejected)
    if manifest.rows and share <= max_rejects:
        return manifest
    why = "; ".join(f"{count:,} {reason}" for reason, count in Counter(manifest.rejects).most_common())
    raise ResultError(
        f"{share:.1%} of the vectors were rejected ({why}); '{manifest.locate(REJECTS)}' says which. "
        "The others are taken over; mend the input, or allow it with --max-rejects."
    )
