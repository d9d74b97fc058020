"""A world of datasets that name each other, the commands that change it, and moments at which something happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from clip_spark import storage
from clip_spark.commands.clean import delete_each, find_leftovers
from clip_spark.datasets import schema
from clip_spark.datasets.embeddings import embedding_table
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.shards import ShardWriter
from clip_spark.index.build.build import build_index
from clip_spark.index.change.calibrate import calibrate_index
from clip_spark.index.change.remove import remove_records
from clip_spark.index.specs import CalibrateSpec, IndexSpec, RemoveSpec
from tests.helpers_disturbed import Command
from tests.helpers_embeddings import ENCODER, FakeSpec, numbered, unit_vectors, write_embeddings

SETS, INDICES, VERSIONS, EACH = ("a", "b", "c"), ("index", "second"), (0, 1), 4
COLUMNS = {"a": pa.schema([]), "b": pa.schema([("year", pa.int64())]), "c": pa.schema([("author", pa.string())])}
"""Of a user's own; an index has those of all its sets, and null where a set lacks one."""
TEXTS = numbered(len(SETS) * len(VERSIONS) * EACH)
VECTORS = unit_vectors(len(TEXTS), dim=8)
QUERY = unit_vectors(1, dim=8, seed=5)[0]
ASKED, ASKING = "asked", unit_vectors(64, dim=8, seed=9)
Source = tuple[str, int]
"""A set of embeddings and its version: --overwrite replaces one by the other, with other rows."""


def rows_of_set(source: Source) -> range:
    """The rows of TEXTS that a version of a set holds."""
    start = (SETS.index(source[0]) * len(VERSIONS) + source[1]) * EACH
    return range(start, start + EACH)


def columns_of(row: int) -> dict[str, Any]:
    """What the user's own columns hold in a row."""
    name = SETS[row // (len(VERSIONS) * EACH)]
    return {"b": {"year": 1900 + row}, "c": {"author": f"author {row}"}}.get(name, {})


@dataclass(frozen=True)
class State:
    """What an index should hold.

    Attributes:
        sets: of embeddings, in the order in which they were added.
        removed: rows that were taken down.
        left_out: rows that were taken down before their set came.
        erased: rows of which no byte is left.
    """

    sets: tuple[Source, ...] = ()
    removed: frozenset[int] = frozenset()
    left_out: frozenset[int] = frozenset()
    erased: frozenset[int] = frozenset()

    @property
    def rows(self) -> list[int]:
        return [row for source in self.sets for row in rows_of_set(source) if row not in self.left_out]

    @property
    def positions(self) -> list[int | None]:
        """The row at each position; None where it is erased."""
        return [None if row in self.erased else row for row in self.rows]

    def of(self, *sets: Source) -> State:
        """The same index of other sets, of which the last comes in; it leaves out what was taken down."""
        new = set(rows_of_set(sets[-1]))
        return replace(self, sets=sets, left_out=(self.left_out - new) | (self.removed & new))

    def holds(self, source: Source) -> bool:
        """True if this is the version of its set that was added last: then a build has nothing to do."""
        return source in [other for other in self.sets if other[0] == source[0]][-1:]

    def answer(self) -> list[int]:
        """Brute force: the rows that a search finds, the nearest first."""
        left = [row for row in self.rows if row not in self.removed]
        return sorted(left, key=lambda row: -float(VECTORS[row] @ QUERY))


@dataclass(frozen=True)
class World:
    """The oracle: versions of the sets, by SETS, and states of the indices, by INDICES."""

    versions: tuple[int, ...] = (0,) * len(SETS)
    states: tuple[State, ...] = (State(),) * len(INDICES)

    def source(self, name: str) -> Source:
        return name, self.versions[SETS.index(name)]

    def with_version(self, name: str, version: int) -> World:
        at = SETS.index(name)
        return replace(self, versions=(*self.versions[:at], version, *self.versions[at + 1 :]))

    def change(self, index: str, state: Callable[[State], State]) -> World:
        at = INDICES.index(index)
        return replace(self, states=(*self.states[:at], state(self.states[at]), *self.states[at + 1 :]))


def no_spark() -> Any:
    raise AssertionError("no session is needed here")


def writing(name: str, version: int) -> Command:
    """An embed step that replaces its dataset, whatever indices were built of it."""
    return Command(
        f"embed {name}{version}",
        lambda folder: write_set(folder, name, version),
        lambda world: world.with_version(name, version),
    )


def write_set(folder: str, name: str, version: int, *, overwrite: bool = True) -> None:
    """Two shards, unless this version is there already."""
    uri, rows = storage.join(folder, name), list(rows_of_set((name, version)))
    plan = Plan.of("embeddings", FakeSpec(output=uri, seed=version, rows=EACH), {}, 2)
    run = begin_run(uri, plan, overwrite=False) if not overwrite else begin_run(uri, plan, overwrite=True)
    for number in run.pending():
        _write_shard(run.output, plan.fingerprint, number, name, rows[number * 2 : number * 2 + 2])
    columns = ["record_id", "text", *COLUMNS[name].names]
    run.commit({"encoder": ENCODER, "modality": "text", "dim": VECTORS.shape[1], "columns": columns})


def _write_shard(output: str, plan: str, number: int, name: str, rows: list[int]) -> None:
    records = pa.schema([("record_id", pa.string()), ("text", pa.string()), *COLUMNS[name]])
    ids = [schema.record_id(TEXTS[row]) for row in rows]
    with ShardWriter(output, plan, number, {"embeddings": schema.EMBEDDINGS, "records": records}) as writer:
        writer.write("embeddings", embedding_table(ids, VECTORS[rows]))
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
        return world.change(index, lambda s: replace(s, removed=s.removed | {row}) if row in s.rows else s)

    def after(world: World) -> World:
        return taken_down(world).change(index, lambda s: replace(s, erased=s.removed) if row in s.rows else s)

    name = f"remove {row} of {index} where={where} compact={compact}"
    return Command(name, run, after, half=taken_down) if compact else Command(name, run, taken_down)


def compacting(index: str) -> Command:
    def run(folder: str) -> object:
        return remove_records(no_spark, RemoveSpec(index=storage.join(folder, index), compact=True))

    return Command(f"compact {index}", run, lambda world: world.change(index, lambda s: replace(s, erased=s.removed)))


def clean(folder: str) -> None:
    list(delete_each(find_leftovers(folder, older_than_hours=0, unfinished=True)))


def calibrating(index: str) -> Command:
    """What an index has learnt of its hubs changes neither what it holds nor what its own kind finds."""

    def run(folder: str) -> object:
        spec = CalibrateSpec(index=storage.join(folder, index), queries=storage.join(folder, ASKED))
        return calibrate_index(no_spark, spec)

    return Command(f"calibrate {index}", run, lambda world: world)


def write_asked(folder: str) -> None:
    """The pictures that teach."""
    names = [f"{row}.jpg" for row in range(len(ASKING))]
    write_embeddings(storage.join(folder, ASKED), ASKING, names, modality="image")


CLEAN = Command("clean", clean, lambda world: world)
_indices, _names = st.sampled_from(INDICES), st.sampled_from(SETS)
COMMANDS = st.one_of(
    st.builds(building, _indices, _names, overwrite=st.booleans()),
    st.builds(building, _indices, _names, append=st.just(True)),
    st.builds(removing, _indices, st.sampled_from(range(len(TEXTS))), where=st.booleans(), compact=st.booleans()),
    st.builds(compacting, _indices),
    st.builds(calibrating, _indices),
    st.builds(writing, _names, st.sampled_from(VERSIONS)),
    st.just(CLEAN),
)
