"""*Driver.* adopt-index: a Faiss index that another tool has made is served as it is, byte for byte.

Its files become the parts of an index of ours, beside records that are made of what lies beside it; no vector is
encoded, moved or compressed again. The file is never trusted: the copy is looked at in a child process, every vector
and every edge of it, before the index is official.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from clip_spark import storage
from clip_spark.datasets.commit import read_open_head
from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.record_schema import to_text
from clip_spark.datasets.spec import fingerprint
from clip_spark.datasets.stopwatch import Stopwatch
from clip_spark.datasets.unfinished import claimable
from clip_spark.embed.imported.columns import Columns, plan_columns
from clip_spark.embed.imported.step import as_input
from clip_spark.encoders import check_model, load_encoder
from clip_spark.errors import InputError, ModelError
from clip_spark.index.build.calibrate import Calibrator
from clip_spark.index.build.exact import Wish
from clip_spark.index.build.measure import Goal, measure, spot_check
from clip_spark.index.build.other_kind import other_kind
from clip_spark.index.build.questions import TEST_QUERIES, make_questions
from clip_spark.index.build.train import draw_positions
from clip_spark.index.build.truth import hits_in
from clip_spark.index.build.tune import settings_for
from clip_spark.index.change.generation import index_before, new_generation, served, switch
from clip_spark.index.change.new_rows import ADOPTED
from clip_spark.index.files.layout import IndexFile, IndexInfo, check_files, part_path
from clip_spark.index.files.one_encoder import check_same_encoder
from clip_spark.index.files.part_writer import HashingStream
from clip_spark.index.imported.as_it_is import Served
from clip_spark.index.imported.beside import Beside, find_beside
from clip_spark.index.imported.foreign_file import AS_IT_IS, ask
from clip_spark.index.imported.records import write_records
from clip_spark.index.imported.spec import AdoptSpec
from clip_spark.index.imported.step import find_parts
from clip_spark.index.open.parts import open_parts
from clip_spark.index.open.removals import read_removed
from clip_spark.runtime.session import SessionSource
from clip_spark.storage import FileInfo

SHARD_ROWS = 1 << 20
"""Most records of a file."""
COPY_BYTES = 16 << 20
STEP = "adopt-index"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AdoptPlan:
    """What is decided before any folder is taken.

    Attributes:
        files: of the index, by name.
        columns: how records are made.
        beside: what lies beside the vectors.
        encoder: of queries, as it describes itself.
        queries: dataset of --queries, if there is one.
    """

    spec: AdoptSpec
    files: tuple[FileInfo, ...]
    columns: Columns
    beside: Beside
    encoder: dict[str, Any]
    queries: Manifest | None

    @property
    def as_plan(self) -> Plan:
        """*Pure.* As manifests and folders know it."""
        beside = as_input(self.spec.index, self.beside.parts)
        content = [beside["fingerprint"], *([storage.name(file.uri), file.stamp] for file in self.files)]
        inputs = {ADOPTED: {**beside, "fingerprint": fingerprint(content)}}
        if self.queries is not None:
            inputs["queries"] = self.queries.as_input()
        return Plan.of("index", self.spec, inputs, len(self.files))


def adopt_index(get_spark: SessionSource, spec: AdoptSpec) -> Manifest:
    """*Driver.* Serve a Faiss index as it is; nothing to do if this very one is there.

    Raises:
        InputError: it is damaged, of a kind that cannot be served, or does not fit what lies beside it.
        ModelError: the model is unknown, or makes vectors of another length.
        OutputError: the folder holds something else.
    """
    plan = plan_adoption(spec)
    head = read_open_head(spec.output)
    done = served(head, plan.as_plan, overwrite=spec.overwrite)
    if done is not None:
        return done
    head = claimable(head)
    before, watch = index_before(head), Stopwatch()
    with new_generation(head, plan.as_plan) as generation:
        with watch("copy"):
            copies = [_copy(file, head.uri, generation, n) for n, file in enumerate(plan.files)]
        with watch("check"):
            info = _as_index(plan, head.uri, generation, copies)
        with watch("records"):
            records = write_records(head.uri, generation, plan.beside, plan.columns, read_removed(head.uri))
            info = replace(info, records=check_files(records, 0, info.rows))
        with watch("measure"):
            info = _measured(head.uri, info, plan)
        with watch("calibrate"):
            info = Calibrator(get_spark, STEP, head.uri, generation).learn_again(info, before)
        return switch(head, plan.as_plan, replace(info, other=before.other if before else None), dict(watch.seconds))


def plan_adoption(spec: AdoptSpec) -> AdoptPlan:
    """*Driver.* What will be done; raises what `adopt_index` raises."""
    check_model(spec.model)
    files, modality = find_parts(spec)
    looks = [ask(file) for file in files]
    encoder = load_encoder(spec.encoder).info()
    for file, look in zip(files, looks, strict=True):
        if look.dim != encoder["dim"]:
            raise ModelError(
                f"'{file.uri}' has vectors of {look.dim} numbers and those of '{spec.model}' have {encoder['dim']}; "
                "name the model that made them."
            )
    beside = find_beside(files[0], sum(look.rows for look in looks), spec.metadata, SHARD_ROWS)
    queries = read_manifest(spec.queries, "embeddings") if spec.queries else None
    if queries is not None:
        check_same_encoder(encoder, queries.extra["encoder"], "the --queries")
    columns = plan_columns(beside.schemas, spec, modality)
    return AdoptPlan(spec, tuple(files), columns, beside, encoder, queries)


def _copy(file: FileInfo, output: str, generation: str, number: int) -> IndexFile:
    """A part with the bytes of a file; where it begins, and what it holds, is not known yet."""
    path = part_path(generation, number)
    with storage.open_read(file.uri) as source, storage.open_write(storage.join(output, path)) as target:
        hashed = HashingStream(target)
        shutil.copyfileobj(source, hashed, COPY_BYTES)
    return IndexFile(path=path, start=0, rows=0, **hashed.figures())


def _as_index(plan: AdoptPlan, output: str, generation: str, copies: Sequence[IndexFile]) -> IndexInfo:
    """*Driver.* The copies, each looked at in a child process, as the parts of one index."""
    found = []
    for copied, file in zip(copies, plan.files, strict=True):
        here = storage.list_files(storage.join(output, copied.path))[0]
        found.append((copied, ask(here, AS_IT_IS, name=file.uri)))
    _check_alike(plan.files, [one for _, one in found])
    parts = [IndexFile(one.path, served.start, served.look.rows, one.bytes, one.sha256) for one, served in found]
    first: Served = found[0][1]
    return IndexInfo(
        encoder=plan.encoder,
        modality=plan.columns.modality,
        dim=first.look.dim,
        metric=first.look.metric,
        key=first.key,
        settings=settings_for(first.key, 1, 0),
        parts=check_files(parts, 0, sum(part.rows for part in parts)),
        generation=generation,
        columns=to_text(plan.columns.schema),
    )


def _check_alike(files: Sequence[FileInfo], found: Sequence[Served]) -> None:
    """*Pure.* Raise InputError unless files are the parts of one index: of one kind, with ids that go on."""
    order = sorted(range(len(files)), key=lambda number: found[number].start)
    expected = 0
    for number in order:
        one, first = found[number], found[0]
        if one.start != expected:
            others = "" if len(files) == 1 else "; the ids of its parts must go on from one to the next"
            raise InputError(
                f"The ids of '{files[number].uri}' begin at {one.start:,} where {expected:,} was due{others}."
            )
        expected += one.look.rows
        if (one.key, one.look.metric, one.coarse) != (first.key, first.look.metric, first.coarse):
            raise InputError(
                f"'{files[number].uri}' ({one.key}) and '{files[0].uri}' ({first.key}) were trained apart; they are no "
                "parts of one index. Adopt each of them into a folder of its own."
            )


def _measured(uri: str, info: IndexInfo, plan: AdoptPlan) -> IndexInfo:
    """*Driver.* Search settings by measured recall: against all vectors of the index, as it has them."""
    parts, spec = open_parts(uri, info), plan.spec
    _, positions = draw_positions(info.rows, 0, TEST_QUERIES, spec.seed)
    queries = parts.vectors.take(positions)
    spot_check(parts, positions, queries)

    def exact(wanted: Sequence[Wish]) -> list[np.ndarray]:
        return [found for _, found in hits_in(parts, info, wanted)]

    other = other_kind(info, plan.queries, spec.seed)
    sets = (queries, positions), (other.vectors, None)
    own, cross = make_questions(sets, info.rows, exact)
    found = measure(parts, info.key, Goal(spec.recall, spec.max_query_ms), own, cross, other.how)
    parts.close()
    figures = {**found.figures, "queries": len(positions), "adopted": True}
    return replace(info, settings=found.settings, efforts=found.efforts, measured=figures)
