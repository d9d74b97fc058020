"""Rebuilds, appends and takedowns under a server that is searched all the time: no error, and no mixed answer."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

from clip_spark.datasets import schema
from clip_spark.encoders import EncoderSpec, load_encoder
from clip_spark.index.build.build import build_index
from clip_spark.index.change.generation import begin_change
from clip_spark.index.change.other import build_other, switch_to_other
from clip_spark.index.change.remove import remove_records
from clip_spark.index.files.layout import read_index
from clip_spark.index.specs import IndexSpec, RemoveSpec
from clip_spark.web import reload
from clip_spark.web.app import create_app
from clip_spark.web.catalog import Catalog
from clip_spark.web.reload import Reloader
from tests.helpers_embeddings import unit_vectors
from tests.helpers_models import small_model
from tests.helpers_web import encoder, no_spark, write_sample

ROWS, K = 60, 8
NAMES = [f"name {row}" for row in range(ROWS)]
SECONDS = 60
Answer = tuple[tuple[str, str], ...]
"""(text, version) of each hit."""


def write_version(folder: Path, version: str, names: list[str], seed: int) -> np.ndarray:
    """The same names with other vectors; each record says which version it is of."""
    vectors = unit_vectors(len(names), dim=encoder().info()["dim"], seed=seed)
    ids = [schema.record_id(name) for name in names]
    columns = {"record_id": ids, "text": names, "version": [version] * len(names)}
    write_sample(folder / version, "text", pa.table(columns), vectors)
    return vectors


def best(names: list[tuple[str, str]], vectors: np.ndarray, row: int) -> Answer:
    """Brute force: the hits of a record, itself left out."""
    order = np.argsort(-(vectors @ vectors[row]), kind="stable")
    return tuple(names[place] for place in order if place != row)[:K]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An app over one index that looks for new generations all the time."""
    monkeypatch.setattr(reload, "LOCAL_SECONDS", 0.02)
    write_version(tmp_path, "v0", NAMES, seed=0)
    build(tmp_path, "v0")
    app = create_app(Catalog.open({"words": str(tmp_path / "index")}))
    reloader = Reloader(app.state, {"words": str(tmp_path / "index")})
    reloader.start()
    yield app
    reloader.close()


def build(folder: Path, version: str, **options: Any) -> None:
    build_index(no_spark, IndexSpec(embeddings=str(folder / version), output=str(folder / "index"), **options))


def client_of(app: Any) -> TestClient:
    return TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False)


@contextmanager
def hammered(app: Any, asked: dict[str, str], threads: int = 2) -> Iterator[list[Any]]:
    """Search without a pause in some threads while the block runs; yields what was answered."""
    answers: list[Any] = []
    stop = threading.Event()

    def work() -> None:
        client = client_of(app)
        while not stop.is_set():
            found = client.get("/search", params={**asked, "k": K})
            hits = found.json().get("hits", []) if found.status_code == 200 else found.text
            answers.append(hits if isinstance(hits, str) else of_hits(hits))

    working = [threading.Thread(target=work) for _ in range(threads)]
    for thread in working:
        thread.start()
    try:
        yield answers
    finally:  # of a test that fails, else they would search through all tests after it
        stop.set()
        for thread in working:
            thread.join()


def of_hits(hits: list[dict[str, Any]]) -> Answer:
    return tuple((hit["record"]["text"], hit["record"]["version"]) for hit in hits)


def wait_for(answers: list[Any], wanted: Answer) -> None:
    """Until such an answer was given."""
    end = time.monotonic() + SECONDS
    while wanted not in answers[-4:]:
        assert time.monotonic() < end, f"the last answer is {answers[-1:]}, wanted {wanted}"
        time.sleep(0.02)


