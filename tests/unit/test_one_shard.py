"""`shard`: one task of a plan again, without Spark: the same rows, and the dataset stays as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from clip_spark.commands.one_shard import run_one
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.run import Run, begin_run
from clip_spark.embed import pictures, texts
from clip_spark.embed.facts import facts
from clip_spark.embed.specs import EmbedImagesSpec, EmbedTextSpec
from clip_spark.jobs import shard as command
from tests.helpers_embeddings import numbered, unit_vectors, write_embeddings


@pytest.fixture
def records(tmp_path: Path) -> Manifest:
    """Ten records, of the kind that image embeddings have beside them."""
    return write_embeddings(tmp_path / "records", unit_vectors(10), numbered(10), shard_rows=4)


def embed(tmp_path: Path, tasks: int, **options: object) -> Run:
    """The first tasks of embed-text in three shards of the records, as executors run them."""
    spec = EmbedTextSpec(records=str(tmp_path / "records"), output=str(tmp_path / "emb"), shard_rows=4, **options)
    planned = texts.plan_tasks(spec)
    run = begin_run(spec.output, planned.plan, overwrite=spec.overwrite)
    for item in planned.items[:tasks]:
        planned.work(run.output, 1)(item)
    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_task_of_a_finished_dataset_makes_the_same_rows(
    tmp_path: Path, records: Manifest, capsys: pytest.CaptureFixture[str]
) -> None:
    run = embed(tmp_path, 3, templates=("a photo of a {}, a thing.",))
    run.commit(facts(run, "text", 0))
    before = contents(tmp_path / "emb")
    assert command.main([f"{tmp_path}/emb", "1", "--output", f"{tmp_path}/one", "--json"]) == 0
    event = json.loads(capsys.readouterr().out)
    assert event["step"] == "embed-text" and event["receipt"]["rows"] == event["in_dataset"]["rows"] == 3
    assert event["receipt"]["id_checksum"] == event["in_dataset"]["id_checksum"]
    for folder in ("embeddings", "records"):
        here, there = (pq.read_table(tmp_path / root / folder / "00001.parquet") for root in ("one", "emb"))
        assert here.column("record_id").equals(there.column("record_id"))
    assert contents(tmp_path / "emb") == before


def test_a_task_that_has_not_run_yet_is_shown_alone(
    tmp_path: Path, records: Manifest, capsys: pytest.CaptureFixture[str]
) -> None:
    embed(tmp_path, 1)
    assert command.main([f"{tmp_path}/emb", "2", "--output", f"{tmp_path}/one"]) == 0
    assert "shard 2 of embed-text" in capsys.readouterr().out
    assert not (tmp_path / "emb" / "receipts" / "00002.json").exists()


def test_pictures_with_a_comma_in_their_folder_are_planned_again(tmp_path: Path) -> None:
    (tmp_path / "a,b").mkdir()
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a,b" / "red.png")
    spec = EmbedImagesSpec(images=(f"{tmp_path}/a,b",), output=f"{tmp_path}/emb")
    begin_run(spec.output, pictures.plan_tasks(spec).plan, overwrite=False)
    assert command.main([f"{tmp_path}/emb", "0", "--output", f"{tmp_path}/one"]) == 0
    assert pq.read_table(tmp_path / "one" / "embeddings").num_rows == 1


def test_a_replaced_dataset_is_planned_as_it_is_now(tmp_path: Path, records: Manifest) -> None:
    run = embed(tmp_path, 3)
    run.commit(facts(run, "text", 0))
    again = embed(tmp_path, 3, overwrite=True, prefix="a photo of a ")
    again.commit(facts(again, "text", 0))
    ran = run_one(f"{tmp_path}/emb", 0, f"{tmp_path}/one", {})
    assert ran.receipt.plan == again.plan.fingerprint and ran.known and ran.known.plan == again.plan.fingerprint


def test_inputs_that_moved_are_named(tmp_path: Path, records: Manifest) -> None:
    embed(tmp_path, 0)
    (tmp_path / "records").rename(tmp_path / "moved")
    more = ["--records", f"{tmp_path}/moved", "--batch-size", "77"]
    assert command.main([f"{tmp_path}/emb", "0", "--output", f"{tmp_path}/one"]) == 2
    assert command.main([f"{tmp_path}/emb", "0", "--output", f"{tmp_path}/one", *more]) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("{0}/emb 3 --output {0}/one", "has shards 0 to 2; there is no shard 3"),
        ("{0}/emb 0 --output {0}/emb/one", "must be an empty folder outside the dataset"),
        ("{0}/emb 0 --output {0}/records", "must be an empty folder outside the dataset"),
        ("{0}/none 0 --output {0}/one", "has no plan.json"),
        ("{0}/records 0 --output {0}/one", "cannot run alone; those of download-images, embed-text"),
        ("{0}/emb 0 --output {0}/one --shard-rows 5", "cannot be planned again: shard-rows was 4, now 5"),
        ("{0}/emb 0 --output {0}/one --recrods x", "no option --recrods. Did you mean '--records'"),
        ("{0}/emb zero --output {0}/one", "invalid int value"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: str, said: str, tmp_path: Path, records: Manifest, capsys: pytest.CaptureFixture[str]
) -> None:
    embed(tmp_path, 0)
    assert command.main(arguments.format(tmp_path).split()) == 2
    err = capsys.readouterr().err
    assert said in err and len(err.splitlines()) == 1
    assert not (tmp_path / "one").exists()
