"""Formats x encodings x compressions x damage: of each row both readers know what became of it, and none is lost.

What was written is the independent count: good rows are read, bad ones are rejects (or empty texts, which are counted).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip_spark.texts import corpus
from clip_spark.texts.corpus import Account, Piece
from clip_spark.texts.make_records import plan_rows
from clip_spark.texts.specs import RecordsSpec
from tests.helpers_packed import PACK

GOOD, NO_TEXT, BROKEN = "good", "no text", "broken"
TEXTS = st.text(st.sampled_from("ab é日ß'-.;|[{"), min_size=1, max_size=12).map(lambda text: f"x{text}y")
ROWS = st.lists(st.tuples(TEXTS, st.sampled_from([GOOD, GOOD, NO_TEXT, BROKEN])), min_size=1, max_size=8)
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32")
Row = tuple[str, str]


def as_jsonl(rows: list[Row]) -> str:
    head = json.dumps({"text": "x first y"})  # so that the first line says what the file is
    lines = {GOOD: lambda text: json.dumps({"text": text}), NO_TEXT: lambda text: json.dumps({"other": text})}
    return "".join(
        line + "\n" for line in [head, *(lines.get(kind, lambda t: f'{{"text": "{t}')(t) for t, kind in rows)]
    )


def as_csv(rows: list[Row]) -> str:
    sink = io.StringIO()
    writer = csv.writer(sink, quoting=csv.QUOTE_ALL)
    writer.writerows([("id", "text"), ("0", "x first y")])
    for text, kind in rows:
        writer.writerow({GOOD: ("1", text), NO_TEXT: ("1", ""), BROKEN: ("1", text, "more")}[kind])
    return sink.getvalue()


def as_table(rows: list[Row], write: Callable[..., Any]) -> bytes:
    """Tables have no broken rows: those have no text either."""
    sink = io.BytesIO()
    write(pa.table({"text": ["x first y", *(text if kind == GOOD else None for text, kind in rows)]}), sink)
    return sink.getvalue()


TEXT_FORMS = {"jsonl": as_jsonl, "csv": as_csv}
TABLE_FORMS = {"parquet": pq.write_table, "feather": pyarrow.feather.write_feather}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("accounting")


def written(folder: Path, form: str, rows: list[Row], encoding: str, packed: str) -> Path:
    whole = TEXT_FORMS[form](rows).encode(encoding) if form in TEXT_FORMS else as_table(rows, TABLE_FORMS[form])
    path = folder / f"a.{form}{packed}"
    path.write_bytes(PACK[packed](whole))
    return path


def read_as_corpus(path: Path) -> tuple[list[str], int]:
    """The texts that count-ngrams sees, and how many rows it rejects."""
    account = Account()
    data = b"".join(corpus.read_text(Piece(str(path)), "text", account))
    return [line for line in data.decode().split("\n") if line], len(account.rejects)


def read_as_rows(path: Path) -> tuple[list[str], int, int]:
    """The texts that make-records writes, rows without a text, and rows that it rejects."""
    spec = RecordsSpec(rows=(str(path),), output="o")
    planned = plan_rows(corpus.list_corpus(spec.rows, "rows").files, spec)
    (file,) = planned.files
    parts = [part for _, part in planned.reader(spec, 1)(file)]
    rows = [row for part in parts if part.rows for row in pa.ipc.open_stream(part.rows).read_all().to_pylist()]
    return [row["text"] for row in rows], int(parts[-1].counters["empty"]), len(parts[-1].rejects)


@settings(max_examples=200, deadline=None)
@given(
    rows=ROWS,
    form=st.sampled_from([*TEXT_FORMS, *TABLE_FORMS]),
    encoding=st.sampled_from(ENCODINGS),
    packed=st.sampled_from(sorted(PACK)),
)
def test_each_row_is_read_or_rejected_by_both_readers(
    folder: Path, rows: list[Row], form: str, encoding: str, packed: str
) -> None:
    path = written(folder, form, rows, encoding, packed)
    good = ["x first y", *(text for text, kind in rows if kind == GOOD)]
    texts, rejected = read_as_corpus(path)
    blank = sum(kind == NO_TEXT for _, kind in rows) if form == "csv" else 0  # an empty cell is an empty line
    assert texts == good and len(texts) + rejected + blank == 1 + len(rows)
    found, empty, rejected = read_as_rows(path)
    assert found == good and len(found) + empty + rejected == 1 + len(rows)


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(TEXTS, min_size=30, max_size=60, unique=True),
    form=st.sampled_from(["jsonl", "csv"]),
    packed=st.sampled_from(sorted(PACK)),
    keep=st.floats(0.05, 0.999),
)
def test_a_file_that_is_cut_short_gives_what_lies_before_the_cut_or_is_a_reject(
    folder: Path, rows: list[str], form: str, packed: str, keep: float
) -> None:
    path = written(folder, form, [(row, GOOD) for row in rows], "utf-8", packed)
    whole = path.read_bytes()
    path.write_bytes(whole[: max(1, int(len(whole) * keep))])
    wanted = ["x first y", *rows]
    try:
        texts, rejected = read_as_corpus(path)
    except Exception as error:
        assert corpus.is_damage(error)  # the step counts the file as a reject
        return
    # The last row may end inside its text: as a line of its own it is not to be told from a whole one.
    assert texts[:-1] == wanted[: max(0, len(texts) - 1)]
    assert not packed or rejected or len(texts) == len(wanted)
