"""Any commands on a world of datasets, in any order, killed at any write or with another at any write."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from clip_spark import storage
from clip_spark.datasets.commit import read_head
from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.datasets.schema import record_id
from clip_spark.embed.imported import step as import_step
from clip_spark.index.build import build as build_module
from clip_spark.index.files.layout import IndexInfo, index_info
from clip_spark.index.imported import adopt, foreign_file
from clip_spark.index.open.records import RecordReader
from clip_spark.search.hits import Wanted
from clip_spark.search.searcher import Searcher
from tests.helpers_disturbed import Command, disturbed
from tests.helpers_embeddings import ENCODER
from tests.helpers_life import (
    ASKING,
    COMMANDS,
    INDICES,
    QUERY,
    SETS,
    TEXTS,
    VECTORS,
    VERSIONS,
    State,
    World,
    columns_of,
    rows_of_set,
    write_asked,
    write_foreign_things,
    write_set,
)
from tests.helpers_spark import in_this_process

PLACES = ("", "parts", "generations", "removed", "parts/notes", "history", "_work", "receipts")


class Life(disturbed(COMMANDS, writes=14)):
    """Three sets of embeddings and two indices, from their first builds on; subclasses say in which folder."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(build_module, "log", type("Quiet", (), {"info": staticmethod(lambda *_: None)})())
        in_this_process(self.patch)
        self.folder = self.new_folder()
        know_the_model(self.patch)
        write_foreign_things(self.folder)
        for name in SETS:
            write_set(self.folder, name, 0, overwrite=False)
        write_asked(self.folder)
        self.world = World()
        self.foreign: dict[str, bytes] = {}
        self.reader: tuple[Searcher, State, str] | None = None

    def new_folder(self) -> str:
        """An empty place."""
        raise NotImplementedError

    def teardown(self) -> None:
        self.close_reader()
        self.patch.undo()
        storage.remove_tree(self.folder)

    def close_reader(self) -> None:
        if self.reader is not None:
            self.reader[0].close()
        self.reader = None

    def place(self, name: str) -> str:
        return storage.join(self.folder, name)

    def official(self, name: str) -> Manifest | None:
        return read_head(self.place(name)).manifest

    def attempt(self, command: Command) -> bool:
        if command.name == "clean":
            self.close_reader()
        return super().attempt(command)

    def answer(self, index: str) -> list[int]:
        found = self.official(index)
        return [] if found is None else answer_of(found, index_info(found))

    def seen(self, index: str) -> list[Any]:
        """What there is of an index, and of the one beside it, as `State.seen` says it."""
        found = self.official(index)
        if found is None:
            return [([], [], ""), None]
        info = index_info(found)
        beside = info.other and (*seen_of(found, info.other.info), info.other.was_served)
        return [seen_of(found, info), beside]

    def settle(self, *possible: World) -> None:
        """Go on from the one of these worlds that is there."""
        found = [self.seen(index) for index in INDICES]
        versions = tuple(self.version(name) for name in SETS)
        doubles = tuple(self.doubles(name) for name in SETS)
        alike = [world for world in possible if (world.versions, world.doubles) == (versions, doubles)]
        fitting = [world for world in alike if fits(world, found)]
        assert fitting, f"there is {versions}, {doubles}, {found}; possible were {possible}"
        self.world = fitting[0]

    def doubles(self, name: str) -> int | None:
        """The version of a set that its doubles were found in."""
        made = self.official(f"{name}-doubles")
        if made is None:
            return None
        ids = {each for uri in made.files("duplicates") for each in column(uri, "record_id")}
        fitting = [
            version for version in VERSIONS if ids & {record_id(TEXTS[row]) for row in rows_of_set((name, version))}
        ]
        assert len(fitting) == 1, f"the doubles of '{name}' are {ids}"
        return fitting[0]

    def version(self, name: str) -> int:
        """Of a set of embeddings, by its rows."""
        texts: list[str] = []
        for uri in read_manifest(self.place(name)).files("records"):
            texts += column(uri, "text")
        fitting = [version for version in (0, 1) if texts == [TEXTS[row] for row in rows_of_set((name, version))]]
        assert fitting, f"the set '{name}' holds {texts}"
        return fitting[0]

    @rule(hours=st.sampled_from(["0", "24"]))
    def grace(self, hours: str) -> None:
        self.patch.setenv("CLIP_SPARK_GRACE_HOURS", hours)
        self.close_reader()

    @rule(dataset=st.sampled_from((*SETS, *INDICES)), place=st.sampled_from(PLACES))
    def foreign_file(self, dataset: str, place: str) -> None:
        if self.official(dataset) is None:
            return  # a folder that clip-spark did not begin is refused, whatever it holds
        uri = storage.join(self.place(dataset), *filter(None, [place]), f"thesis{len(self.foreign)}.txt")
        storage.write_bytes(uri, b"years of work")
        self.foreign[uri] = b"years of work"

    @precondition(lambda self: os.environ.get("CLIP_SPARK_GRACE_HOURS") == "24")
    @rule(index=st.sampled_from(INDICES))
    def open_reader(self, index: str) -> None:
        self.close_reader()
        if self.official(index) is not None:
            self.reader = (Searcher.open(self.place(index)), self.world.states[INDICES.index(index)], index)

    @invariant()
    def a_search_is_brute_force(self) -> None:
        for index, state in zip(INDICES, self.world.states, strict=True):
            assert self.answer(index) == state.answer()

    @invariant()
    def a_corrected_search_finds_the_same(self) -> None:
        for index, state in zip(INDICES, self.world.states, strict=True):
            if self.official(index) is not None:
                with Searcher.open(self.place(index)) as searcher:
                    hits = searcher.search(ASKING[:1], Wanted(k=len(TEXTS)), kind="image")[0]
                    assert sorted(TEXTS.index(hit.record["text"]) for hit in hits) == sorted(state.answer())

    @invariant()
    def nothing_that_is_named_is_missing(self) -> None:
        for name in (*SETS, *INDICES):
            if found := self.official(name):
                assert not [path for path in found.owned() if not storage.exists(storage.join(found.uri, path))]

    @invariant()
    def foreign_files_are_untouched(self) -> None:
        assert {uri: storage.read_bytes(uri) for uri in self.foreign} == self.foreign

    @invariant()
    def a_reader_goes_on(self) -> None:
        if self.reader is not None:
            searcher, then, index = self.reader
            removed = self.world.states[INDICES.index(index)].removed
            assert set(then.rows) - removed <= set(rows_found(searcher)) <= set(then.answer())


