"""Weights: found where they are, fetched once per node, never half there."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import pytest

from clip_spark import storage
from clip_spark.encoders import loading, weights
from clip_spark.errors import ModelError
from clip_spark.runtime import devices
from clip_spark.storage import local_cache
from clip_spark.storage.local_cache import CACHE_VARIABLE, cache_folder

URI = "memory://models/b32.pt"


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A store with one file of weights; the list notes every read of it."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    fsspec.filesystem("memory").pipe("/models/b32.pt", b"one")
    reads: list[str] = []
    open_read = storage.open_read

    def noted(uri: str, *others: Any) -> Any:
        reads.append(uri)
        return open_read(uri, *others)

    monkeypatch.setattr(local_cache, "open_read", noted)
    yield reads
    fsspec.filesystem("memory").rm("/models", recursive=True)


def test_many_readers_fetch_once(remote: list[str]) -> None:
    gate = threading.Barrier(4)

    def load(_: int) -> str:
        gate.wait()
        return weights.local_weights(URI)

    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(load, range(4)))
    assert len(paths) == 1 and len(remote) == 1
    assert Path(paths.pop()).read_bytes() == b"one"


def test_rewritten_weights_are_fetched_again(remote: list[str]) -> None:
    first = weights.local_weights(URI)
    fsspec.filesystem("memory").pipe("/models/b32.pt", b"the second")
    second = weights.local_weights(URI)
    assert Path(second).read_bytes() == b"the second" and first != second
    assert weights.sha256(first) != weights.sha256(second)


def test_a_download_that_breaks_leaves_nothing(remote: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise OSError("connection reset")

    with monkeypatch.context() as patch:
        patch.setattr(local_cache.shutil, "copyfileobj", broken)
        with pytest.raises(ModelError, match="connection reset"):
            weights.local_weights(URI)
    assert not [path for path in cache_folder().iterdir() if path.suffix != ".lock"]
    assert Path(weights.local_weights(URI)).read_bytes() == b"one"


def test_a_path_of_the_driver_is_found_among_sparks_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b32.pt").write_bytes(b"shipped")
    spark = SimpleNamespace(SparkFiles=SimpleNamespace(get=lambda name: str(tmp_path / name)))
    monkeypatch.setitem(sys.modules, "pyspark", spark)
    with pytest.raises(ModelError, match="--files"):
        weights.local_weights("/on/the/driver/b32.pt")  # no task: nothing was brought here
    monkeypatch.setattr(devices, "task_context", object)
    assert weights.local_weights("/on/the/driver/b32.pt") == str(tmp_path / "b32.pt")
    with pytest.raises(ModelError, match="do not exist"):
        weights.local_weights("/on/the/driver/other.pt")


@pytest.mark.parametrize(("known", "proxy", "offline"), [(False, "", True), (True, "", False), (False, "p:1", False)])
def test_a_hub_without_an_address_is_not_asked_again_and_again(
    monkeypatch: pytest.MonkeyPatch, known: bool, proxy: str, offline: bool
) -> None:
    from huggingface_hub import constants

    def look_up(*_: object) -> list[str]:
        if not known:
            raise socket.gaierror("Name or service not known")
        return ["an address"]

    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    if proxy:
        monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.setattr(loading.socket, "getaddrinfo", look_up)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with loading._without_retries():
        assert constants.HF_HUB_OFFLINE is offline
    assert constants.HF_HUB_OFFLINE is False
