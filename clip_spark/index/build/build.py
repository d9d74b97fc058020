"""*Driver.* build-index: embeddings -> a sharded, verified, measured index."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, pairwise

import numpy as np

from clip_spark.datasets.commit import read_open_head
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.record_schema import to_text
from clip_spark.datasets.stopwatch import Stopwatch
from clip_spark.datasets.tables import Table
from clip_spark.datasets.unfinished import claimable
from clip_spark.errors import InputError
from clip_spark.index.build.calibrate import Calibrator, calibration_tables, teaches
from clip_spark.index.build.choose_key import check_key
from clip_spark.index.build.exact import Wish, exact_answers
from clip_spark.index.build.index_plan import IndexPlan, plan_index
from clip_spark.index.build.measure import Goal, measure, spot_check
from clip_spark.index.build.on_spark import (
    STEP,
    Sample,
    add_distributed,
    draw_distributed,
    exact_distributed,
    load_autofaiss,
    map_shards,
    train_distributed,
)
from clip_spark.index.build.other_kind import other_kind
from clip_spark.index.build.questions import make_questions
from clip_spark.index.build.read_vectors import VectorFile, VectorReader
from clip_spark.index.build.records_and_vectors import ShardFileWriter
from clip_spark.index.build.train import TrainRecipe, new_index
from clip_spark.index.change.append import add_sets, append_embeddings
from clip_spark.index.change.generation import index_before, new_generation, served, switch
from clip_spark.index.change.grow import can_grow, is_current, is_of
from clip_spark.index.change.new_rows import NewRows, files_of_new, find_new_rows
from clip_spark.index.files import keys
from clip_spark.index.files.layout import (
    IndexFile,
    IndexInfo,
    SearchSettings,
    check_files,
    read_index,
)
from clip_spark.index.files.part_writer import PartWriter
from clip_spark.index.open.parts import open_parts
from clip_spark.index.open.removals import live_rows, read_removed
from clip_spark.index.specs import IndexSpec
from clip_spark.runtime.session import SessionSource

log = logging.getLogger(__name__)


def build_index(get_spark: SessionSource, spec: IndexSpec) -> Manifest:
    """*Driver.* Build, verify and measure an index; nothing to do if this very one is there.

    Raises:
        UserError: an input or the output is not what the options need.
        DatasetError: the embeddings or the parts are damaged; what was served before still is.
    """
    if spec.append:
        return append_embeddings(get_spark, spec)
    plan = plan_index(spec)
    head = read_open_head(spec.output)
    again = spec.overwrite
    if head.manifest is not None and not again and is_of(head.manifest, plan.as_plan, plan.sets):
        if is_current(head.manifest, plan.sets):
            return head.manifest
        if can_grow(head.manifest, plan.sets, plan.key):
            return add_sets(get_spark, spec, plan.sets)
        again = True
    done = served(head, plan.as_plan, overwrite=again)
    if done is not None:
        return done
    if not keys.is_exact(plan.key):
        load_autofaiss()  # where it is missing, that is said before hours of training
    head = claimable(head)
    before, watch, asked = index_before(head), Stopwatch(), plan.as_plan
    new = find_new_rows(None, plan.sets, read_removed(head.uri))
    with new_generation(head, asked) as generation:
        info = write_index(get_spark, plan, new, PartWriter(head.uri, generation), watch)
        with watch("calibrate"):
            info = _calibrated(Calibrator(get_spark, STEP, head.uri, generation), plan, info, before)
        info = replace(info, other=before.other if before else None)
        return replace(switch(head, asked, info, dict(watch.seconds)), news=new.told())


def write_index(
    get_spark: SessionSource, plan: IndexPlan, new: NewRows, writer: PartWriter, watch: Stopwatch
) -> IndexInfo:
    """*Driver.* All files of a generation, measured; nothing of it is official yet.

    Args:
        get_spark: starts Spark, unless the index is a small exact one.
        plan: what to build.
        new: its rows, without those that were taken down.
        writer: of the generation.
        watch: seconds by stage.
    """
    plan = _without_removed(get_spark, plan, new, writer)
    train, test = plan.drawn()
    with watch("draw"):
        sample = (
            Sample((), plan.reader.take(test))
            if keys.is_exact(plan.key)
            else draw_distributed(get_spark(), plan.reader, train, test, writer)
        )
    info = replace(_build(get_spark, plan, sample, writer, watch), train_rows=len(train))
    with watch("measure"):
        return _measure(get_spark, plan, info, (sample.test, test), writer.output)


def _without_removed(get_spark: SessionSource, plan: IndexPlan, new: NewRows, writer: PartWriter) -> IndexPlan:
    """*Driver.* What is built where records of the index before were taken down: all the others."""
    if not new.removed:
        return plan
    if not new.rows:
        raise InputError(f"All {new.removed:,} records of --embeddings were taken down from '{writer.output}'.")
    check_key(plan.key, new.rows)
    embeddings, records = files_of_new(get_spark, plan.key, new, writer, 0)
    reader = VectorReader(embeddings, plan.reader.dimension)
    return replace(plan, reader=reader, records=records, parts=min(plan.parts, new.rows))


def _build(
    get_spark: SessionSource, plan: IndexPlan, sample: Sample, writer: PartWriter, watch: Stopwatch
) -> IndexInfo:
    """*Driver.* Train, add and write; no search settings yet."""
    log.info("%d vectors of %d -> %s in %d parts", plan.reader.count, plan.reader.dimension, plan.key, plan.parts)
    exact = keys.is_exact(plan.key)
    if not exact:
        with watch("train"):
            recipe = TrainRecipe(plan.key, plan.spec.metric, plan.spec.seed)
            trained = train_distributed(get_spark(), sample, writer, recipe)
    with watch("add"):
        parts = (
            _add_exact(plan, writer)
            if exact
            else add_distributed(get_spark(), trained, plan.reader, plan.parts, writer)
        )
    with watch("records"):
        shards = _shard_files(plan, writer)
        files = [shards(n) for n in range(len(shards.records))] if exact else map_shards(get_spark(), shards)
    return IndexInfo(
        encoder=plan.encoder,
        modality=plan.sets[0].extra["modality"],
        dim=plan.reader.dimension,
        metric=plan.spec.metric,
        key=plan.key,
        settings=SearchSettings(),
        parts=check_files(parts, 0, plan.reader.count),
        records=check_files([records for records, _ in files], 0, plan.reader.count),
        vectors=tuple(vectors for _, vectors in files if vectors is not None),
        generation=writer.generation,
        columns=to_text(plan.columns),
        lost={one.uri: one.rejects for one in plan.sets},
    )


def _add_exact(plan: IndexPlan, writer: PartWriter) -> list[IndexFile]:
    """*Driver.* Small sets without Spark: starting a JVM would take longer than all of it."""
    parts = []
    bounds = np.linspace(0, plan.reader.count, plan.parts + 1).astype(int)
    for number, (start, end) in enumerate(pairwise(bounds.tolist())):
        index = new_index(plan.key, plan.reader.dimension, plan.spec.metric)
        for first, vectors in plan.reader.blocks(start, end):
            index.add_with_ids(vectors, np.arange(first, first + len(vectors), dtype=np.int64))
        parts.append(writer.write(index, number))
    return parts


def _shard_files(plan: IndexPlan, writer: PartWriter) -> ShardFileWriter:
    return ShardFileWriter(
        output=writer.output,
        generation=writer.generation,
        records=plan.records,
        embeddings=plan.reader.files,
        dim=plan.reader.dimension,
        vectors=not plan.key.endswith("Flat"),
    )


def _measure(
    get_spark: SessionSource, plan: IndexPlan, info: IndexInfo, test: tuple[np.ndarray, np.ndarray], output: str
) -> IndexInfo:
    """*Driver.* Choose search settings by measured recall, and check that vectors find themselves.

    Args:
        get_spark: starts Spark, unless the index is exact.
        plan: what was built.
        info: of it.
        test: stored vectors, float32 (n, d), and their positions, int64 (n,).
        output: of the index.
    """
    parts = open_parts(output, info)

    def exact(wanted: Sequence[Wish]) -> list[np.ndarray]:
        if keys.is_exact(plan.key):  # its own search is the exact one
            return [parts.search(queries, k)[1] for queries, k in wanted]
        search = partial(_file_hits, plan.reader, wanted)
        return exact_distributed(get_spark(), plan.reader.files, search, [k for _, k in wanted])

    other = other_kind(info, plan.queries, plan.spec.seed)
    own, cross = make_questions((test, (other.vectors, None)), plan.reader.count, exact)
    vectors, positions = test
    spot_check(parts, positions, vectors)
    found = measure(parts, plan.key, Goal(plan.spec.recall, plan.spec.max_query_ms), own, cross, other.how)
    figures = {**found.figures, "queries": len(positions)}
    return replace(info, settings=found.settings, efforts=found.efforts, measured=figures)


def _calibrated(calibrator: Calibrator, plan: IndexPlan, info: IndexInfo, before: IndexInfo | None) -> IndexInfo:
    """*Driver.* With what --queries teach of hubs, else what the index before had learnt."""
    if plan.queries is not None and teaches(info, plan.queries):
        return calibrator.learn(info, plan.queries, plan.spec.seed)
    return info if plan.queries is not None else calibrator.learn_again(info, before)


def _file_hits(
    reader: VectorReader, wanted: Sequence[Wish], files: Iterable[VectorFile]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """*Worker.* The true best of some embedding shards."""
    return exact_answers(chain.from_iterable(reader.blocks(file.start, file.end) for file in files), wanted)


def _rows_of_lists(info: IndexInfo) -> list[tuple[str, int]]:
    """*Pure.* What an index that is searched list by list has to say."""
    searched = "candidates of the graph" if keys.is_graph(info.key) else "lists searched (nprobe)"
    own = [("candidates per hit compared exactly", info.settings.rerank), ("trained on", info.train_rows)]
    return [(searched, info.settings.nprobe), *(own if info.train_rows else [])]


def preview(manifest: Manifest) -> list[Table]:
    """*Driver.* What the index is and how good."""
    now, info = read_index(manifest.uri)
    vectors = sum(part.rows for part in info.parts)  # those that were erased are positions without one
    removed = vectors - live_rows(now)
    rows = [
        ("vectors", vectors),
        *([("of removed records", removed)] if removed else []),
        ("numbers per vector", info.dim),
        ("kind", info.key),
        ("parts", len(info.parts)),
        *([] if keys.is_exact(info.key) else _rows_of_lists(info)),
        *[(name.replace("_", " "), value) for name, value in info.measured.items()],
        *([("kept beside it", f"model {info.other.info.encoder['model']}")] if info.other else []),
    ]
    tables = [Table("index", ("what", "value"), rows)]
    if info.efforts:
        efforts = [(one.k, one.settings.nprobe, one.settings.rerank, one.recall) for one in info.efforts]
        lists = "candidates" if keys.is_graph(info.key) else "lists"
        tables.append(Table("searches", ("hits", lists, "candidates per hit", "recall"), efforts))
    return [*tables, *calibration_tables(info)]
