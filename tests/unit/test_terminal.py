"""What goes to a terminal: no control characters, whole paths, no Python values."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clip_spark.commands.console import complain, guarded, say, say_json, show_table
from clip_spark.commands.terminal import LEAST_WIDTH, cell, printable, printable_json, table_width
from clip_spark.datasets.tables import Table
from clip_spark.errors import InputError

HOSTILE = "\x1b]0;owned\x07\x1b[2Jdog\x9b31m\r\u202egpj.exe"
PATH = "s3://bucket/" + "/".join(["a-long-folder"] * 12) + "/00000.parquet"


def test_escape_sequences_of_a_record_are_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(Table(HOSTILE, (HOSTILE, "n"), [(HOSTILE, 1), ([HOSTILE], {HOSTILE: HOSTILE})]))
    say(HOSTILE)
    complain(HOSTILE)
    say_json(json.dumps({"text": HOSTILE}, ensure_ascii=False))
    out, err = capsys.readouterr()
    assert not set(HOSTILE) & {"\x1b", "\x07", "\x9b", "\r", "\u202e"} & set(out + err)
    assert r"\x1b[2Jdog\x9b31m\x0d\u202egpj.exe" in out and r"\x1b]0;owned\x07" in err


def test_an_error_that_quotes_a_hostile_name_is_one_printable_line(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise InputError(f"'{HOSTILE}\nsecond line' does not exist.")

    assert guarded("toy", work) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1 and "\x1b" not in err


@given(st.text())
def test_json_means_the_same_and_plain_text_stays(text: str) -> None:
    assert json.loads(printable_json(json.dumps(text, ensure_ascii=False))) == text
    shown = printable(text)
    assert printable(shown) == shown
    shown.encode()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""), (True, "yes"), (12345, "12,345"), (0.1234, "0.123"), ("a\nb\tc", "a b c"),
        ({"a": 1, "b": [1, 2]}, "a: 1, b: 1, 2"), (["x", None], "x, "), ("", ""),
    ],
)  # fmt: skip
def test_cells_are_for_people(value: object, shown: str) -> None:
    assert cell(value) == shown


def test_a_path_is_never_folded(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table("files", ("text", "path"), [("many words " * 30, PATH)])
    show_table(table)
    assert PATH in capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    show_table(table)
    shown = re.sub("\x1b\\[[0-9;]*m", "", capsys.readouterr().out)  # bold headings are ours
    assert PATH in shown and max(map(len, shown.splitlines())) == len(PATH) + LEAST_WIDTH + 7  # the words are folded


def test_an_ascii_terminal_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(shown, "ascii", write_through=True))

    def work() -> None:
        say("café 日")
        show_table(Table("été", ("où",), [("a 狐 é",), ("s3://ü/" + "x" * 50,)]))
        say_json(json.dumps({"text": "café 🦊"}, ensure_ascii=False))

    assert guarded("toy", work) == 0
    first, *table, last = shown.getvalue().decode("ascii").splitlines()
    assert first == "caf\\xe9 \\u65e5" and len(table) > 4 and json.loads(last) == {"text": "café 🦊"}


HEARD = """
import sys
from clip_spark.commands.console import guarded, say, show_table
from clip_spark.datasets.tables import Table
from clip_spark.errors import InputError
def work():
    say("a line")
    show_table(Table("t", ("a",), [("b",)]))
    raise InputError("said to the end")
sys.exit(guarded("toy", work))
"""


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("-c", HEARD), 2, "clip-spark toy: said to the end\n"),
        (("-m", "clip_spark.jobs.cli", "--help"), 0, ""),
        (("-m", "clip_spark.jobs.cli", "count-ngrams", "--help"), 0, ""),
    ],
)
def test_nobody_reads_on(arguments: tuple[str, ...], status: int, said: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, *arguments], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (status, said)


def test_without_a_terminal_nothing_is_folded() -> None:
    assert table_width(None, [(300, False), (10, True)]) == 317
    assert table_width(80, [(300, False), (10, True)]) == 80
    assert table_width(40, [(300, False), (100, True)]) == 127
    assert table_width(200, [(5, False), (5, True)]) == 17
