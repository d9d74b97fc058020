"""The storage layer and the commit protocol on a real S3 server."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from clip_spark import storage
from clip_spark.analysis.exported_tags.spec import ExportTagsSpec
from clip_spark.analysis.exported_tags.step import export_tags
from clip_spark.analysis.map import draw
from clip_spark.analysis.map.export import export_map
from clip_spark.analysis.map.export_spec import ExportMapSpec
from clip_spark.analysis.map.spec import MapSpec
from clip_spark.analysis.map.step import make_map
from clip_spark.analysis.publish.spec import PublishSpec, VerifySpec
from clip_spark.analysis.publish.step import publish
from clip_spark.analysis.publish.verify import verify_dataset
from clip_spark.commands.clean import delete_each, find_leftovers
from clip_spark.datasets import receipt_files as receipts
from clip_spark.datasets.manifest import read_manifest
from clip_spark.datasets.retire import delete_retired, find_retired
from clip_spark.datasets.run import begin_run
from clip_spark.errors import OutputError, StorageError
from clip_spark.index.build.build import build_index
from clip_spark.index.specs import IndexSpec
from clip_spark.texts.corpus.listing import Piece
from clip_spark.texts.corpus.reading import read_blocks
from tests.helpers_datasets import plan_of, write_shard
from tests.helpers_embeddings import numbered, unit_vectors, write_embeddings
from tests.helpers_spark import in_this_process
from tests.helpers_tags import write_tags
from tests.services.proxy import every, fault_proxy
from tests.services.seaweed import S3Server

pytestmark = pytest.mark.storage


@pytest.fixture(autouse=True)
def _fresh_clients() -> None:
    """Endpoint and credentials are read when a client is made; each test makes its own."""
    storage.forget_clients()


def test_files_are_written_listed_and_read(bucket: str) -> None:
    storage.write_bytes(f"{bucket}/a/1.txt", b"one")
    with storage.open_write(f"{bucket}/a/2.txt") as stream:
        stream.write(b"two!")
    found = storage.list_files(f"{bucket}/a")
    assert [(file.uri, file.bytes) for file in found] == [(f"{bucket}/a/1.txt", 3), (f"{bucket}/a/2.txt", 4)]
    assert storage.read_bytes(f"{bucket}/a/2.txt") == b"two!"
    storage.remove_tree(bucket)
    assert storage.list_files(bucket) == [] and not storage.exists(f"{bucket}/a/1.txt")


def test_a_listing_has_every_page_and_nothing_beside_the_folder(bucket: str) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: storage.write_bytes(f"{bucket}/a/{n:05d}", b"1"), range(1005)))  # a page has 1,000
    storage.write_bytes(f"{bucket}/ab", b"1")
    found = storage.list_files(f"{bucket}/a")
    assert [storage.name(file.uri) for file in found] == [f"{n:05d}" for n in range(1005)]
    assert [file.uri for file in storage.list_files(f"{bucket}/ab")] == [f"{bucket}/ab"]


@pytest.mark.parametrize("pieces", [1, 3, 7])
def test_a_text_file_is_read_whole_by_byte_ranges(bucket: str, pieces: int) -> None:
    data = b"".join(b"%d %s\n" % (number, b"x" * (number % 90)) for number in range(3000))
    storage.write_bytes(f"{bucket}/a.txt", data)
    cuts = [len(data) * number // pieces for number in range(pieces + 1)]
    ranges = [Piece(f"{bucket}/a.txt", None, start, end) for start, end in pairwise(cuts)]
    assert b"".join(block for piece in ranges for block in read_blocks(piece, block_bytes=999)) == data


def test_a_manifest_in_parts_is_read_in_few_requests(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "SPLIT_RECEIPTS", 2)
    run = begin_run(f"{bucket}/d", plan_of(shards=3), overwrite=False)
    for number in run.pending():
        write_shard(run, number)
    committed = run.commit()
    monkeypatch.setattr(storage, "open_read", None)  # streams copy their read-ahead for each line
    assert read_manifest(f"{bucket}/d").receipts == committed.receipts


def test_a_broken_upload_leaves_nothing(bucket: str, s3: S3Server) -> None:
    with pytest.raises(ZeroDivisionError), storage.open_write(f"{bucket}/big.bin") as stream:
        for _ in range(3):
            stream.write(os.urandom(16 << 20))  # the first parts are already with the server
        raise ZeroDivisionError
    assert not storage.exists(f"{bucket}/big.bin")
    assert not list(find_leftovers(bucket.rsplit("/", 1)[0], older_than_hours=0, unfinished=False))


def test_clean_finds_and_aborts_the_upload_of_a_killed_writer(bucket: str) -> None:
    stream = storage.filesystem(bucket)[0].open(f"{bucket}/killed.bin", "wb")
    stream.write(os.urandom(17 << 20))
    stream.closed = True  # never completed, never aborted
    storage.write_bytes(f"{bucket}/kept", b"1")
    neighbour = storage.filesystem(bucket)[0].open(f"{bucket}-of-my-colleague/running.bin", "wb")
    neighbour.write(os.urandom(17 << 20))
    (found,) = find_leftovers(bucket, older_than_hours=0, unfinished=False)
    assert (found.kind, found.uri) == ("unfinished upload", f"{bucket}/killed.bin")
    list(delete_each([found]))
    assert not list(find_leftovers(bucket, older_than_hours=0, unfinished=False))
    neighbour.close()
    assert storage.file_size(f"{bucket}-of-my-colleague/running.bin") == 17 << 20


def test_a_listing_shows_what_another_client_just_wrote(bucket: str) -> None:
    storage.write_bytes(f"{bucket}/a", b"1")
    assert len(storage.list_files(bucket)) == 1
    with ThreadPoolExecutor(1) as other:
        other.submit(storage.write_bytes, f"{bucket}/b", b"1").result()
    assert len(storage.list_files(bucket)) == 2


def test_of_many_that_create_a_file_one_wins(bucket: str) -> None:
    with ThreadPoolExecutor(16) as pool:
        wins = list(pool.map(lambda n: storage.create_bytes(f"{bucket}/plan.json", b"%d" % n), range(32)))
    assert wins.count(True) == 1
    assert storage.read_bytes(f"{bucket}/plan.json") == b"%d" % wins.index(True)


def test_a_dataset_on_s3_is_resumed_and_committed(bucket: str) -> None:
    first = begin_run(f"{bucket}/d", plan_of(shards=3), overwrite=False)
    write_shard(first, 1)
    again = begin_run(f"{bucket}/d", plan_of(shards=3), overwrite=False)
    assert again.pending() == [0, 2]
    for number in again.pending():
        write_shard(again, number)
    assert again.commit().rows == 6 == read_manifest(f"{bucket}/d").rows


def test_two_drivers_with_different_plans_never_mix(bucket: str) -> None:
    first = begin_run(f"{bucket}/d", plan_of(size=1), overwrite=False)
    with pytest.raises(OutputError, match="size was 1, now 2"):
        begin_run(f"{bucket}/d", plan_of(size=2), overwrite=False)
    write_shard(first, 0)
    second = begin_run(f"{bucket}/d", plan_of(size=2), overwrite=True)
    for run in (first, second):
        for number in run.pending():
            write_shard(run, number)
    won = second.commit()
    with pytest.raises(OutputError, match="another writer was quicker"):
        first.commit()
    assert read_manifest(f"{bucket}/d") == won
    found = {file.uri.removeprefix(f"{bucket}/d/").split("/")[0] for file in storage.list_files(f"{bucket}/d")}
    assert found == {"generations", "manifest.json"}


def test_of_many_that_replace_a_file_one_wins(bucket: str) -> None:
    storage.write_bytes(f"{bucket}/head", b"first")
    _, version = storage.read_versioned(f"{bucket}/head")
    with ThreadPoolExecutor(16) as pool:
        wins = list(pool.map(lambda n: storage.replace_bytes(f"{bucket}/head", b"%d" % n, version), range(32)))
    assert wins.count(True) == 1
    assert storage.read_bytes(f"{bucket}/head") == b"%d" % wins.index(True)
    assert not storage.replace_bytes(f"{bucket}/absent", b"1", version)


def test_a_generation_on_s3_replaces_another_and_the_old_one_goes_after_its_time(bucket: str) -> None:
    for size in (1, 2):
        run = begin_run(f"{bucket}/d", plan_of(size=size), overwrite=size > 1)
        for number in run.pending():
            write_shard(run, number)
        run.commit()
    assert storage.exists(f"{bucket}/d/embeddings/00000.parquet")
    for retired in find_retired(read_manifest(f"{bucket}/d"), 0.0):
        delete_retired(retired)
    paths = [file.uri.removeprefix(f"{bucket}/d/") for file in storage.list_files(f"{bucket}/d")]
    assert all(path == "manifest.json" or path.startswith(f"{run.place}/") for path in paths) and len(paths) > 5


LONG = pytest.param("500", marks=pytest.mark.long)


@pytest.mark.parametrize("fault", ["503", LONG, "cut-request", "cut-body", "slow-body"])
def test_a_fault_now_and_then_is_only_a_delay(bucket: str, s3: S3Server, fault: str, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    with fault_proxy(s3.port, every(fault, one_in=5)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        run = begin_run(f"{bucket}/d", plan_of(shards=3), overwrite=False)
        for number in run.pending():
            write_shard(run, number)
        assert run.commit().rows == 6
    assert proxy.seen[fault] > 0
    storage.forget_clients()


def test_a_store_that_stays_away_is_one_sentence(bucket: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    storage.forget_clients()
    with fault_proxy(s3.port, lambda method, path: "503") as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        with pytest.raises(StorageError, match="cannot be written.*reduce your request rate.*run the same command"):
            storage.write_bytes(f"{bucket}/a", b"1")
    assert 2 <= proxy.seen["503"] <= 10
    storage.forget_clients()


def test_missing_credentials_are_explained(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with pytest.raises(StorageError, match="no credentials were found"):
        storage.read_bytes(f"{bucket}/a")
    storage.forget_clients()


def test_a_refused_key_is_explained(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.write_bytes(f"{bucket}/a", b"1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    storage.forget_clients()
    with pytest.raises(StorageError, match="access is denied"):
        storage.read_bytes(f"{bucket}/a")
    storage.forget_clients()


def test_a_map_on_s3_is_the_one_on_a_disk_and_is_exported(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draw, "MAP_PIXELS", 280)
    monkeypatch.setattr(draw, "POSTER_PIXELS", 560)
    spark, made = in_this_process(monkeypatch), []
    for place in (bucket, str(tmp_path)):
        write_embeddings(f"{place}/images", unit_vectors(40), numbered(40, "picture"), modality="image", shard_rows=15)
        write_embeddings(f"{place}/texts", unit_vectors(12, seed=1), numbered(12, "word"))
        options = {"embeddings": f"{place}/images", "texts": f"{place}/texts", "output": f"{place}/map"}
        made.append(make_map(spark, MapSpec(**options)))
        export_map(ExportMapSpec(map=f"{place}/map", output=f"{place}/points.csv"))
    files = [{path: size for receipt in each.receipts for path, size in receipt.files.items()} for each in made]
    assert files[0] == files[1]
    for path in ["points.csv", *(f"map/{path}" for path in files[0])]:
        assert storage.read_bytes(f"{bucket}/{path}") == storage.read_bytes(f"{tmp_path}/{path}"), path


@pytest.mark.long
def test_a_publication_and_exported_tags_lie_on_s3(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIP_SPARK_CACHE", str(tmp_path / "cache"))
    names = [f"{bucket}/pictures/{n}.jpg" for n in range(30)]
    for name in names:
        storage.write_bytes(name, b"not looked at")
    write_embeddings(f"{bucket}/emb", unit_vectors(30), names, modality="image")
    index = IndexSpec(embeddings=(f"{bucket}/emb",), output=f"{bucket}/index")
    build_index(lambda: pytest.fail("no Spark"), index)
    for layout in ("fondant", "lancedb"):
        out = f"{bucket}/{layout}"
        assert publish(PublishSpec(index=index.output, output=out, layout=layout)) == 30
        assert "files have the bytes" in verify_dataset(VerifySpec(dataset=out))
    storage.write_bytes(f"{bucket}/pictures/3.txt", b"mine")
    tags = write_tags(tmp_path / "tags", names[:6], ("red", "small"))
    spec = ExportTagsSpec(tags=tags, format="booru", output=f"{bucket}/exported")
    before = sorted(file.uri for file in storage.list_files(f"{bucket}/pictures"))
    assert ("files written", 6) in export_tags(lambda: pytest.fail("no Spark"), spec).rows
    assert storage.read_bytes(f"{bucket}/pictures/3.txt") == b"mine, red, small"
    export_tags(lambda: pytest.fail("no Spark"), replace(spec, undo=True))
    assert storage.read_bytes(f"{bucket}/pictures/3.txt") == b"mine"
    assert sorted(file.uri for file in storage.list_files(f"{bucket}/pictures")) == before
