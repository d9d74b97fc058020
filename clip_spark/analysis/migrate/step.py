"""*Driver.* migrate-index: the records of an index by another model, built beside it, compared, and switched when told.

embed -> build beside -> ask both -> switch, or not. Each of these goes on where it was stopped, and does nothing twice:
the embeddings are datasets of their own, the second index is a commit, and so is the switch. What is served changes
with that last one, wholly: the manifest names the model that its vectors are of.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from clip_spark.analysis.migrate.answers import Answers, ask, in_common, only_in, passes, row_of
from clip_spark.analysis.migrate.questions import read_questions
from clip_spark.analysis.migrate.sets import Sets, embed_again, options_of
from clip_spark.analysis.migrate.spec import MigrateSpec
from clip_spark.datasets.commit import Head
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.tables import Table
from clip_spark.encoders import EncoderSpec, check_model, load_encoder
from clip_spark.errors import InputError, OutputError
from clip_spark.index.change.generation import begin_change
from clip_spark.index.change.new_rows import held_sources
from clip_spark.index.change.other import build_other, forget_other, switch_to_other
from clip_spark.index.files.layout import IndexInfo
from clip_spark.index.files.one_encoder import same_encoder
from clip_spark.index.specs import IndexSpec
from clip_spark.runtime.session import SessionSource
from clip_spark.search.searcher import Searcher


@dataclass(frozen=True)
class Migrated:
    """What came of a migration.

    Attributes:
        said: what was done, in a sentence.
        models: figures of the first index and of the one beside it, ready for JSON; none of what only goes back.
        change: what else there is to know before a switch, ready for JSON.
    """

    said: str
    models: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    change: dict[str, Any] = dataclasses.field(default_factory=dict)


def migrate_index(get_spark: SessionSource, spec: MigrateSpec) -> Migrated:
    """*Driver.* Bring the second index up to date, compare it with the first, and switch where the spec says so.

    Raises:
        InputError: there is no index, its sets cannot be embedded again, or there is nothing to go back to.
        ModelError: the model does not exist.
        OutputError: another writer has changed the index meanwhile; run it again.
    """
    head, manifest, info = begin_change(spec.index)
    if spec.forget:
        return _forgotten(spec.index, info)
    if spec.rollback:
        return _back(spec.index, head, manifest, info)
    if spec.is_beside:
        return _beside(spec, manifest, info)
    if _is_there(spec, info):
        return Migrated(f"'{manifest.uri}' answers by model '{info.encoder['model']}' already{_kept(info)}.")
    sets = embed_again(get_spark, spec, manifest, info)
    beside = build_other(get_spark, index_spec(spec, sets, manifest))
    if beside is None:
        return Migrated(f"'{manifest.uri}' is made of these embeddings already{_kept(info)}.")
    return _compared(spec, sets, held_sources(manifest))


def _beside(spec: MigrateSpec, manifest: Manifest, info: IndexInfo) -> Migrated:
    """*Driver.* The same with the second index as it is; one that was first before is for --rollback."""
    if info.other is None:
        raise InputError(
            f"'{manifest.uri}' has no index of another model beside it; give --model and --output, or --embeddings."
        )
    if info.other.was_served:
        return Migrated(f"'{manifest.uri}' answers by model '{info.encoder['model']}' already{_kept(info)}.")
    return _compared(spec, Sets(()), held_sources(manifest))


def _is_there(spec: MigrateSpec, info: IndexInfo) -> bool:
    """*Driver.* True if the index is of the other model: a switch was done, and what was asked for is there."""
    if not spec.model:
        return False
    check_model(spec.model)
    return same_encoder(info.encoder, load_encoder(EncoderSpec(spec.model, "fp32")).info())


def index_spec(spec: MigrateSpec, sets: Sets, index: Manifest) -> IndexSpec:
    """*Pure.* The second index is built with the options of the first."""
    options = options_of(index, IndexSpec)
    options |= {"index_key": spec.index_key} if spec.index_key else {}
    return IndexSpec(**{**options, "embeddings": sets.embeddings, "queries": sets.queries, "output": index.uri})


def _compared(spec: MigrateSpec, sets: Sets, planned: dict[str, dict[str, Any]]) -> Migrated:
    """*Driver.* Ask both, and switch if that was asked for and nothing has changed since."""
    head, manifest, info = begin_change(spec.index)
    if _contents(held_sources(manifest)) != _contents(planned):
        raise OutputError(f"'{manifest.uri}' has grown while this ran; run it again: only what is new is embedded.")
    if info.other is None:
        raise OutputError(f"'{manifest.uri}' was told to forget what is beside it while this ran; run it again.")
    first, second = Searcher(manifest, info), Searcher(manifest, info.other.info)
    with first, second:
        questions = read_questions(spec, first)
        answers = [ask(each, questions, spec.text_column) for each in (first, second)]
        names = [each.info.encoder["model"] for each in (first, second)]
        rows = [row_of(*each) for each in zip(names, (first, second), answers, strict=True)]
        change = _change(first, second, answers, sets)
        change["queries"], change["with a right answer"] = len(questions), sum(bool(each.right) for each in questions)
    if verdict := _verdict(spec, answers, change):
        return Migrated(f"'{manifest.uri}' still answers by model '{names[0]}': {verdict}", rows, change)
    switch_to_other(head, manifest, info)
    said = f"'{manifest.uri}' answers by model '{names[1]}' now; '{names[0]}' is kept (--rollback goes back to it)."
    return Migrated(said, rows, change)


def _contents(sources: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {uri: source["fingerprint"] for uri, source in sources.items()}


def _change(first: Searcher, second: Searcher, answers: list[Answers], sets: Sets) -> dict[str, Any]:
    return {
        "first ten in common": round(in_common(*answers), 4),
        "records that only the first has": only_in(first, second),
        "records that only the second has": only_in(second, first),
        "taken down": first.info.rows - first.rows,
        **{f"rejected: {reason}": count for reason, count in sorted(sets.rejects.items())},
    }


def _verdict(spec: MigrateSpec, answers: list[Answers], change: dict[str, Any]) -> str:
    """*Pure.* Why nothing is switched; empty where it is."""
    if spec.switch:
        return ""
    if answers[0].found is None:
        return (
            "no query has a right answer that is known, so there is no recall and no --bar can be passed; --queries "
            "takes the ids of right ones behind a tab, and --switch switches all the same."
        )
    if not spec.bar:
        return "--switch changes that, or --bar where the second is good enough."
    if lost := change["records that only the first has"]:
        return f"{lost:,} of its records are not in the second; --switch switches all the same."
    if not passes(answers[0], answers[1], spec.bar):
        return f"the second does not reach {spec.bar:g} of its recall; --switch switches all the same."
    return ""


def _back(uri: str, head: Head, manifest: Manifest, info: IndexInfo) -> Migrated:
    """*Driver.* The index of before is first again; done already if it is."""
    if info.other is None:
        raise InputError(f"'{uri}' keeps no index to go back to.")
    if not info.other.was_served:
        return Migrated(f"'{uri}' answers by model '{info.encoder['model']}' already, as before a switch.")
    before = info.other
    with Searcher(manifest, info) as first, Searcher(manifest, before.info) as second:
        change = {"records that are found no more": only_in(first, second)}
    switch_to_other(head, manifest, info)
    model = before.info.encoder["model"]
    return Migrated(f"'{uri}' answers by model '{model}' again; '{info.encoder['model']}' is kept.", [], change)


def _forgotten(uri: str, info: IndexInfo) -> Migrated:
    model = info.encoder["model"]
    if info.other is None:
        return Migrated(f"'{uri}' has the index of model '{model}' alone.")
    forget_other(uri)
    return Migrated(
        f"'{uri}' has the index of model '{model}' alone now; '{info.other.info.encoder['model']}' is gone."
    )


def _kept(info: IndexInfo) -> str:
    """*Pure.* What one may want to know at the end of a sentence."""
    if info.other is None or not info.other.was_served:
        return ""
    return f"; '{info.other.info.encoder['model']}' is kept (--rollback goes back to it)"


def migrated_tables(found: Migrated) -> list[Table]:
    """*Pure.* The figures as tables for a terminal."""
    tables = []
    if found.models:
        columns = tuple(found.models[0])
        rows = [tuple("-" if value is None else value for value in each.values()) for each in found.models]
        tables.append(Table("answers", columns, rows))
    if found.change:
        tables.append(Table("what changes", ("what", "value"), list(found.change.items())))
    return tables
