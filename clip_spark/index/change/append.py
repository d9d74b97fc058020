"""*Driver.* build-index --append: more embeddings into an index, with the quantizers that it has."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np

from clip_spark.datasets.apart import check_apart
from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.record_schema import to_text, unify
from clip_spark.datasets.stopwatch import Stopwatch
from clip_spark.errors import InputError, SpecError
from clip_spark.index.build.calibrate import Calibrator, teaches
from clip_spark.index.build.choose_key import choose_parts
from clip_spark.index.build.embedding_sets import check_fits
from clip_spark.index.build.exact import Wish
from clip_spark.index.build.measure import Goal, measure, settings_for_ten, spot_check
from clip_spark.index.build.on_spark import STEP, add_distributed, map_shards
from clip_spark.index.build.other_kind import other_kind
from clip_spark.index.build.questions import TEST_QUERIES, make_questions
from clip_spark.index.build.read_vectors import VectorFile, VectorReader
from clip_spark.index.build.records_and_vectors import ShardFileWriter, read_schemas
from clip_spark.index.build.train import draw_positions, new_index
from clip_spark.index.build.truth import true_hits
from clip_spark.index.build.tune import harder
from clip_spark.index.change.generation import begin_change, new_generation, switch
from clip_spark.index.change.new_rows import (
    NewRows,
    files_of_new,
    find_new_rows,
    held_sources,
    sources_with,
    without_held,
)
from clip_spark.index.change.opened_parts import emptied
from clip_spark.index.files.keys import is_exact, lists_of
from clip_spark.index.files.layout import IndexInfo, check_files
from clip_spark.index.files.local_copy import open_local
from clip_spark.index.files.needed_faiss import check_faiss
from clip_spark.index.files.one_encoder import check_same_encoder
from clip_spark.index.files.part_writer import PartWriter
from clip_spark.index.open.parts import open_parts
from clip_spark.index.open.records import RecordReader
from clip_spark.index.open.removals import read_removed
from clip_spark.index.specs import IndexSpec, task_bytes
from clip_spark.runtime.session import SessionSource

log = logging.getLogger(__name__)

DRIFT = 2
"""So many times the lists per query that were needed before: then the lists no longer fit the vectors."""


def append_embeddings(get_spark: SessionSource, spec: IndexSpec) -> Manifest:
    """*Driver.* Add a dataset to the index in `spec.output`, without the records that are in there.

    Raises:
        InputError: there is no index, nothing to add, or a column has another type there.
        ModelError: the embeddings come from another encoder.
    """
    _, manifest, info = begin_change(spec.output)
    embeddings = _one_set(spec)
    _check(embeddings, info)
    held = {source["fingerprint"] for source in held_sources(manifest).values()}
    if embeddings.content_fingerprint in held:
        _queries(spec, info)
        return manifest
    return add_sets(get_spark, spec, [embeddings])


def add_sets(get_spark: SessionSource, spec: IndexSpec, sets: Sequence[Manifest]) -> Manifest:
    """*Driver.* Add what is new of some sets; errors are those of `append_embeddings`."""
    head, manifest, info = begin_change(spec.output)
    check_faiss(head.uri, info.key)
    if not is_exact(info.key) and not lists_of(info.key):
        raise InputError(
            f"'{spec.output}' was made by another tool as {info.key}, to which nothing can be appended. "
            "`clip-spark import-index` takes its vectors out, and build-index makes an index of them that grows."
        )
    asked = _queries(spec, info)  # a mistake in it is found here, not after the work
    records = RecordReader(manifest.uri, info.records, info.columns)
    # Read after the head: an erasure that is committed after this makes this writer come second.
    new = find_new_rows(records, [without_held(manifest, one) for one in sets], read_removed(manifest.uri))
    if not new.rows:
        return dataclasses.replace(manifest, news=_told(new))
    columns = unify([(manifest.uri, records.schema), *read_schemas(new.records)])
    inputs = sources_with(manifest, sets)
    check_apart(head.uri, inputs)
    watch = Stopwatch()
    with new_generation(head, Plan(manifest.kind, manifest.spec, inputs, 1)) as generation:
        writer = PartWriter(manifest.uri, generation)
        lost = {**info.lost, **{one.uri: one.rejects for one in sets}}
        info = dataclasses.replace(info, columns=to_text(columns), lost=lost)
        with watch("add"):
            embeddings, of_records = files_of_new(get_spark, info.key, new, writer, info.rows)
            reader = VectorReader(embeddings, info.dim)
            larger = _add(get_spark, reader, of_records, info, writer, task_bytes(spec.max_build_memory))
        with watch("measure"):
            larger = _tuned(get_spark, manifest.uri, larger, info, reader, spec, asked)
        with watch("calibrate"):
            larger = _calibrated(Calibrator(get_spark, STEP, manifest.uri, generation), larger, info, asked, spec.seed)
        plan = Plan(manifest.kind, manifest.spec, inputs, len(larger.parts))
        return dataclasses.replace(switch(head, plan, larger, dict(watch.seconds)), news=_told(new))


def _told(new: NewRows) -> str:
    """*Pure.* `200 new; 3 left out, which it has already`."""
    return "; ".join(filter(None, [f"{new.rows:,} new" if new.rows else "", new.told()]))


def _one_set(spec: IndexSpec) -> Manifest:
    if len(spec.embeddings) > 1:
        raise SpecError("--append takes one set of --embeddings; append the others one after the other.")
    return read_manifest(spec.embeddings[0], "embeddings")


def _check(embeddings: Manifest, info: IndexInfo) -> None:
    if embeddings.rows == 0:
        raise InputError(f"'{embeddings.uri}' holds no embeddings; there is nothing to append.")
    check_fits(info.encoder, info.modality, embeddings)


def _add(
    get_spark: SessionSource,
    reader: VectorReader,
    records: tuple[VectorFile, ...],
    info: IndexInfo,
    writer: PartWriter,
    part_bytes: int,
) -> IndexInfo:
    """*Driver.* More parts of at most `part_bytes`, and the records that belong to them."""
    shards = ShardFileWriter(
        output=writer.output,
        generation=writer.generation,
        records=records,
        embeddings=reader.files,
        dim=info.dim,
        vectors=bool(info.vectors),
    )
    if is_exact(info.key):
        index = new_index(info.key, info.dim, info.metric)
        for first, vectors in reader.blocks():
            index.add_with_ids(vectors, np.arange(first, first + len(vectors), dtype=np.int64))
        parts = [writer.write(index, 0)]
        files = [shards(number) for number in range(len(shards.records))]
    else:
        count = choose_parts(info.key, reader.count, info.dim, part_bytes)
        trained = open_local(writer.output, info.parts[0], emptied)
        parts = add_distributed(get_spark(), trained, reader, count, writer)
        files = map_shards(get_spark(), shards)
    end = reader.first + reader.count
    return dataclasses.replace(
        info,
        generation=writer.generation,
        parts=(*info.parts, *check_files(parts, reader.first, end)),
        records=(*info.records, *check_files([records for records, _ in files], reader.first, end)),
        vectors=(*info.vectors, *(vectors for _, vectors in files if vectors is not None)),
    )


def _tuned(
    get_spark: SessionSource,
    index_uri: str,
    larger: IndexInfo,
    before: IndexInfo,
    reader: VectorReader,
    spec: IndexSpec,
    asked: Manifest | None,
) -> IndexInfo:
    """*Driver.* Search settings that reach the goal for the new vectors too."""
    parts = open_parts(index_uri, larger)
    _, rows = draw_positions(reader.count, 0, TEST_QUERIES, spec.seed)
    positions = rows + reader.first
    queries = reader.take(positions)
    spot_check(parts, positions, queries)

    def exact(wanted: Sequence[Wish]) -> list[np.ndarray]:
        if is_exact(larger.key):
            return [parts.search(some, k)[1] for some, k in wanted]
        return true_hits(get_spark(), index_uri, larger, wanted)

    other = other_kind(larger, asked, spec.seed)
    own, cross = make_questions([(queries, positions), (other.vectors, None)], larger.rows, exact)
    found = measure(parts, before.key, Goal(spec.recall, spec.max_query_ms), own, cross, other.how)
    if lists_of(before.key) and found.settings.nprobe > DRIFT * before.settings.nprobe:
        log.warning(
            "the new vectors need %d lists per query, the old ones %d: build the index again when there is time",
            found.settings.nprobe,
            before.settings.nprobe,
        )
    efforts = harder(found.efforts, before.efforts)
    best = settings_for_ten(efforts) if efforts else found.settings
    return dataclasses.replace(
        larger, settings=best, efforts=efforts, measured={**before.measured, "appended": found.figures}
    )


def _calibrated(
    calibrator: Calibrator, larger: IndexInfo, before: IndexInfo, asked: Manifest | None, seed: int
) -> IndexInfo:
    """*Driver.* What the index knows of hubs, for the new vectors too; --queries teach an index that knows nothing."""
    if before.calibration is None and asked is not None and teaches(larger, asked):
        return calibrator.learn(larger, asked, seed)
    return calibrator.grow(larger, before.rows)


def _queries(spec: IndexSpec, info: IndexInfo) -> Manifest | None:
    """*Driver.* What --queries names; raises ModelError if another encoder made it."""
    if not spec.queries:
        return None
    queries = read_manifest(spec.queries, "embeddings")
    check_same_encoder(info.encoder, queries.extra["encoder"], "the --queries")
    return queries
