"""Receipts in bulk: read once, split when there are very many."""

from __future__ import annotations

from pathlib import Path

import pytest

from clip_spark import storage
from clip_spark.datasets import receipt_files as receipts
from clip_spark.datasets.manifest import MANIFEST, read_manifest
from clip_spark.datasets.receipt import Receipt, write_receipt
from clip_spark.datasets.receipt_files import ReceiptReader
from clip_spark.datasets.run import begin_run
from tests.helpers_datasets import finished, plan_of, write_shard


def receipt(shard: int, rows: int = 1) -> Receipt:
    return Receipt(shard, "plan", rows, {f"embeddings/{shard:05d}.parquet": 100})


def test_receipts_are_read_once_and_again_only_when_rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for shard in (2, 0, 1):
        write_receipt(str(tmp_path), receipt(shard))
    read: list[str] = []
    original = storage.read_json
    monkeypatch.setattr(storage, "read_json", lambda uri: read.append(storage.name(uri)) or original(uri))
    reader = ReceiptReader(str(tmp_path), receipts.read_many)
    assert [r.shard for r in reader.read()] == [0, 1, 2]
    write_receipt(str(tmp_path), receipt(1, rows=7))
    assert [r.rows for r in reader.read()] == [1, 7, 1]
    assert read[3:] == ["00001.json"]


def test_a_manifest_of_very_many_shards_is_split_and_reads_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read_manifest(finished(tmp_path / "whole").output)
    monkeypatch.setattr(receipts, "SPLIT_RECEIPTS", 2)
    monkeypatch.setattr(receipts, "PART_RECEIPTS", 1)
    split = read_manifest(finished(tmp_path / "split").output)
    assert split.content_fingerprint == whole.content_fingerprint and split.rejects == whole.rejects
    assert storage.read_json(f"{split.uri}/{MANIFEST}")["receipts"] == []
    assert [storage.name(file.uri) for file in storage.list_files(f"{split.uri}/manifest")] == [
        "00000.jsonl",
        "00001.jsonl",
    ]


def test_a_run_that_lost_its_folder_does_not_commit(tmp_path: Path) -> None:
    run = begin_run(str(tmp_path / "d"), plan_of(), overwrite=False)
    for number in run.pending():
        write_shard(run, number)
    plan = storage.read_json(f"{run.output}/plan.json")
    storage.write_json(f"{run.output}/plan.json", {**plan, "fingerprint": "of another run"})
    with pytest.raises(Exception, match="another run has taken over"):
        run.commit()
    assert not storage.exists(f"{run.output}/{MANIFEST}")
