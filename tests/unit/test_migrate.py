"""migrate-index without Spark: two models over the same records, compared, switched and back; nothing comes back."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from clip_spark.analysis.migrate import step
from clip_spark.analysis.migrate.spec import MigrateSpec
from clip_spark.analysis.migrate.step import Migrated, migrate_index, migrated_tables
from clip_spark.commands.clean import delete_each, find_leftovers
from clip_spark.datasets import schema
from clip_spark.encoders import EncoderSpec, load_encoder
from clip_spark.errors import InputError, OutputError, SpecError
from clip_spark.index.build.build import build_index
from clip_spark.index.change.other import build_other
from clip_spark.index.change.remove import remove_records
from clip_spark.index.files.layout import read_index
from clip_spark.index.specs import IndexSpec, RemoveSpec
from clip_spark.search.searcher import Searcher
from tests.helpers_models import small_model
from tests.helpers_web import encoder, no_spark, write_sample

CAPTIONS = ["a dog", "a red apple", "a house", "a tree", "a fish", "a boat", "a red fish", "the sun"]
IDS = [schema.record_id(f"{caption}.png") for caption in CAPTIONS]


@pytest.fixture(scope="module")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"local-dir:{small_model(tmp_path_factory.mktemp('models') / 'second')}"


def write_set(folder: Path, name: str, model: Any, rows: slice = slice(None)) -> None:
    """Pictures whose vectors are those of their captions: each is found by its own."""
    columns = {"record_id": IDS[rows], "uri": IDS[rows], "caption": CAPTIONS[rows]}
    write_sample(folder / name, "image", pa.table(columns), model.encode_texts(CAPTIONS[rows]), model=model)


@pytest.fixture
def folder(tmp_path: Path, other_model: str) -> Path:
    write_set(tmp_path, "first", encoder())
    write_set(tmp_path, "second", load_encoder(EncoderSpec(other_model, "fp32")))
    build_index(no_spark, IndexSpec(embeddings=str(tmp_path / "first"), output=str(tmp_path / "index")))
    return tmp_path


def migrate(folder: Path, **options: Any) -> Migrated:
    given = {} if {"rollback", "forget"} & options.keys() else {"embeddings": str(folder / "second")}
    return migrate_index(no_spark, MigrateSpec(index=str(folder / "index"), **{**given, **options}))


def model_of(folder: Path) -> str:
    return str(read_index(str(folder / "index"))[1].encoder["model"])


def found(folder: Path, text: str, k: int = len(CAPTIONS)) -> list[str]:
    with Searcher.open(str(folder / "index")) as searcher:
        return [hit.record["record_id"] for hit in searcher.search_text(text, k)]


def by_hand(model: Any, text: str) -> list[str]:
    scores = model.encode_texts(CAPTIONS) @ model.encode_texts([text])[0]
    return [IDS[row] for row in np.argsort(-scores, kind="stable")]


def test_a_report_switches_nothing_and_the_same_command_switches_when_told(folder: Path, other_model: str) -> None:
    reported = migrate(folder)
    assert model_of(folder) == "demo" and "--switch" in reported.said
    assert [each["R@1"] for each in reported.models] == [1.0, 1.0] and reported.change["taken down"] == 0
    assert all(len(row) == len(table.columns) for table in migrated_tables(reported) for row in table.rows)
    before = read_index(str(folder / "index"))[1].other
    assert "now" in migrate(folder, switch=True).said and model_of(folder) == other_model
    assert before is not None and before.info.parts == read_index(str(folder / "index"))[1].parts  # not built twice
    assert "already" in migrate(folder, switch=True).said
    second = load_encoder(EncoderSpec(other_model, "fp32"))
    assert found(folder, "a dog on a boat") == by_hand(second, "a dog on a boat")
    assert "again" in migrate(folder, rollback=True).said and model_of(folder) == "demo"
    assert "already" in migrate(folder, rollback=True).said and model_of(folder) == "demo"
    assert found(folder, "a dog on a boat") == by_hand(encoder(), "a dog on a boat")
    json.dumps(dataclasses.asdict(reported))


def test_what_is_beside_is_compared_and_switched_to_without_naming_it_again(folder: Path, other_model: str) -> None:
    index = str(folder / "index")
    with pytest.raises(InputError, match="no index of another model beside it; give --model and --output"):
        migrate_index(no_spark, MigrateSpec(index=index, switch=True))
    reported = migrate(folder)
    again = migrate_index(no_spark, MigrateSpec(index=index))
    assert [each["R@1"] for each in again.models] == [each["R@1"] for each in reported.models]
    assert again.change == reported.change and model_of(folder) == "demo"
    for said in ("now", "already"):  # never back
        assert said in migrate_index(no_spark, MigrateSpec(index=index, switch=True)).said
        assert model_of(folder) == other_model


def test_the_bar_is_the_recall_of_the_first_and_needs_right_answers(folder: Path) -> None:
    wrong = "a house\t" + IDS[0]  # what the second finds for it is never that
    (folder / "asked.txt").write_text("a dog\n\na tree \t" + IDS[3] + "\n" + wrong + "\n")
    asked = str(folder / "asked.txt")
    found = migrate(folder, queries=asked, bar=0.9)
    assert (found.change["queries"], found.change["with a right answer"]) == (3, 2)
    assert found.models[0]["R@1"] == found.models[1]["R@1"] == 0.5 and model_of(folder) != "demo"
    migrate(folder, rollback=True)
    assert "does not reach" in migrate(folder, queries=asked, bar=1.1).said and model_of(folder) == "demo"
    (folder / "asked.txt").write_text("a dog\n")
    assert "no --bar can be passed" in migrate(folder, queries=asked, bar=0.1).said and model_of(folder) == "demo"


def test_records_that_only_the_first_has_bar_the_bar(folder: Path, other_model: str) -> None:
    write_set(folder, "fewer", load_encoder(EncoderSpec(other_model, "fp32")), slice(0, 5))
    found = migrate(folder, embeddings=str(folder / "fewer"), bar=0.1)
    assert found.change["records that only the first has"] == 3 and "3 of its records" in found.said
    assert model_of(folder) == "demo"


@pytest.mark.parametrize("when", ["before", "beside", "after"])
def test_what_is_erased_comes_back_by_neither(folder: Path, when: str) -> None:
    """Before the second is built, while it stands beside, or after the switch: gone from both, to the byte."""
    erase = RemoveSpec(index=str(folder / "index"), ids=(IDS[2],), compact=True)
    if when == "before":
        remove_records(no_spark, erase)
    migrate(folder)
    if when == "beside":
        remove_records(no_spark, erase)
    migrate(folder, switch=True)
    if when == "after":
        remove_records(no_spark, erase)
    for _ in range(2):
        assert len(found(folder, "a house")) == len(CAPTIONS) - 1 and IDS[2] not in found(folder, "a house")
        list(delete_each(find_leftovers(str(folder), older_than_hours=0, unfinished=True)))
        assert not [path for path in (folder / "index").rglob("*.arrow") if IDS[2].encode() in path.read_bytes()]
        remove_records(no_spark, RemoveSpec(index=str(folder / "index"), verify=True))
        if "again" not in migrate(folder, rollback=True).said:
            migrate(folder, switch=True)


def test_a_record_that_only_the_kept_one_has_can_be_taken_down(folder: Path, other_model: str) -> None:
    write_set(folder, "fewer", load_encoder(EncoderSpec(other_model, "fp32")), slice(0, 5))
    migrate(folder, embeddings=str(folder / "fewer"), switch=True)
    remove_records(no_spark, RemoveSpec(index=str(folder / "index"), ids=(IDS[7],)))
    assert migrate(folder, rollback=True).change == {"records that are found no more": 0}
    assert IDS[7] not in found(folder, "the sun")


def test_a_condition_on_a_column_that_only_the_first_has_takes_down_from_both(folder: Path) -> None:
    columns = {"record_id": IDS, "uri": IDS, "caption": CAPTIONS, "score": list(range(len(IDS)))}
    write_sample(folder / "scored", "image", pa.table(columns), encoder().encode_texts(CAPTIONS), model=encoder())
    spec = IndexSpec(embeddings=str(folder / "scored"), output=str(folder / "index"), overwrite=True)
    build_index(no_spark, spec)
    migrate(folder)
    remove_records(no_spark, RemoveSpec(index=str(folder / "index"), where="score = 2"))
    migrate(folder, switch=True)
    assert IDS[2] not in found(folder, "a house") and len(found(folder, "a house")) == len(CAPTIONS) - 1


def test_what_is_appended_after_the_switch_is_told_when_it_is_lost(folder: Path, other_model: str) -> None:
    write_set(folder, "fewer", encoder(), slice(0, 5))
    build_index(no_spark, IndexSpec(embeddings=str(folder / "fewer"), output=str(folder / "index"), overwrite=True))
    second = load_encoder(EncoderSpec(other_model, "fp32"))
    write_set(folder, "five", second, slice(0, 5))
    migrate(folder, embeddings=str(folder / "five"), switch=True)
    write_set(folder, "three", second, slice(5, None))
    build_index(no_spark, IndexSpec(embeddings=str(folder / "three"), output=str(folder / "index"), append=True))
    assert len(found(folder, "a dog")) == 8
    assert migrate(folder, rollback=True).change == {"records that are found no more": 3}
    assert len(found(folder, "a dog")) == 5


def test_forgotten_is_gone_once_its_readers_had_their_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate(folder, switch=True)
    kept = read_index(str(folder / "index"))[1].other
    assert kept is not None and (folder / "index" / kept.info.parts[0].path).exists()
    with pytest.raises(InputError, match="--forget"):  # a third model would take the way back
        write_set(folder, "third", encoder(), slice(0, 3))
        migrate(folder, embeddings=str(folder / "third"))
    monkeypatch.setenv("CLIP_SPARK_GRACE_HOURS", "0")
    assert "is gone" in migrate(folder, forget=True).said and "alone" in migrate(folder, forget=True).said
    assert not (folder / "index" / kept.info.parts[0].path).exists()
    with pytest.raises(InputError, match="no index to go back to"):
        migrate(folder, rollback=True)


def test_a_change_between_the_questions_and_the_switch_wins(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, erase = step.ask, [RemoveSpec(index=str(folder / "index"), ids=(IDS[1],), compact=True)]

    def meanwhile(*given: Any) -> Any:
        while erase:
            remove_records(no_spark, erase.pop())
        return real(*given)

    monkeypatch.setattr(step, "ask", meanwhile)
    with pytest.raises(OutputError, match="quicker"):
        migrate(folder, switch=True)
    assert model_of(folder) == "demo"
    monkeypatch.undo()
    migrate(folder, switch=True)
    assert IDS[1] not in found(folder, "a red apple")


def test_an_index_of_the_other_kind_and_options_that_fight_are_refused(folder: Path) -> None:
    columns = {"record_id": IDS, "text": CAPTIONS}
    write_sample(folder / "texts", "text", pa.table(columns), encoder().encode_texts(CAPTIONS))
    with pytest.raises(InputError, match="holds images"):
        build_other(no_spark, IndexSpec(embeddings=str(folder / "texts"), output=str(folder / "index")))
    for options, match in (
        ({"model": "demo"}, "Give --model"),
        ({"output": "x", "switch": True}, "Give --model"),
        ({"rollback": True, "switch": True}, "nothing else"),
        ({"rollback": True, "forget": True}, "nothing else"),
        ({"model": "demo", "output": "x", "calibrate_with": "y"}, "--calibrate-with"),
    ):
        with pytest.raises(SpecError, match=match):
            MigrateSpec(index="index", **options)
    with pytest.raises(InputError, match="nothing to ask"):
        migrate(folder, text_column="no_such")


def test_texts_are_asked_for_what_lies_beside_them(tmp_path: Path, other_model: str) -> None:
    ids = [schema.record_id(text) for text in CAPTIONS]
    for name, model in (("first", encoder()), ("second", load_encoder(EncoderSpec(other_model, "fp32")))):
        columns = {"record_id": ids, "text": CAPTIONS}
        write_sample(tmp_path / name, "text", pa.table(columns), model.encode_texts(CAPTIONS), model=model)
    build_index(no_spark, IndexSpec(embeddings=str(tmp_path / "first"), output=str(tmp_path / "index")))
    found = migrate(tmp_path, text_column="text", bar=0.1)
    assert found.models[0]["R@1"] is None and "no query has a right answer" in found.said
    assert 0 < found.change["first ten in common"] <= 1
