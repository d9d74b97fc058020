"""What makes a folder a dataset, a second run a resume, and a wrong run an error."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from clip_spark.datasets.embeddings import embedding_table, read_embeddings
from clip_spark.datasets.manifest import read_manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.receipt import Receipt, write_receipt
from clip_spark.datasets.run import Run, begin_run
from clip_spark.datasets.shards import ShardWriter
from clip_spark.errors import DatasetError, InputError, OutputError
from tests.helpers_datasets import RECORDS, ToySpec, finished, plan_of, write_shard


def test_a_dataset_exists_only_when_committed(tmp_path: Path) -> None:
    run = begin_run(str(tmp_path / "d"), plan_of(), overwrite=False)
    write_shard(run, 0)
    with pytest.raises(InputError, match="is unfinished"):
        read_manifest(run.output)
    with pytest.raises(DatasetError, match="1 of 2 shards are missing, the first is 1"):
        run.commit()


def test_a_second_run_does_only_what_is_missing(tmp_path: Path) -> None:
    first = begin_run(str(tmp_path / "d"), plan_of(), overwrite=False)
    write_shard(first, 0)
    second = begin_run(str(tmp_path / "d"), plan_of(), overwrite=False)
    assert second.manifest is None and second.pending() == [1]
    write_shard(second, 1)
    manifest = second.commit()
    assert (manifest.rows, manifest.rejects) == (4, {"empty": 2})
    assert read_embeddings(manifest.files("embeddings")[1]).shape == (2, 4)


def test_a_finished_run_has_nothing_to_do(tmp_path: Path) -> None:
    finished(tmp_path / "d")
    assert begin_run(str(tmp_path / "d"), plan_of(), overwrite=False).manifest is not None


@pytest.mark.parametrize(
    ("other", "phrase"),
    [(plan_of(size=3), "size was 2, now 3"), (plan_of(source="v2", uri="s"), "records was 'r', now 's'")],
)
def test_another_run_into_the_folder_is_refused(tmp_path: Path, other: Plan, phrase: str) -> None:
    finished(tmp_path / "d")
    with pytest.raises(OutputError, match=phrase):
        begin_run(str(tmp_path / "d"), other, overwrite=False)


def test_overwrite_replaces_a_dataset_but_never_foreign_files(tmp_path: Path) -> None:
    finished(tmp_path / "d")
    assert begin_run(str(tmp_path / "d"), plan_of(size=3), overwrite=True).pending() == [0, 1]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="1 files that clip-spark did not plan"):
        begin_run(str(tmp_path / "mine"), plan_of(), overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_a_receipt_of_another_plan_counts_for_nothing(tmp_path: Path) -> None:
    run = begin_run(str(tmp_path / "d"), plan_of(), overwrite=False)
    zombie = Run(run.output, plan_of(size=9), None)
    with pytest.raises(OutputError, match="another run has taken over"):
        write_shard(zombie, 0)
    write_receipt(run.output, Receipt(0, zombie.plan.fingerprint, 2, {}))
    assert run.pending() == [0, 1]


def test_a_file_cut_short_is_found_at_commit(tmp_path: Path) -> None:
    run = begin_run(str(tmp_path / "d"), plan_of(), overwrite=False)
    for number in run.pending():
        write_shard(run, number)
    victim = tmp_path / "d" / "embeddings" / "00001.parquet"
    victim.write_bytes(victim.read_bytes()[:-1])
    with pytest.raises(DatasetError, match="embeddings/00001.parquet' is missing, cut short"):
        run.commit()


def test_litter_beside_the_shards_is_found_at_commit(tmp_path: Path) -> None:
    run = begin_run(str(tmp_path / "d"), plan_of(), overwrite=False)
    for number in run.pending():
        write_shard(run, number)
    (tmp_path / "d" / "embeddings" / "stale.parquet").write_bytes(b"x")
    with pytest.raises(DatasetError, match="stale.parquet"):
        run.commit()


def test_an_error_inside_a_shard_leaves_no_file(tmp_path: Path) -> None:
    run = begin_run(str(tmp_path / "d"), plan_of(), overwrite=False)
    with pytest.raises(ZeroDivisionError), ShardWriter(run.output, "p", 0, {"records": RECORDS}) as writer:
        writer.write("records", pa.table({"record_id": ["a"]}))
        raise ZeroDivisionError
    assert sorted(path.name for path in (tmp_path / "d").rglob("*") if path.is_file()) == ["plan.json"]


@pytest.mark.parametrize(
    "bad", [np.zeros((1, 4)), np.full((1, 4), np.nan), np.full((1, 4), 1.0), np.full((1, 4), np.inf)]
)
def test_only_finite_unit_vectors_are_written(bad: np.ndarray) -> None:
    with pytest.raises(DatasetError, match="it must be 1"):
        embedding_table(["a"], bad.astype(np.float32))


def test_a_newer_format_and_a_wrong_kind_are_refused(tmp_path: Path) -> None:
    finished(tmp_path / "d")
    with pytest.raises(InputError, match="holds embeddings; this option needs counts"):
        read_manifest(str(tmp_path / "d"), "counts")
    place = tmp_path / "d" / "manifest.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), "format_version": 99}))
    with pytest.raises(DatasetError, match="newer clip-spark"):
        read_manifest(str(tmp_path / "d"))


def test_options_that_do_not_change_the_result_do_not_change_the_fingerprint() -> None:
    one, other = ToySpec(output="a", workers=1), ToySpec(output="b", workers=8)
    assert one.fingerprint() == other.fingerprint() != ToySpec(output="a", size=3).fingerprint()