def wait_until_asked(app: Any, wanted: Answer) -> None:
    """Until a request that begins now is answered so: late answers to older ones may still come in meanwhile."""
    client, end = client_of(app), time.monotonic() + SECONDS
    while of_hits(client.get("/search", params={"q": "name 1 name", "k": K}).json()["hits"]) != wanted:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_no_request_fails_or_mixes_generations(server: Any, tmp_path: Path) -> None:
    of_version = {version: [(name, version) for name in NAMES] for version in ("v0", "v1", "v2")}
    vectors = {"v0": unit_vectors(ROWS, dim=encoder().info()["dim"], seed=0)}
    allowed: set[Answer] = set()
    with hammered(server, {"like": schema.record_id("name 3")}) as answers:

        def expect(wanted: Answer) -> None:
            allowed.add(wanted)
            wait_for(answers, wanted)

        expect(best(of_version["v0"], vectors["v0"], 3))  # on a busy machine it could be replaced before it was asked
        for seed, version in enumerate(("v1", "v2"), 1):
            replaced = read_index(str(tmp_path / "index"))[1].generation
            vectors[version] = write_version(tmp_path, version, NAMES, seed)
            wanted = best(of_version[version], vectors[version], 3)
            allowed.add(wanted)
            build(tmp_path, version, overwrite=True)
            for old in (tmp_path / "index").rglob(replaced):  # the grace time is over at once
                shutil.rmtree(old)
            expect(wanted)
        more = write_version(tmp_path, "v3", ["more 0", "more 1"], seed=9)
        names = [*of_version["v2"], ("more 0", "v3"), ("more 1", "v3")]
        everything = np.concatenate([vectors["v2"], more])
        everything[ROWS:] = everything[3]  # as they are written below
        shutil.rmtree(tmp_path / "v3")
        ids = [schema.record_id(name) for name in ("more 0", "more 1")]
        table = pa.table({"record_id": ids, "text": ["more 0", "more 1"], "version": ["v3", "v3"]})
        write_sample(tmp_path / "v3", "text", table, everything[ROWS:])
        allowed.add(best(names, everything, 3))
        build(tmp_path, "v3", append=True)
        expect(best(names, everything, 3))
        left = [row for row in range(len(names)) if names[row][0] != "more 0"]
        wanted = best([names[row] for row in left], everything[left], 3)
        allowed.add(wanted)
        remove_records(no_spark, RemoveSpec(index=str(tmp_path / "index"), ids=(ids[0],)))
        expect(wanted)
    odd = [answer for answer in answers if answer not in allowed]
    assert not odd, odd[:3]
    assert set(answers) == allowed


def test_a_switch_of_models_answers_by_one_of_them_wholly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts, which the model encodes: no query of one model meets the vectors of the other, there or back."""
    monkeypatch.setattr(reload, "LOCAL_SECONDS", 0.02)
    models = {"v0": encoder(), "v1": load_encoder(EncoderSpec(f"local-dir:{small_model(tmp_path / 'model')}", "fp32"))}
    of_text: dict[str, Answer] = {}
    for version, model in models.items():
        vectors = model.encode_texts(NAMES)
        columns = {"record_id": [schema.record_id(name) for name in NAMES], "text": NAMES}
        table = pa.table({**columns, "version": [version] * ROWS})
        write_sample(tmp_path / version, "text", table, vectors, model=model)
        order = np.argsort(-(vectors @ model.encode_texts(["name 1 name"])[0]), kind="stable")[:K]
        of_text[version] = tuple((NAMES[row], version) for row in order)
    build(tmp_path, "v0")
    index = str(tmp_path / "index")
    build_other(no_spark, IndexSpec(embeddings=str(tmp_path / "v1"), output=index))
    app = create_app(Catalog.open({"words": index}))
    reloader = Reloader(app.state, {"words": index})
    reloader.start()
    cards = []
    with closing(reloader), hammered(app, {"q": "name 1 name"}) as answers:
        for version in ("v0", "v1", "v0"):
            wait_until_asked(app, of_text[version])
            cards.append(client_of(app).get("/card").json())
            switch_to_other(*begin_change(index))
        wait_for(answers, of_text["v1"])
    assert set(answers) == set(of_text.values())
    assert [card["model"] for card in cards] == [models[version].info()["model"] for version in ("v0", "v1", "v0")]
    assert len({card["generation"] for card in cards}) == 3


def damaged(index: Path) -> None:
    """A manifest that names files which are not there."""
    manifest = index / "manifest.json"
    text = manifest.read_text()
    generation = read_index(str(index))[1].generation
    manifest.write_text(text.replace(generation, "0" * len(generation)))


@pytest.mark.parametrize("damage", [damaged, lambda index: (index / "manifest.json").write_text("{")])
def test_a_generation_that_cannot_be_opened_changes_nothing(
    server: Any, tmp_path: Path, damage: Callable[[Path], Any], caplog: pytest.LogCaptureFixture
) -> None:
    client = client_of(server)
    before = client.get("/search", params={"q": "name 3", "k": K}).json()["hits"]
    damage(tmp_path / "index")
    end = time.monotonic() + SECONDS
    while "cannot be served" not in caplog.text:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert client.get("/search", params={"q": "name 3", "k": K}).json()["hits"] == before
    assert client.get("/ready").json() == {"status": "ready"}


def test_ready_reads_a_record_and_a_vector(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_of(server)
    searcher = server.state.catalog.indices["words"].searcher
    for part in (searcher.records, searcher.parts.vectors):
        with monkeypatch.context() as broken:
            broken.setattr(part, "take", lambda *_: (_ for _ in ()).throw(OSError("the disk is gone")))
            assert client.get("/ready").status_code == 503
    assert client.get("/ready").status_code == 200
