"""The command line and YAML of a job."""

from __future__ import annotations

from pathlib import Path

import pytest

from clip_spark.commands.options import make_spec, parse_spec
from clip_spark.commands.registry import COMMANDS
from clip_spark.embed.specs import EmbedTextSpec
from clip_spark.errors import SpecError

REQUIRED = ["--records", "r", "--output", "o"]


def parse(*argv: str) -> EmbedTextSpec:
    return parse_spec(COMMANDS["embed-text"], argv)[0]


def test_options_become_fields_with_their_types() -> None:
    spec = parse(*REQUIRED, "--shard-rows", "7", "--overwrite")
    assert (spec.records, spec.output, spec.shard_rows, spec.overwrite) == ("r", "o", 7, True)


def test_lists_are_separated_by_commas() -> None:
    from clip_spark.texts.specs import CountSpec

    assert make_spec(CountSpec, {"corpus": "a,b", "orders": "1,3", "output": "o"}).orders == (1, 3)
    assert make_spec(CountSpec, {"corpus": ["a", "b"], "output": "o"}).corpus == ("a", "b")


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("shard-rows: 5\nprefix: 'a photo of '\n")
    spec = parse(*REQUIRED, "--config", str(config), "--shard-rows", "9")
    assert (spec.shard_rows, spec.prefix) == (9, "a photo of ")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "--output is missing|--records is missing"),
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