def know_the_model(patch: pytest.MonkeyPatch) -> None:
    """The model of all sets, for commands that name it; what reads foreign files does so in this process."""
    info = {**ENCODER, "dim": VECTORS.shape[1], "context_length": 9}
    model = SimpleNamespace(info=lambda: info, stats=lambda: SimpleNamespace(rates={}))
    for module in (adopt, import_step):
        patch.setattr(module, "check_model", lambda name: None)
        patch.setattr(module, "load_encoder", lambda spec: model)
    patch.setattr(import_step, "run_shards", lambda spark, step, items, work: [work(item) for item in items])
    patch.setattr(foreign_file, "_child_of", lambda path, size: foreign_file.answer)


def column(uri: str, name: str) -> list[str]:
    with storage.open_read(uri) as stream:
        return list(pq.read_table(stream, columns=[name]).column(0).to_pylist())


def fits(world: World, found: list[list[Any]]) -> bool:
    """Whether the indices of a world answer like this, and hold these records and no byte of others."""
    return [state.seen() for state in world.states] == found


def seen_of(manifest: Manifest, info: IndexInfo) -> tuple[list[int], list[int | None], str]:
    """What one index answers, the row at each of its positions (None where it is erased), and its model."""
    texts: list[str | None] = []
    for _, batch in RecordReader(manifest.uri, info.records, info.columns).batches():
        texts += batch.column("text").to_pylist()
    rows = [None if text is None else TEXTS.index(text) for text in texts]
    return answer_of(manifest, info), rows, str(info.encoder["model"])


def answer_of(manifest: Manifest, info: IndexInfo) -> list[int]:
    with Searcher(manifest, info) as searcher:
        return rows_found(searcher)


def rows_found(searcher: Searcher) -> list[int]:
    """The rows that a search finds; each with the user's own columns, and null in those of other sets."""
    rows = []
    for hit in searcher.search_embedding(QUERY, len(TEXTS)):
        row = TEXTS.index(hit.record["text"])
        named = {name: hit.record.get(name) for name in ("year", "author")}
        own = {name: value for name, value in named.items() if value is not None}
        assert own == columns_of(row), f"row {row} has {own}"
        rows.append(row)
    return rows
