"""A folder of pictures that gains, loses and changes files, the dataset and the index that follow it; any commands, in
any order, killed or with another at any write. The oracle is a dict: name of a picture -> its version."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule
from PIL import Image

from clip_spark import storage
from clip_spark.datasets import growth as growth_module
from clip_spark.datasets import run as run_module
from clip_spark.datasets.commit import read_head
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.schema import record_id
from clip_spark.embed.pictures import embed_images, plan_tasks
from clip_spark.embed.specs import EmbedImagesSpec
from clip_spark.index.build import build as build_module
from clip_spark.index.build.build import build_index
from clip_spark.index.change import generation as generation_module
from clip_spark.index.change.remove import remove_records
from clip_spark.index.files.layout import index_info
from clip_spark.index.open.records import RecordReader
from clip_spark.index.open.removals import read_removed
from clip_spark.index.specs import IndexSpec, RemoveSpec
from clip_spark.search.searcher import Searcher
from tests.helpers_colours import know_colours, shrink
from tests.helpers_disturbed import Command, disturbed
from tests.helpers_growth import no_session, tasks_run_here
from tests.helpers_life import CLEAN, no_spark

NAMES, BROKEN = "abcdefg", 0
"""The first picture is always there and never changes; a picture of version BROKEN is none."""
AT_FIRST = tuple((name, 1) for name in "abcde")
"""Three shards, so that a first run that is killed has often finished one."""
STRAYS = ("b.knn", "Thumbs.db", "desktop.ini", ".DS_Store", "notes.md")
Pictures = dict[str, int]


@dataclass(frozen=True)
class World:
    """The oracle.

    Attributes:
        files: what lies in the folder.
        data: what is embedded, or was rejected; None if nothing is official yet.
        index: what was given to the index, None likewise.
        removed: names that were taken down of it.
        erased: those of which no byte is left.
    """

    files: tuple[tuple[str, int], ...] = AT_FIRST
    data: tuple[tuple[str, int], ...] | None = None
    index: tuple[tuple[str, int], ...] | None = None
    removed: frozenset[str] = frozenset()
    erased: frozenset[str] = frozenset()

    def answer(self) -> Pictures:
        """What a search finds."""
        return {name: version for name, version in self.index or () if name not in self.removed}


def items(pictures: Pictures) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(pictures.items()))


@cache
def picture(name: str, version: int) -> bytes:
    """A colour of its own; the width is the version."""
    if version == BROKEN:
        return b"\x89PNG\r\n\x1a\n nothing"
    colour = tuple(np.random.default_rng([version, *name.encode()]).integers(1, 255, 3).tolist())
    stream = io.BytesIO()
    Image.new("RGB", (8 + version, 8), colour).save(stream, "PNG")
    return stream.getvalue()


def vector(name: str, version: int) -> np.ndarray:
    mean = shrink(picture(name, version)).values.mean(axis=(0, 1))
    return np.asarray(mean / np.linalg.norm(mean))


def uri_of(folder: str, name: str) -> str:
    return storage.join(folder, "in", f"{name}.png")


def put(folder: str, name: str, version: int) -> None:
    storage.write_bytes(uri_of(folder, name), picture(name, version))


def spec_of(folder: str, *, prune: bool) -> EmbedImagesSpec:
    places = {"images": (storage.join(folder, "in"),), "output": storage.join(folder, "emb")}
    return EmbedImagesSpec(**places, shard_rows=2, model="colours:rgb", prune=prune)  # type: ignore[arg-type]


def embedding(*, prune: bool) -> Command:
    def after(world: World) -> World:
        if world.data is None or prune:
            return replace(world, data=world.files)
        return replace(world, data=items(dict(world.files) | dict(world.data)))

    return Command(f"embed prune={prune}", lambda folder: embed_images(no_session, spec_of(folder, prune=prune)), after)


def building() -> Command:
    def run(folder: str) -> object:
        sets = (storage.join(folder, "emb"),)
        return build_index(no_spark, IndexSpec(embeddings=sets, output=storage.join(folder, "index")))

    def after(world: World) -> World:
        if world.data is None:
            return world
        return replace(world, index=items({name: version for name, version in world.data if version != BROKEN}))

    return Command("build", run, after)


def removing(name: str, *, compact: bool) -> Command:
    def run(folder: str) -> object:
        ids = (record_id(uri_of(folder, name)),)
        return remove_records(no_spark, RemoveSpec(index=storage.join(folder, "index"), ids=ids, compact=compact))

    def taken_down(world: World) -> World:
        return replace(world, removed=world.removed | {name}) if name in dict(world.index or ()) else world

    def after(world: World) -> World:
        down = taken_down(world)
        return replace(down, erased=down.removed) if name in dict(world.index or ()) else world

    said = f"remove {name} compact={compact}"
    return Command(said, run, after, half=taken_down) if compact else Command(said, run, taken_down)


def coming(name: str) -> Command:
    """A file that is written while something else runs."""

    def run(folder: str) -> None:
        if not storage.exists(uri_of(folder, name)):
            put(folder, name, 1)

    return Command(f"{name} comes", run, lambda world: replace(world, files=items({name: 1} | dict(world.files))))


_others = st.sampled_from(NAMES[1:])
COMMANDS = st.one_of(
    st.builds(embedding, prune=st.booleans()),
    st.builds(embedding, prune=st.just(False)),
    st.builds(building),
    st.builds(removing, _others, compact=st.booleans()),
    st.builds(coming, _others),
    st.just(CLEAN),
)


class Growth(disturbed(COMMANDS, writes=24)):  # type: ignore[misc]
    """From an empty output on; subclasses say in which folder."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        tasks_run_here(self.patch)
        know_colours(self.patch)
        _be_quiet(self.patch)
        self.folder = self.new_folder()
        self.world = World()
        for name, version in AT_FIRST:
            put(self.folder, name, version)

    def new_folder(self) -> str:
        """An empty place."""
        raise NotImplementedError

    def teardown(self) -> None:
        self.patch.undo()
        storage.remove_tree(self.folder)

    def official(self, name: str) -> Manifest | None:
        return read_head(storage.join(self.folder, name)).manifest

    def settle(self, *possible: World) -> None:
        """Go on from the last of these worlds that is there: the one in which most has happened."""
        found = (self.files(), self.data(), self.answer(), self.removed())
        held = self.held()
        fitting = [world for world in possible if as_found(world) == found and not world.erased & held]
        assert fitting, f"there is {found}, the index holds {held}; possible were {possible}"
        assert held - self.world.removed - fitting[-1].removed == set(found[2])
        self.world = fitting[-1]

    def files(self) -> set[str]:
        found = storage.iter_files(storage.join(self.folder, "in"))
        return {name for file in found if (name := storage.name(file.uri).removesuffix(".png")) in NAMES}

    def data(self) -> Pictures | None:
        """Pictures and rejects; each vector is that of the picture's version, and stands beside its record."""
        found = self.official("emb")
        if found is None:
            return None
        pictures: Pictures = {}
        for receipt in found.receipts:
            rows, vectors, rejects = (read_rows(found, receipt, name) for name in ("records", "embeddings", "rejects"))
            for row, beside in zip(rows, vectors, strict=True):
                name, version = name_of(row["uri"]), row["width"] - 8
                assert name not in pictures and row["record_id"] == beside["record_id"]
                np.testing.assert_allclose(beside["embedding"], vector(name, version), atol=1e-5)
                pictures[name] = version
            for row in rejects:
                assert name_of(row["source"]) not in pictures
                pictures[name_of(row["source"])] = BROKEN
        return pictures

    def answer(self) -> Pictures:
        if self.official("index") is None:
            return {}
        searcher = Searcher.open(storage.join(self.folder, "index"))
        try:
            hits = searcher.search_embedding(np.full(3, 3**-0.5, np.float32), 100)
        finally:
            searcher.close()
        pictures = {name_of(hit.record["uri"]): hit.record["width"] - 8 for hit in hits}
        assert len(pictures) == len(hits), "a picture is found twice"
        return pictures

    def held(self) -> set[str]:
        """Names of which the index holds a record, hidden or not."""
        found = self.official("index")
        if found is None:
            return set()
        info = index_info(found)
        batches = [batch for _, batch in RecordReader(found.uri, info.records, info.columns).batches()]
        return {name_of(uri) for batch in batches for uri in batch.column("uri").to_pylist() if uri is not None}

    def removed(self) -> set[str]:
        down = set(read_removed(storage.join(self.folder, "index")))
        return {name for name in NAMES if record_id(uri_of(self.folder, name)) in down}

    @rule(name=_others, version=st.sampled_from((BROKEN, 1, 2)))
    def write(self, name: str, version: int) -> None:
        """A new file, or another content of one that is there."""
        if dict(self.world.files).get(name) != version:
            put(self.folder, name, version)
            self.world = replace(self.world, files=items(dict(self.world.files) | {name: version}))

    @rule(name=_others)
    def drop(self, name: str) -> None:
        storage.remove_files([uri_of(self.folder, name)])
        self.world = replace(self.world, files=items({k: v for k, v in self.world.files if k != name}))

    @rule(name=_others, version=st.sampled_from((1, 2)), number=st.integers(6, 24), prune=st.booleans())
    def change_after_a_kill(self, name: str, version: int, number: int, prune: bool) -> None:
        """What a killed run has finished of a file is worth nothing once the file has changed."""
        self.killed(embedding(prune=prune), number)
        self.write(name, version)
        self.run(embedding(prune=prune))

    @rule(name=st.sampled_from(STRAYS))
    def stray(self, name: str) -> None:
        """Changes nothing."""
        spec = spec_of(self.folder, prune=False)
        before = plan_tasks(spec).plan.fingerprint
        storage.write_bytes(storage.join(self.folder, "in", name), b"whatever")
        assert plan_tasks(spec).plan.fingerprint == before

    @invariant()
    def nothing_that_is_named_is_missing(self) -> None:
        for name in ("emb", "index"):
            if found := self.official(name):
                assert not [path for path in found.owned() if not storage.exists(storage.join(found.uri, path))]


def as_found(world: World) -> tuple[Any, ...]:
    data = None if world.data is None else dict(world.data)
    return set(dict(world.files)), data, world.answer(), set(world.removed)


def name_of(uri: str) -> str:
    return storage.name(uri).removesuffix(".png")


def read_rows(found: Manifest, receipt: Any, folder: str) -> list[dict[str, Any]]:
    for path in receipt.files:
        if f"/{path}".rpartition("/")[0].endswith(f"/{folder}"):
            with storage.open_read(storage.join(found.uri, path)) as stream:
                return pq.read_table(stream).to_pylist()
    return []


def _be_quiet(patch: pytest.MonkeyPatch) -> None:
    """What is asked of the machine again and again is asked once, and the log says nothing."""
    known = run_module.versions()
    for module in (run_module, generation_module):
        patch.setattr(module, "versions", lambda: known)
    for module in (run_module, growth_module, build_module):
        patch.setattr(module, "log", SimpleNamespace(info=lambda *_: None))
