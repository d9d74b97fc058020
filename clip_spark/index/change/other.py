"""*Driver.* A second index beside the first: of the same records, by another model, in the same folder.

One manifest names the files of both. So takedowns hold for both, an erasure is one of both, no commit and no `clean`
loses one of them, and a switch is a single conditional write: what was first is then kept beside, and may come back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from clip_spark.datasets.apart import check_apart
from clip_spark.datasets.commit import Head
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import plan_of
from clip_spark.datasets.stopwatch import Stopwatch
from clip_spark.errors import InputError
from clip_spark.index.build.build import write_index
from clip_spark.index.build.calibrate import Calibrator, teaches
from clip_spark.index.build.index_plan import IndexPlan, plan_index
from clip_spark.index.build.on_spark import STEP
from clip_spark.index.change.generation import begin_change, new_generation, switch
from clip_spark.index.change.new_rows import find_new_rows
from clip_spark.index.files.layout import IndexInfo, Other
from clip_spark.index.files.one_encoder import same_encoder
from clip_spark.index.files.part_writer import PartWriter
from clip_spark.index.open.removals import read_removed
from clip_spark.index.specs import IndexSpec
from clip_spark.runtime.session import SessionSource


def build_other(get_spark: SessionSource, spec: IndexSpec) -> Other | None:
    """*Driver.* Build the index of `spec.embeddings` beside the one in `spec.output`; nothing to do if it is there.

    Records that were taken down stay out. What is first goes on to answer.

    Returns:
        what is beside the first now; None if the first itself is made of these embeddings.

    Raises:
        InputError: there is no index, it holds the other kind, or one is kept to go back to.
        OutputError: another writer was quicker.
    """
    plan = plan_index(spec)
    head, manifest, info = begin_change(spec.output)
    asked = plan.as_plan
    if manifest.fingerprint == asked.fingerprint and same_encoder(info.encoder, plan.encoder):
        return None  # weights may be others under the same name
    if info.other is not None and _is_of(info.other, asked, plan.encoder):
        return info.other
    _check(manifest, info, plan)
    check_apart(head.uri, asked.inputs)
    watch = Stopwatch()
    new = find_new_rows(None, plan.sets, read_removed(head.uri))
    with new_generation(head, asked) as generation:
        made = write_index(get_spark, plan, new, PartWriter(head.uri, generation), watch)
        if plan.queries is not None and teaches(made, plan.queries):
            with watch("calibrate"):
                made = Calibrator(get_spark, STEP, head.uri, generation).learn(made, plan.queries, spec.seed)
        other = Other(asked, made)
        switch(
            head, plan_of(manifest), dataclasses.replace(info, generation=generation, other=other), dict(watch.seconds)
        )
    return other


def _is_of(other: Other, asked: Plan, encoder: Mapping[str, Any]) -> bool:
    return other.plan.fingerprint == asked.fingerprint and same_encoder(other.info.encoder, encoder)


def _check(manifest: Manifest, info: IndexInfo, plan: IndexPlan) -> None:
    modality = plan.sets[0].extra["modality"]
    if modality != info.modality:
        raise InputError(f"'{manifest.uri}' holds {info.modality}s; an index of {modality}s cannot take its place.")
    if info.other is not None and info.other.was_served:
        raise InputError(
            f"'{manifest.uri}' still keeps the index of model '{info.other.info.encoder['model']}' to go back to; "
            "let it go with --forget, or go back with --rollback."
        )


def switch_to_other(head: Head, manifest: Manifest, info: IndexInfo) -> Manifest:
    """*Driver.* The index beside the first takes its place, and the first is kept beside it.

    Args:
        head, manifest, info: of the index, as `begin_change` gave them.

    Raises:
        InputError: there is none beside it.
        OutputError: something has changed since.
    """
    if info.other is None:
        raise InputError(f"'{head.uri}' has no index of another model beside it.")
    first = Other(plan_of(manifest), dataclasses.replace(info, other=None), was_served=not info.other.was_served)
    with new_generation(head, info.other.plan) as generation:
        taken = dataclasses.replace(info.other.info, generation=generation, other=first)
        return switch(head, info.other.plan, taken, {})


def forget_other(uri: str) -> Manifest:
    """*Driver.* The index keeps none beside it; its files go when those that read them have had their time."""
    head, manifest, info = begin_change(uri)
    if info.other is None:
        return manifest
    with new_generation(head, plan_of(manifest)) as generation:
        return switch(head, plan_of(manifest), dataclasses.replace(info, generation=generation, other=None), {})
