"""The command line and YAML of a job."""

from __future__ import annotations

from pathlib import Path

import pytest

from clip_spark.commands.console import job_main
from clip_spark.commands.options import make_spec, parse_spec
from clip_spark.commands.registry import COMMANDS
from clip_spark.embed.specs import EmbedTextSpec
from clip_spark.errors import SpecError
from clip_spark.texts.specs import CountSpec

REQUIRED = ["--records", "r", "--output", "o"]


def parse(*argv: str) -> EmbedTextSpec:
    return parse_spec(COMMANDS["embed-text"], argv)[0]


def test_options_become_fields_with_their_types() -> None:
    spec = parse(*REQUIRED, "--shard-rows", "7", "--overwrite")
    assert (spec.records, spec.output, spec.shard_rows, spec.overwrite) == (("r",), "o", 7, True)


def test_commas_separate_what_cannot_hold_one() -> None:
    spec = parse_spec(COMMANDS["count-ngrams"], ["--corpus", "c", "--output", "o", "--orders", "1,3", "--orders", "2"])[
        0
    ]
    assert spec.orders == (1, 3, 2)
    assert make_spec(CountSpec, {"corpus": "c", "orders": "1,3", "output": "o"}).orders == (1, 3)


def test_texts_and_uris_are_kept_to_the_letter_and_given_by_repeating() -> None:
    spec = parse(*REQUIRED, "--templates", "a photo of a {}, a type of food.", "--templates", " {} ")
    assert spec.templates == ("a photo of a {}, a type of food.", " {} ")
    found = parse_spec(COMMANDS["count-ngrams"], ["--corpus", "a,b", "--corpus", "c", "--output", "o"])[0]
    assert found.corpus == ("a,b", "c")
    assert make_spec(CountSpec, {"corpus": ["a", "b"], "output": "o"}).corpus == ("a", "b")
    assert make_spec(CountSpec, {"corpus": "a,b", "output": "o"}).corpus == ("a,b",)


def test_a_missing_place_with_a_comma_says_how_several_are_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert job_main("count-ngrams", ["--corpus", f"{tmp_path}/a,{tmp_path}/b", "--output", f"{tmp_path}/o"]) == 2
    assert "for several places give --corpus several times" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["-k", "--k"])
def test_an_option_of_one_letter_takes_one_or_two_hyphens(flag: str) -> None:
    required = ["--embeddings", "e", "--index", "i", "--output", "o"]
    assert parse_spec(COMMANDS["tag-images"], [*required, flag, "3"])[0].k == 3


def test_help_says_how_a_list_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--help")
    shown = " ".join(capsys.readouterr().out.split())
    assert (
        "--templates TEXT instead" in shown and "averaged [repeat it for more; a comma is part of the value]" in shown
    )
    with pytest.raises(SystemExit):
        parse_spec(COMMANDS["count-ngrams"], ["--help"])
    assert "(default: 1,2,3) [with commas, or repeat it]" in " ".join(capsys.readouterr().out.split())


def test_a_file_may_say_true_as_a_text() -> None:
    assert make_spec(CountSpec, {"corpus": "c", "output": "o", "nfkc": "true", "lower": False}).nfkc is True


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("shard-rows: 5\nprefix: 'a photo of '\n")
    spec = parse(*REQUIRED, "--config", str(config), "--shard-rows", "9")
    assert (spec.shard_rows, spec.prefix) == (9, "a photo of ")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "--records is missing: dataset of records|--output is missing: folder of the dataset"),
        (["--records", "", "--output", "o"], "--records is empty: datasets of records"),
        ([*REQUIRED, "--recrods", "x"], "no option --recrods. Did you mean '--records'"),
        ([*REQUIRED, "--shard-rows", "many"], "--shard-rows is 'many'; it must be a whole number"),
        ([*REQUIRED, "--precision", "fp8"], "--precision is 'fp8'; it must be one of auto, fp32"),
        ([*REQUIRED, "--config", "absent.yaml"], "'absent.yaml' does not exist"),
        ([*REQUIRED, "--conf", "x"], "is not KEY=VALUE"),
    ],
)
def test_mistakes_are_one_sentence(argv: list[str], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse(*argv)


def test_an_unknown_key_in_the_file_names_the_nearest(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("shard-row: 5\n")
    with pytest.raises(SpecError, match="no option 'shard-row'. Did you mean 'shard_rows'"):
        parse(*REQUIRED, "--config", str(config))


def test_help_shows_options_defaults_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parse_spec(COMMANDS["tag-images"], ["--help"])
    text = capsys.readouterr().out
    assert left.value.code == 0
    assert "--embeddings" in text and "(default: 10)" in text and "# ten tags for each picture" in text


def test_a_command_without_spark_has_no_spark_options() -> None:
    with pytest.raises(SpecError, match="no option --master"):
        parse_spec(COMMANDS["search"], ["--master", "local[1]"])
