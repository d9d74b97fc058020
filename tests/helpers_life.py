"""A world of datasets that name each other, the commands that change it, and moments at which something happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from clip_spark import storage
from clip_spark.analysis.duplicates.groups import groups_of
from clip_spark.analysis.duplicates.spec import DuplicatesSpec
from clip_spark.analysis.duplicates.step import find_duplicates
from clip_spark.commands.clean import delete_each, find_leftovers
from clip_spark.datasets import schema
from clip_spark.datasets.embeddings import embedding_table
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.shards import ShardWriter
from clip_spark.embed.imported.spec import ImportSpec
from clip_spark.embed.imported.step import import_embeddings
from clip_spark.index.build.build import build_index
from clip_spark.index.change.calibrate import calibrate_index
from clip_spark.index.change.generation import begin_change
from clip_spark.index.change.other import build_other, forget_other, switch_to_other
from clip_spark.index.change.remove import remove_records
from clip_spark.index.files.faiss_library import load_faiss
from clip_spark.index.imported.adopt import adopt_index
from clip_spark.index.imported.spec import AdoptSpec
from clip_spark.index.specs import CalibrateSpec, IndexSpec, RemoveSpec
from tests.helpers_disturbed import Command
from tests.helpers_embeddings import ENCODER, FakeSpec, numbered, unit_vectors, write_embeddings
from tests.helpers_spark import one_by_one

Source = tuple[str, int]
"""A set of embeddings and its version: --overwrite replaces one by the other, with other rows."""
SETS, INDICES, VERSIONS, EACH = ("a", "b", "c", "d"), ("index", "second"), (0, 1), 4
IMPORTED = "d"
"""The set that comes by import-embeddings; the others are written as embed steps do."""
YEAR, AUTHOR = pa.schema([("year", pa.int64())]), pa.schema([("author", pa.string())])
COLUMNS = {"a": pa.schema([]), "b": YEAR, "c": AUTHOR, IMPORTED: YEAR}
"""Of a user's own; an index has those of all its sets, and null where a set lacks one."""
TEXTS = numbered(len(SETS) * len(VERSIONS) * EACH)
NEAR = 0.9
"""Cosine from which on two records are doubles."""


def with_doubles(vectors: np.ndarray) -> np.ndarray:
    """The same, but that the second of each set is nearly its first."""
    vectors[1::EACH] = vectors[::EACH] + 0.3 * vectors[1::EACH]
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


VECTORS = with_doubles(unit_vectors(len(TEXTS), dim=8))
QUERY = unit_vectors(1, dim=8, seed=5)[0]
ASKED, ASKING = "asked", unit_vectors(64, dim=8, seed=9)
MODELS = (ENCODER, {**ENCODER, "model": "other", "weights_sha256": "v"})
BY_MODEL = (VECTORS, unit_vectors(len(TEXTS), dim=8, seed=13))
OTHERS: dict[str, Source] = {"a2": ("a", 0), "b2": ("b", 1)}
"""Sets by the second model, of the same records."""
FOREIGN: dict[str, tuple[Source, str]] = {"flat": (("a", 1), "Flat"), "graph": (("c", 0), "HNSW4")}
"""Faiss indices that another tool has made, of the records of some sets; and their kinds."""


def rows_of_set(source: Source) -> range:
    """The rows of TEXTS that a version of a set holds."""
    start = (SETS.index(source[0]) * len(VERSIONS) + source[1]) * EACH
    return range(start, start + EACH)


