"""Links to hosts that refuse, swallow packets or never say a word: rejects like a missing page, in a bounded time."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from clip_spark import storage
from clip_spark.errors import StorageError
from clip_spark.pictures import hosts
from clip_spark.pictures.find import find_pictures, plan_shards
from clip_spark.pictures.items import Picture, Unreadable
from clip_spark.pictures.sources import FileEntry
from clip_spark.storage import stores
from clip_spark.texts.corpus import list_corpus

pytest.importorskip("aiohttp")


@pytest.fixture
def silent_host() -> Iterator[str]:
    """A host that takes connections and never says a word: the kernel answers for it, and nobody accepts."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def deaf_host() -> Iterator[str]:
    """A host that swallows packets: nobody accepts, and its backlog is full."""
    with socket.socket() as listener, contextlib.ExitStack() as clients:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            client = clients.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Clients that wait for a third of a second."""
    for name in ("CONNECT_SECONDS", "SILENT_SECONDS"):
        monkeypatch.setattr(stores, name, 0.3)
    storage.forget_clients()
    yield
    storage.forget_clients()


@pytest.mark.parametrize("host", ["silent_host", "deaf_host"])
@pytest.mark.usefixtures("impatient")
def test_a_host_that_does_not_answer_costs_its_own_links_alone(
    tmp_path: Path, host: str, request: pytest.FixtureRequest
) -> None:
    place = request.getfixturevalue(host)
    stream = io.BytesIO()
    Image.new("RGB", (4, 3), "red").save(stream, "PNG")
    (tmp_path / "here.png").write_bytes(stream.getvalue())
    pq.write_table(pa.table({"path": [f"{place}/row.jpg", "here.png"]}), tmp_path / "links.parquet")
    links = [f"{place}/{name}" for name in ("a.jpg", "b.tar", "c.parquet")]
    (tmp_path / "list.txt").write_text("\n".join([*links, "here.png"]))
    found = find_pictures((str(tmp_path / "list.txt"), str(tmp_path / "links.parquet")))
    items = [item for shard in plan_shards(found, 0) for item in shard.part.read()]
    loaded = [item.load() if isinstance(item, FileEntry) else item for item in items]
    assert [type(item) for item in loaded].count(Picture) == 2
    rejects = [item for item in loaded if isinstance(item, Unreadable)]
    assert [reject.reason for reject in rejects] == ["unreachable"] * 4
    assert all("no answer in time" in reject.message and "tries" not in reject.message for reject in rejects)


@pytest.fixture
def three_failures(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that knows no host yet, and has patience for three failures."""
    monkeypatch.setattr(hosts, "_silent", {})
    monkeypatch.setattr(hosts, "MOST_FAILURES", 3)
    yield


@pytest.mark.usefixtures("three_failures")
def test_a_host_that_is_dead_is_not_asked_for_each_of_its_links(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = [FileEntry(f"http://127.0.0.1:9/{n}.jpg").load().message for n in range(5)]  # type: ignore[union-attr]
    assert ["was not asked for: 3 links of 127.0.0.1:9 failed" in message for message in messages] == [False] * 3 + [
        True
    ] * 2
    monkeypatch.setattr(hosts, "DEAD_SECONDS", -1.0)
    again = FileEntry("http://127.0.0.1:9/9.jpg").load()
    assert isinstance(again, Unreadable) and "Cannot connect" in again.message


@pytest.mark.usefixtures("three_failures")
@pytest.mark.parametrize("status", [404, 403, 500])
def test_a_host_that_answers_is_asked_on(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    def answer(uri: str) -> bytes:
        if status == 404:
            raise FileNotFoundError(uri)
        cause = type("ClientResponseError", (Exception,), {"status": status})()
        raise StorageError(f"'{uri}' cannot be read: {status}") from cause

    monkeypatch.setattr(storage, "read_bytes", answer)
    found = [FileEntry(f"http://h/{n}.jpg").load() for n in range(5)]
    assert not any("not asked" in item.message for item in found if isinstance(item, Unreadable))


def test_a_host_that_refuses_is_a_reject() -> None:
    found = FileEntry("http://127.0.0.1:9/a.jpg").load()
    assert isinstance(found, Unreadable) and found.reason == "unreachable" and "127.0.0.1:9" in found.message


@pytest.mark.parametrize("list_it", [lambda uri: find_pictures((uri,)), lambda uri: list_corpus((uri,), "rows")])
def test_an_input_at_a_host_that_cannot_be_reached_is_one_sentence(list_it: Callable[[str], object]) -> None:
    with pytest.raises(StorageError, match="^'http://127.0.0.1:9/a.csv' cannot be listed: Cannot connect"):
        list_it("http://127.0.0.1:9/a.csv")


def test_errors_of_the_client_of_hf_are_one_sentence() -> None:
    error = type("ConnectError", (Exception,), {"__module__": "httpx"})
    with (
        pytest.raises(StorageError, match="'hf://datasets/a/b' cannot be listed: no name"),
        stores.clear_errors("hf://datasets/a/b", "listed"),
    ):
        raise error("no name")


def test_a_store_that_is_down_is_no_reject(monkeypatch: pytest.MonkeyPatch) -> None:
    def down(uri: str) -> bytes:
        raise StorageError(f"'{uri}' cannot be read")

    monkeypatch.setattr(storage, "read_bytes", down)
    with pytest.raises(StorageError):
        FileEntry("s3://bucket/a.jpg").load()


@pytest.mark.usefixtures("impatient")
def test_a_host_that_sends_a_byte_now_and_then_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "WHOLE_SECONDS", 1)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        threading.Thread(target=drip, args=(listener,), daemon=True).start()
        found = FileEntry(f"http://127.0.0.1:{listener.getsockname()[1]}/a.jpg").load()
    assert isinstance(found, Unreadable) and found.reason == "unreachable"


def drip(listener: socket.socket) -> None:
    """Answer one request with a byte each tenth of a second, until the other side goes."""
    with listener.accept()[0] as client, contextlib.suppress(OSError):
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
        for _ in range(600):
            client.sendall(b"x")
            time.sleep(0.1)
