"""Every job on a real standalone cluster with s3:// in and out, code shipped as a zip, compared with local mode."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from clip_spark import storage
from clip_spark.commands.clean import find_leftovers
from clip_spark.datasets.embeddings import read_embeddings
from clip_spark.datasets.manifest import Manifest, read_manifest
from scripts.standalone import Cluster
from tests.services.commands import ROOT, Submitter
from tests.services.inputs import write_inputs
from tests.services.seaweed import BUCKET, S3Server

pytestmark = [pytest.mark.cluster, pytest.mark.storage, pytest.mark.timeout(900)]
DATASETS = ("counts", "ngrams", "ngram-embeddings", "ngram-index", "image-embeddings", "image-index", "tags")


@dataclass(frozen=True)
class Pair:
    """The same pipeline's results: one made on the cluster from and to S3, one in local mode on local files."""

    cluster: str
    local: str

    def manifests(self, name: str) -> tuple[Manifest, Manifest]:
        return read_manifest(f"{self.cluster}/{name}"), read_manifest(f"{self.local}/{name}")


@pytest.fixture(scope="module")
def pair(cluster: Cluster, s3_running: S3Server, code_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Run the demo pipeline twice, at the same time."""
    folder = tmp_path_factory.mktemp("pair")
    write_inputs(folder / "in")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3_running.env().items():
            patch.setenv(name, value)
        storage.forget_clients()
        remote = f"s3://{BUCKET}/pair"
        for file in sorted((folder / "in").rglob("*.*")):
            storage.write_bytes(f"{remote}/in/{file.relative_to(folder / 'in')}", file.read_bytes())
    config = str(ROOT / "conf/pipelines/demo.yaml")

    def settings(place: str) -> list[str]:
        values = {"work": f"{place}/out", "corpus": f"{place}/in/text", "images": f"{place}/in/pictures"}
        return [text for key, value in values.items() for text in ("--set", f"{key}={value}")]

    Submitter(cluster.master, code_zip, s3_running).run("run", "--config", config, *settings(remote))
    local = [sys.executable, str(ROOT / "jobs/run.py"), "--config", config, *settings(str(folder))]
    subprocess.run([*local, "--conf", "spark.ui.enabled=false"], check=True, capture_output=True)
    return Pair(f"{remote}/out", str(folder / "out"))


@pytest.fixture(autouse=True)
def _s3_environment(s3: S3Server) -> None:
    storage.forget_clients()


@pytest.mark.parametrize("name", DATASETS)
def test_the_cluster_makes_what_local_mode_makes(pair: Pair, name: str) -> None:
    remote, local = pair.manifests(name)
    assert (remote.kind, remote.rows, remote.rejects) == (local.kind, local.rows, local.rejects)


def test_counts_are_equal(pair: Pair) -> None:
    def counts(manifest: Manifest) -> dict[tuple[int, str], int]:
        rows = [row for uri in manifest.files("counts") for row in _rows(uri)]
        return {(row["n"], row["text"]): row["count"] for row in rows}

    remote, local = map(counts, pair.manifests("counts"))
    assert remote == local and len(remote) > 100


@pytest.mark.parametrize("name", ["ngram-embeddings", "image-embeddings"])
def test_embeddings_are_equal(pair: Pair, name: str) -> None:
    remote, local = (
        np.concatenate([read_embeddings(uri) for uri in manifest.files("embeddings")])
        for manifest in pair.manifests(name)
    )
    np.testing.assert_allclose(remote, local, atol=1e-5)


def test_tags_are_equal(pair: Pair) -> None:
    def tags(manifest: Manifest) -> list[tuple[str, int, float]]:
        rows = [row for uri in manifest.files("tags") for row in _rows(uri)]
        return [(storage.name(row["uri"]), row["rank"], round(row["score"], 3)) for row in rows]

    remote, local = map(tags, pair.manifests("tags"))
    assert [row[:2] for row in remote] == [row[:2] for row in local]
    np.testing.assert_allclose([row[2] for row in remote], [row[2] for row in local], atol=2e-3)


def test_nothing_is_left_behind(pair: Pair) -> None:
    assert not list(find_leftovers(pair.cluster, older_than_hours=0, unfinished=True))


def _rows(uri: str) -> list[dict]:  # type: ignore[type-arg]
    with storage.open_read(uri) as stream:
        return pq.read_table(stream).to_pylist()
