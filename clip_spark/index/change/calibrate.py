"""*Driver.* calibrate-index: a finished index learns from queries of the other kind what its hubs are."""

from __future__ import annotations

import dataclasses

from clip_spark.datasets.apart import check_apart
from clip_spark.datasets.manifest import read_manifest
from clip_spark.datasets.run import plan_of
from clip_spark.datasets.stopwatch import Stopwatch
from clip_spark.datasets.tables import Table
from clip_spark.index.build.calibrate import Calibrator, calibration_tables, check_queries
from clip_spark.index.change.generation import begin_change, new_generation, switch
from clip_spark.index.files.layout import read_index
from clip_spark.index.files.needed_faiss import check_faiss
from clip_spark.index.specs import CalibrateSpec
from clip_spark.runtime.session import SessionSource

STEP = "calibrate-index"


def calibrate_index(get_spark: SessionSource, spec: CalibrateSpec) -> list[Table]:
    """*Driver.* Calibrate an index, or find that these queries have taught it already; returns what it has learnt.

    Raises:
        InputError: there is no index, or the queries can teach it nothing.
        ModelError: another encoder made them.
        OutputError: another writer was quicker.
    """
    head, manifest, info = begin_change(spec.index)
    check_faiss(head.uri, info.key)
    queries = read_manifest(spec.queries, "embeddings")
    check_queries(info, queries)
    check_apart(head.uri, {"queries": queries.as_input()})
    if info.calibration is None or info.calibration.queries != queries.as_input():
        watch = Stopwatch()
        with new_generation(head, plan_of(manifest)) as generation:
            with watch("calibrate"):
                learnt = Calibrator(get_spark, STEP, head.uri, generation).learn(info, queries, spec.seed)
            switch(head, plan_of(manifest), dataclasses.replace(learnt, generation=generation), dict(watch.seconds))
    return calibration_tables(read_index(head.uri)[1])
