"""What a user sees: exit statuses, one-sentence errors, tables, the next command."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from clip_spark.commands.console import job_main
from clip_spark.commands.registry import COMMANDS
from clip_spark.errors import InputError, TaskError
from clip_spark.texts.specs import RecordsSpec
from tests.helpers_commands import ERROR, TOY

ARGV = ["--embeddings", "e", "--index", "i", "--output"]


@pytest.fixture(autouse=True)
def no_error() -> None:
    ERROR.clear()


def test_a_job_shows_tables_and_the_next_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert job_main(TOY, [*ARGV, str(tmp_path / "o")]) == 0
    out = capsys.readouterr().out
    assert "dog" in out and "12,345" in out and f"Next: look at {tmp_path / 'o'}" in out


def test_a_path_with_a_space_is_quoted_in_what_comes_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert job_main(TOY, [*ARGV, str(tmp_path / "my data")]) == 0
    assert f"Next: look at '{tmp_path}/my data'" in capsys.readouterr().out


def test_what_comes_next_may_depend_on_an_option() -> None:
    links, texts = (RecordsSpec(rows=("a.csv",), uri_column=column, output="o") for column in ("url", ""))
    job = COMMANDS["make-records"]
    assert job.next_for(links, "o").startswith("clip-spark download-images --records o")
    assert job.next_for(texts, "o").startswith("clip-spark embed-text --records o")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--output", "{}/file/below"], "'.*/file/below.*' cannot be used: Not a directory"),
        (["--output", "{}/file"], "'.*/file.*' cannot be used: Not a directory"),
        (["--output", "/proc/nothing"], "'/proc/nothing' cannot be used: No such file"),
        (["--output", "{}/o", "--config", "{}"], "cannot be used: Is a directory"),
    ],
)
def test_a_path_that_cannot_be_is_one_sentence(
    tmp_path: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("file", "corpus.txt"):
        (tmp_path / name).write_text("a red fox\n")
    given = [option.format(tmp_path) for option in options]
    assert job_main("count-ngrams", ["--corpus", str(tmp_path / "corpus.txt"), *given]) == 2
    assert re.fullmatch(f"clip-spark count-ngrams: .*{said}.*\n", capsys.readouterr().err)


def test_json_is_one_line_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert job_main(TOY, [*ARGV, str(tmp_path / "o"), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["event"], value["step"], value["rows_out"]) == ("report", "toy", 0)


@pytest.mark.parametrize(
    ("error", "status"), [(InputError("No such corpus."), 2), (TaskError("Stopped."), 1), (KeyboardInterrupt(), 130)]
)
def test_errors_become_one_sentence_and_a_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], error: BaseException, status: int
) -> None:
    ERROR.append(error)
    assert job_main(TOY, [*ARGV, str(tmp_path / "o")]) == status
    err = capsys.readouterr().err
    assert err.startswith("clip-spark toy: ") and len(err.splitlines()) == 1


def test_a_typing_mistake_has_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert job_main(TOY, ["--emebddings", "e"]) == 2
    assert "Did you mean '--embeddings'?" in capsys.readouterr().err
