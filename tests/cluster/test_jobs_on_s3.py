"""Every job on a real standalone cluster with s3:// in and out, code shipped as a zip, compared with local mode."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from clip_spark import storage
from clip_spark.commands.clean import find_leftovers
from clip_spark.commands.pipeline import read_pipeline, run_pipeline
from clip_spark.commands.registry import STEPS
from clip_spark.datasets.embeddings import read_embeddings
from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.index.build.build import build_index
from clip_spark.index.specs import IndexSpec
from scripts.standalone import Cluster
from tests.helpers_stages import stages_during
from tests.services.commands import ROOT, Submitter
from tests.services.inputs import write_inputs
from tests.services.seaweed import BUCKET, S3Server

pytestmark = [pytest.mark.cluster, pytest.mark.storage, pytest.mark.timeout(900)]
CONFIG = str(ROOT / "conf/pipelines/demo.yaml")
DATASETS = ("counts", "ngrams", "ngram-embeddings", "ngram-index", "image-embeddings", "image-index", "tags")


@dataclass(frozen=True)
class Pair:
    """The same pipeline's results: one made on the cluster from and to S3, one in local mode on local files.

    Attributes:
        stages: command -> what Spark called its stages in local mode.
    """

    cluster: str
    local: str
    stages: dict[str, list[str]] = field(default_factory=dict)

    def manifests(self, name: str) -> tuple[Manifest, Manifest]:
        return read_manifest(f"{self.cluster}/{name}"), read_manifest(f"{self.local}/{name}")


@pytest.fixture(scope="module")
def pair(
    cluster: Cluster, s3_running: S3Server, code_zip: Path, spark: Any, tmp_path_factory: pytest.TempPathFactory
) -> Pair:
    """Run the demo pipeline twice."""
    folder = tmp_path_factory.mktemp("pair")
    write_inputs(folder / "in")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3_running.env().items():
            patch.setenv(name, value)
        storage.forget_clients()
        remote = f"s3://{BUCKET}/pair"
        for file in sorted((folder / "in").rglob("*.*")):
            storage.write_bytes(f"{remote}/in/{file.relative_to(folder / 'in')}", file.read_bytes())
    chosen = [text for key, value in settings(remote).items() for text in ("--set", f"{key}={value}")]
    Submitter(cluster.master, code_zip, s3_running).run("run", "--config", CONFIG, *chosen)
    pair = Pair(f"{remote}/out", str(folder / "out"))
    for step in read_pipeline(CONFIG, settings(str(folder)), STEPS):
        names = stages_during(spark, lambda step=step: run_pipeline(lambda: spark, [step], rebuild=False))
        pair.stages.setdefault(step.job.name, []).extend(names)
    return pair


def settings(place: str) -> dict[str, str]:
    """What the pipeline is told, for inputs and results below a folder."""
    return {"work": f"{place}/out", "corpus": f"{place}/in/text", "images": f"{place}/in/pictures"}


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


def test_every_stage_is_named_by_its_step(pair: Pair, spark: Any, tmp_path: Path) -> None:
    source = f"{pair.local}/ngram-embeddings"
    lists = IndexSpec(embeddings=source, output=str(tmp_path), index_key="IVF16,Flat", parts=2)  # few would be Flat
    stages = {**pair.stages, "build-index": stages_during(spark, lambda: build_index(lambda: spark, lists))}
    for command, names in stages.items():
        odd = {name for name in names if not name.startswith(f"clip-spark {command}")}
        assert names and not odd, f"{command}: {odd or 'no stage'}"


def test_nothing_is_left_behind(pair: Pair) -> None:
    assert not list(find_leftovers(pair.cluster, older_than_hours=0, unfinished=True))


def _rows(uri: str) -> list[dict]:  # type: ignore[type-arg]
    with storage.open_read(uri) as stream:
        return pq.read_table(stream).to_pylist()