def columns_of(row: int) -> dict[str, Any]:
    """What the user's own columns hold in a row."""
    name = SETS[row // (len(VERSIONS) * EACH)]
    return {"b": {"year": 1900 + row}, "c": {"author": f"author {row}"}, IMPORTED: {"year": 7 + row}}.get(name, {})


@dataclass(frozen=True)
class Content:
    """What one of the two indices in a folder was made of.

    Attributes:
        sets: of embeddings, in the order in which they were added.
        left_out: rows that were taken down before their set came.
        model: which of MODELS.
        was_served: of the one beside: it was first until the last switch.
    """

    sets: tuple[Source, ...] = ()
    left_out: frozenset[int] = frozenset()
    model: int = 0
    was_served: bool = False

    @property
    def rows(self) -> list[int]:
        return [row for source in self.sets for row in rows_of_set(source) if row not in self.left_out]


@dataclass(frozen=True)
class State(Content):
    """What an index should hold: its own content, and that of the index beside it; both know the same takedowns.

    Attributes:
        removed: rows that were taken down.
        erased: rows of which no byte is left.
        beside: the index of another model, if there is one.
    """

    removed: frozenset[int] = frozenset()
    erased: frozenset[int] = frozenset()
    beside: Content | None = None

    def positions(self, of: Content) -> list[int | None]:
        """The row at each position; None where it is erased."""
        return [None if row in self.erased else row for row in of.rows]

    def of(self, *sets: Source) -> State:
        """The same index of other sets, of which the last comes in; it leaves out what was taken down."""
        new = set(rows_of_set(sets[-1]))
        return replace(self, sets=sets, left_out=(self.left_out - new) | (self.removed & new), model=0)

    def with_beside(self, source: Source) -> State:
        """With the second model's index of a set beside it, unless it is there, or one is kept to go back to."""
        there = [(one.sets, one.model) for one in (self, self.beside) if one is not None]
        if not self.sets or ((source,), 1) in there or (self.beside is not None and self.beside.was_served):
            return self
        return replace(self, beside=Content((source,), self.removed & set(rows_of_set(source)), 1))

    def switched(self) -> State:
        """The two have changed places."""
        if self.beside is None:
            return self
        was, now = Content(self.sets, self.left_out, self.model, not self.beside.was_served), self.beside
        return replace(self, sets=now.sets, left_out=now.left_out, model=now.model, beside=was)

    def knows(self, row: int) -> bool:
        """True if one of both has such a record."""
        return row in self.rows or (self.beside is not None and row in self.beside.rows)

    def holds(self, source: Source) -> bool:
        """True if this is the version of its set that was added last: then a build has nothing to do."""
        return source in [other for other in self.sets if other[0] == source[0]][-1:]

    def answer(self, of: Content | None = None) -> list[int]:
        """Brute force: the rows that a search finds, the nearest first."""
        of = of or self
        left = [row for row in of.rows if row not in self.removed]
        return sorted(left, key=lambda row: -float(BY_MODEL[of.model][row] @ QUERY))

    def seen(self) -> list[Any]:
        """What is to be seen of it: of the first, and of the one beside."""
        return [self._seen(self), self.beside and (*self._seen(self.beside), self.beside.was_served)]

    def _seen(self, of: Content) -> tuple[Any, ...]:
        return self.answer(of), self.positions(of), MODELS[of.model]["model"] if of.sets else ""


@dataclass(frozen=True)
class World:
    """The oracle: versions of the sets, by SETS, those that their doubles were found in, and states of the indices."""

    versions: tuple[int, ...] = (0,) * len(SETS)
    doubles: tuple[int | None, ...] = (None,) * len(SETS)
    states: tuple[State, ...] = (State(),) * len(INDICES)

    def source(self, name: str) -> Source:
        return name, self.versions[SETS.index(name)]

    def with_version(self, name: str, version: int) -> World:
        at = SETS.index(name)
        return replace(self, versions=(*self.versions[:at], version, *self.versions[at + 1 :]))

    def with_doubles(self, name: str) -> World:
        at = SETS.index(name)
        return replace(self, doubles=(*self.doubles[:at], self.versions[at], *self.doubles[at + 1 :]))

    def change(self, index: str, state: Callable[[State], State]) -> World:
        at = INDICES.index(index)
        return replace(self, states=(*self.states[:at], state(self.states[at]), *self.states[at + 1 :]))


def no_session() -> Any:
    """Stands for a session where tasks run in this process (helpers_spark.in_this_process)."""
    return SimpleNamespace(sparkContext=SimpleNamespace(parallelize=one_by_one))


def no_spark() -> Any:
    raise AssertionError("no session is needed here")


def writing(name: str, version: int) -> Command:
    """An embed step that replaces its dataset, whatever indices were built of it."""
    return Command(
        f"embed {name}{version}",
        lambda folder: write_set(folder, name, version),
        lambda world: world.with_version(name, version),
    )


def write_set(
    folder: str, name: str, version: int, *, overwrite: bool = True, model: int = 0, output: str = ""
) -> None:
    """Two shards, unless this version is there already."""
    if name == IMPORTED:
        import_set(folder, version, overwrite)
        return
    uri, rows = storage.join(folder, output or name), list(rows_of_set((name, version)))
    plan = Plan.of("embeddings", FakeSpec(output=uri, seed=version, rows=EACH), {}, 2)
    run = begin_run(uri, plan, overwrite=False) if not overwrite else begin_run(uri, plan, overwrite=True)
    for number in run.pending():
        _write_shard(run.output, plan.fingerprint, number, name, rows[number * 2 : number * 2 + 2], model)
    columns = ["record_id", "text", *COLUMNS[name].names]
    run.commit({"encoder": MODELS[model], "modality": "text", "dim": VECTORS.shape[1], "columns": columns})


def import_set(folder: str, version: int, overwrite: bool) -> None:
    """The imported set, in two shards."""
    source, output = storage.join(folder, f"{IMPORTED}{version}-in"), storage.join(folder, IMPORTED)
    spec = ImportSpec(
        embeddings=source, output=output, overwrite=overwrite, model="fake", modality="text", id_column="text",
        shard_rows=2,
    )  # fmt: skip
    import_embeddings(no_session, spec)


def write_foreign_things(folder: str) -> None:
    """What other tools have left: vectors in parquet, and Faiss indices with metadata."""
    for version in VERSIONS:
        table = foreign_table((IMPORTED, version))
        vectors = pa.array(list(VECTORS[list(rows_of_set((IMPORTED, version)))]), pa.list_(pa.float32()))
        place = storage.join(folder, f"{IMPORTED}{version}-in", "0.parquet")
        with storage.open_write(place) as stream:
            pq.write_table(table.append_column("embedding", vectors), stream)
    for name, (source, key) in FOREIGN.items():
        index = load_faiss().index_factory(VECTORS.shape[1], key, load_faiss().METRIC_INNER_PRODUCT)
        index.add(VECTORS[list(rows_of_set(source))])
        storage.write_bytes(storage.join(folder, name, "knn.index"), load_faiss().serialize_index(index).tobytes())
        with storage.open_write(storage.join(folder, name, "metadata/0.parquet")) as stream:
            pq.write_table(foreign_table(source), stream)


def foreign_table(source: Source) -> pa.Table:
    """Texts and the user's own columns of a set."""
    rows = rows_of_set(source)
    own = {name: [columns_of(row)[name] for row in rows] for name in COLUMNS[source[0]].names}
    return pa.table({"text": [TEXTS[row] for row in rows], **own})


def adopting(index: str, name: str, *, overwrite: bool) -> Command:
    """adopt-index: its file would bring back what was taken down, so then it is refused."""

    def run(folder: str) -> object:
        source, output = storage.join(folder, name), storage.join(folder, index)
        spec = AdoptSpec(index=source, output=output, overwrite=overwrite, model="fake", id_column="text")
        return adopt_index(no_session, spec)  # a graph learns part by part what an index before it had learnt

    return Command(f"adopt {index} {name}", run, lambda world: world.change(index, lambda s: s.of(FOREIGN[name][0])))


def _write_shard(output: str, plan: str, number: int, name: str, rows: list[int], model: int) -> None:
    records = pa.schema([("record_id", pa.string()), ("text", pa.string()), *COLUMNS[name]])
    ids = [schema.record_id(TEXTS[row]) for row in rows]
    with ShardWriter(output, plan, number, {"embeddings": schema.EMBEDDINGS, "records": records}) as writer:
        writer.write("embeddings", embedding_table(ids, BY_MODEL[model][rows]))
        own = [[columns_of(row)[column] for row in rows] for column in COLUMNS[name].names]
        writer.write("records", pa.table([ids, [TEXTS[row] for row in rows], *own], schema=records))
        writer.finish()


def building(index: str, name: str, *, overwrite: bool = False, append: bool = False) -> Command:
    def run(folder: str) -> object:
        source, output = storage.join(folder, name), storage.join(folder, index)
        return build_index(no_spark, IndexSpec(embeddings=source, output=output, overwrite=overwrite, append=append))

    def after(world: World) -> World:
        source = world.source(name)
        if append:
            return world.change(index, lambda s: s if source in s.sets else s.of(*s.sets, source))
        return world.change(index, lambda s: s if not overwrite and s.holds(source) else s.of(source))

    kind = "append" if append else "rebuild" if overwrite else "build"
    return Command(f"{kind} {index} {name}", run, after)


def removing(index: str, row: int, *, where: bool, compact: bool) -> Command:
    def run(folder: str) -> object:
        condition, ids = (f"text = '{TEXTS[row]}'", ()) if where else ("", (schema.record_id(TEXTS[row]),))
        uri = storage.join(folder, index)
        return remove_records(no_spark, RemoveSpec(index=uri, where=condition, ids=ids, compact=compact))

    def taken_down(world: World) -> World:
        return world.change(index, lambda s: replace(s, removed=s.removed | {row}) if s.knows(row) else s)

    def after(world: World) -> World:
        return taken_down(world).change(index, lambda s: replace(s, erased=s.removed) if s.knows(row) else s)

    name = f"remove {row} of {index} where={where} compact={compact}"
    return Command(name, run, after, half=taken_down) if compact else Command(name, run, taken_down)


def compacting(index: str) -> Command:
    def run(folder: str) -> object:
        return remove_records(no_spark, RemoveSpec(index=storage.join(folder, index), compact=True))

    return Command(f"compact {index}", run, lambda world: world.change(index, lambda s: replace(s, erased=s.removed)))


def building_beside(index: str, name: str) -> Command:
    """The same records by the second model, as migrate-index builds them."""

    def run(folder: str) -> object:
        return build_other(
            no_spark, IndexSpec(embeddings=storage.join(folder, name), output=storage.join(folder, index))
        )

    return Command(
        f"beside {index} {name}", run, lambda world: world.change(index, lambda s: s.with_beside(OTHERS[name]))
    )


def switching(index: str) -> Command:
    """migrate-index --switch and --rollback are this write."""

    def run(folder: str) -> object:
        return switch_to_other(*begin_change(storage.join(folder, index)))

    return Command(f"switch {index}", run, lambda world: world.change(index, State.switched))


def forgetting(index: str) -> Command:
    def run(folder: str) -> object:
        return forget_other(storage.join(folder, index))

    return Command(f"forget {index}", run, lambda world: world.change(index, lambda s: replace(s, beside=None)))


def doubling(name: str, index: str) -> Command:
    """find-duplicates of a set; all but the kept of each group are taken down from an index."""
    uri = f"{name}-doubles"

    def run(folder: str) -> object:
        places = {"embeddings": name, "output": uri, "remove": index}
        given = {option: storage.join(folder, place) for option, place in places.items()}
        return find_duplicates(no_session, DuplicatesSpec(**given, threshold=NEAR, examples=0))  # type: ignore[arg-type]

    def found(world: World) -> World:
        return world.with_doubles(name) if world.states[INDICES.index(index)].sets else world

    def after(world: World) -> World:
        source = world.source(name)
        return found(world).change(index, lambda s: replace(s, removed=s.removed | doomed(s, source)))

    return Command(f"doubles of {name}, from {index}", run, after, half=found)


def doomed(state: State, source: Source) -> frozenset[int]:
    """Rows that are doubles of one which an index has, and goes on to have."""
    rows = list(rows_of_set(source))
    kept, _ = groups_of(VECTORS[rows], np.zeros(len(rows)), NEAR)
    live = set(state.rows) - state.removed
    pairs = [(row, rows[of]) for row, of in zip(rows, kept.tolist(), strict=True)]
    return frozenset(row for row, of in pairs if row != of and of in live and row in live)


def clean(folder: str) -> None:
    list(delete_each(find_leftovers(folder, older_than_hours=0, unfinished=True)))


def calibrating(index: str) -> Command:
    """What an index has learnt of its hubs changes neither what it holds nor what its own kind finds."""

    def run(folder: str) -> object:
        spec = CalibrateSpec(index=storage.join(folder, index), queries=storage.join(folder, ASKED))
        return calibrate_index(no_session, spec)  # a graph is asked part by part

    return Command(f"calibrate {index}", run, lambda world: world)


def write_asked(folder: str) -> None:
    """The pictures that teach, and the sets of the second model."""
    names = [f"{row}.jpg" for row in range(len(ASKING))]
    write_embeddings(storage.join(folder, ASKED), ASKING, names, modality="image")
    for name, (of, version) in OTHERS.items():
        write_set(folder, of, version, overwrite=False, model=1, output=name)


CLEAN = Command("clean", clean, lambda world: world)
_indices, _names = st.sampled_from(INDICES), st.sampled_from(SETS)
COMMANDS = st.one_of(
    st.builds(building, _indices, _names, overwrite=st.booleans()),
    st.builds(building, _indices, _names, append=st.just(True)),
    st.builds(removing, _indices, st.sampled_from(range(len(TEXTS))), where=st.booleans(), compact=st.booleans()),
    st.builds(adopting, _indices, st.sampled_from(tuple(FOREIGN)), overwrite=st.booleans()),
    st.builds(compacting, _indices),
    st.builds(calibrating, _indices),
    st.builds(building_beside, _indices, st.sampled_from(tuple(OTHERS))),
    st.builds(switching, _indices),
    st.builds(forgetting, _indices),
    st.builds(doubling, _names, _indices),
    st.builds(writing, _names, st.sampled_from(VERSIONS)),
    st.just(CLEAN),
)
