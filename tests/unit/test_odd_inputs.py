"""Any mix of formats, encodings, compressions and damage: rows read and rejected are what was written, none is lost."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from clip_spark.texts import corpus
from clip_spark.texts.corpus import Account, Piece
from clip_spark.texts.corpus.account import DAMAGED, NOT_TEXT
from clip_spark.texts.corpus.csv_rows import CsvRows
from clip_spark.texts.corpus.json_rows import stream_values
from clip_spark.texts.corpus.rows import read_tables
from clip_spark.texts.make_records import plan_rows
from clip_spark.texts.specs import RecordsSpec
from tests.helpers_packed import PACK

WORDS = st.text(st.sampled_from("ab é日ß'-.,;|\"\\[{"), min_size=1, max_size=12).filter(lambda text: text.strip())


def texts(path: Path, field: str = "text", **options: Any) -> tuple[list[str], Account]:
    account = Account()
    data = b"".join(corpus.read_text(Piece(str(path)), field, account, **options))
    return data.decode().splitlines(), account


def as_csv(rows: list[str], delimiter: str = ",", quoting: int = csv.QUOTE_MINIMAL, **options: Any) -> bytes:
    sink = io.StringIO()
    writer = csv.writer(sink, delimiter=delimiter, quoting=quoting, lineterminator="\n", **options)  # type: ignore[arg-type]
    writer.writerows([("id", "text"), *enumerate(rows)])
    return sink.getvalue().encode()


def as_spark_csv(rows: list[str]) -> bytes:
    """What Spark writes with `quoteAll`: quotes behind a backslash."""
    quoted = [row.replace('"', '\\"') for row in rows]
    return "".join(f'"{n}","{row}"\n' for n, row in [("id", "text"), *enumerate(quoted)]).encode()


def as_table(rows: list[str], write: Any) -> bytes:
    sink = io.BytesIO()
    write(pa.table({"id": range(len(rows)), "text": rows}), sink)
    return sink.getvalue()


def as_stream(table: pa.Table, sink: Any) -> None:
    """As datasets caches it."""
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)


def as_tar(rows: list[str], ending: str = "txt") -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for number, row in enumerate(rows):
            member = tarfile.TarInfo(f"{number}.{ending}")
            data = row.encode()
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return sink.getvalue()


WRITE = {
    "jsonl": lambda rows: "".join(json.dumps({"id": 1, "text": row}) + "\n" for row in rows).encode(),
    "json": lambda rows: json.dumps([{"text": row} for row in rows], ensure_ascii=False).encode(),
    "pretty.json": lambda rows: json.dumps([{"text": row} for row in rows], indent=2).encode(),
    "csv": as_csv,
    "excel.csv": lambda rows: b"\xef\xbb\xbf" + as_csv(rows, ";"),
    "all.csv": lambda rows: as_csv(rows, quoting=csv.QUOTE_ALL),
    "tsv": lambda rows: as_csv(rows, "\t"),
    "parquet": lambda rows: as_table(rows, pq.write_table),
    "feather": lambda rows: as_table(rows, pyarrow.feather.write_feather),
    "arrow": lambda rows: as_table(rows, as_stream),
    "tar": as_tar,
}
UTF_16 = ("jsonl", "json", "csv", "tsv")
"""Formats whose characters may be of another encoding."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("odd")


@settings(max_examples=150)
@given(rows=st.lists(WORDS, min_size=1, max_size=6), form=st.sampled_from(sorted(WRITE)), data=st.data())
def test_every_format_gives_the_texts_that_were_written(folder: Path, rows: list[str], form: str, data: Any) -> None:
    written = WRITE[form](rows)
    if form in UTF_16 and data.draw(st.booleans()):
        written = written.decode().encode(data.draw(st.sampled_from(["utf-16", "utf-32", "utf-16-le", "utf-16-be"])))
    ending = data.draw(st.sampled_from(sorted(PACK)))
    path = folder / data.draw(st.sampled_from([f"a.{form}{ending}", f"a.{form}"]))  # a name need not tell the packing
    path.write_bytes(PACK[ending](written))
    found, account = texts(path)
    assert found == rows and account.rejects == []
    tables = list(read_tables(str(path), "text", Account()))
    assert [text for table in tables for text in table["text"].to_pylist()] in (rows, [row.strip() for row in rows])


@settings(max_examples=100)
@given(rows=st.lists(WORDS.filter(lambda text: "\\" not in text), min_size=1, max_size=6))
def test_quotes_as_spark_writes_them(rows: list[str]) -> None:
    account = Account()
    tables = CsvRows(io.BytesIO(as_spark_csv(rows)), ".csv", "text").tables("a.csv", account)
    found = [cell.decode() for table in tables for cell in table["text"].to_pylist()]
    if not any('",' in row for row in rows):
        assert found == rows  # else the bytes mean something else under RFC 4180, which comes first
    assert len(found) + len(account.rejects) <= len(rows)


@settings(max_examples=100)
@given(
    rows=st.lists(st.tuples(WORDS, st.sampled_from(["good", "ragged", "short"])), min_size=1, max_size=8),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_rows_of_a_csv_are_read_or_rejected(rows: list[tuple[str, str]], quoting: int) -> None:
    sink = io.StringIO()
    writer = csv.writer(sink, quoting=quoting, lineterminator="\r\n")  # type: ignore[arg-type]
    writer.writerow(["id", "text"])
    for text, kind in rows:
        writer.writerow({"good": ["1", text], "ragged": ["1", text, "more"], "short": [text]}[kind])
    account = Account()
    tables = list(CsvRows(io.BytesIO(sink.getvalue().encode()), ".csv", "text").tables("a.csv", account))
    found = [cell.decode() for table in tables for cell in table["text"].to_pylist()]
    assert found == [text for text, kind in rows if kind == "good"]
    bad = [f"a.csv#{number}" for number, (_, kind) in enumerate(rows, 1) if kind != "good"]
    assert account.rejects == [(source, "ragged row", account.rejects[n][2]) for n, source in enumerate(bad)]


def read_csv(data: bytes) -> tuple[list[tuple[str, ...]], list[str]]:
    account = Account()
    tables = list(CsvRows(io.BytesIO(data), ".csv").tables("a", account))
    rows = [tuple(cell.decode() for cell in row.values()) for table in tables for row in table.to_pylist()]
    return rows, [f"{source}: {reason}" for source, reason, _ in account.rejects]


@pytest.mark.parametrize(
    ("data", "rows", "rejects"),
    [
        (b'a,b\n1,"x\n2,y\n3,"p, q"\n', [("2", "y"), ("3", "p, q")], ["a#1: stray quote"]),
        (b'a,b\n1,5" nail\n2,y\n', [("1", '5" nail'), ("2", "y")], []),
        (b'a,b\n1,"x"y\n2,z\n', [("2", "z")], ["a#1: stray quote"]),
        (b'a,b\n1,"he said \\"hi\\", twice"\n2,y\n', [("1", 'he said "hi", twice'), ("2", "y")], []),
        (b'a,b\n1,"C:\\dir\\"\n2,y\n', [("1", "C:\\dir\\"), ("2", "y")], []),
        (b'a,b\n1,"5\\""\n2,"6\\""\n', [("1", '5"'), ("2", '6"')], []),
        (b'"a\nb",c\n1,2\n', [("1", "2")], []),
        (b"sep=;\na;b\n1;2,3\n", [("1", "2,3")], []),
        (b"a,a,\n1,2,3\n", [("1", "2", "3")], []),
        (b"a,b\n\n1,2\n\n\n3,4", [("1", "2"), ("3", "4")], []),
        (b"a,b\n1,\n", [("1", "")], []),
        (b"a,b\n", [], []),
        (b"", [], []),
    ],
)
def test_odd_csv(data: bytes, rows: list[tuple[str, ...]], rejects: list[str]) -> None:
    assert read_csv(data) == (rows, rejects)


def test_a_cell_of_megabytes_and_rows_over_many_chunks(tmp_path: Path) -> None:
    rows = ["x" * 3_500_000, 'a "quoted" word', "line\nend", *[f"row {n}" for n in range(200_000)]]
    (tmp_path / "a.csv").write_bytes(as_csv(rows))
    found, account = texts(tmp_path / "a.csv")
    assert found == [row.replace("\n", " ") for row in rows] and account.rejects == []


def test_a_damaged_row_of_an_array_is_one_reject_and_a_cut_end_another() -> None:
    rows = [{"text": f"row {n}"} for n in range(4)]
    whole = json.dumps(rows, indent=1)
    account = Account()
    broken = whole.replace('"row 1"', '"row 1')
    assert [value["text"] for _, value in stream_values(io.BytesIO(broken.encode()), "a", account)] == [
        "row 0",
        "row 2",
        "row 3",
    ]
    assert [(source, reason) for source, reason, _ in account.rejects] == [("a#2", "not JSON")]
    account = Account()
    found = list(stream_values(io.BytesIO(whole[:-20].encode()), "a", account))
    assert len(found) == 3 and [reason for _, reason, _ in account.rejects] == [DAMAGED]


def test_json_of_many_reads(tmp_path: Path) -> None:
    rows = [{"text": f"row {n} " + "x" * (n % 997)} for n in range(3000)]
    for name, data in (("a.json", json.dumps(rows)), ("b.json", "\n".join(json.dumps(row, indent=1) for row in rows))):
        (tmp_path / name).write_text(data)
        assert texts(tmp_path / name)[0] == [row["text"] for row in rows]


def test_a_stream_of_arrow_that_is_cut_between_batches_is_damage(tmp_path: Path) -> None:
    table = pa.table({"text": ["a", "b", "c", "d"]})
    with pa.ipc.new_stream(str(tmp_path / "a.arrow"), table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    assert texts(tmp_path / "a.arrow")[0] == ["a", "b", "c", "d"]
    (tmp_path / "b.arrow").write_bytes((tmp_path / "a.arrow").read_bytes()[:-8])
    with pytest.raises(pa.ArrowInvalid, match="without its mark"):
        texts(tmp_path / "b.arrow")


@pytest.mark.parametrize("text", ['[""', '["a"] fox', "[{ a fox", "[]s", '{"', '["a", "b"'])
def test_a_caption_that_begins_like_json_is_text(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    (tmp_path / "b.tar").write_bytes(as_tar([text]))
    for name in ("a.txt", "b.tar"):
        found, account = texts(tmp_path / name)
        assert found == [text] and account.rejects == []


def test_json_in_a_txt_is_read_as_json(tmp_path: Path) -> None:
    for data in (
        '["a fox", "a hen"]',
        '{"text": "a fox"}\n{"text": "a hen"}\n',
        '[{"text": "a fox"}, {"text": "a hen"}]',
    ):
        (tmp_path / "a.txt").write_text(data)
        assert texts(tmp_path / "a.txt")[0] == ["a fox", "a hen"]
    (tmp_path / "a.txt").write_text('[{"text": "a fox"}, {"text": "a')
    found, account = texts(tmp_path / "a.txt")
    assert found == ["a fox"] and [reason for _, reason, _ in account.rejects] == [DAMAGED]


def test_brackets_without_end_are_no_json(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"[" * 5000)
    assert texts(tmp_path / "a.txt")[0] == ["[" * 5000]


def test_texts_of_a_column_that_are_no_utf8_stop_no_rows(tmp_path: Path) -> None:
    odd = pa.array([b"a \xff fox", None, b"hen"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": odd}), tmp_path / "a.parquet")
    spec = RecordsSpec(rows=(str(tmp_path / "a.parquet"),), output="o")
    planned = plan_rows(corpus.list_corpus(spec.rows).files, spec)
    (file,) = planned.files
    parts = [part for _, part in planned.reader(spec, 1)(file)]
    found = [row for part in parts if part.rows for row in pa.ipc.open_stream(part.rows).read_all().to_pylist()]
    assert [row["text"] for row in found] == ["a \ufffd fox", "hen"]


def test_zstd_with_a_long_window_is_read(tmp_path: Path) -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=28, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    (tmp_path / "a.txt.zst").write_bytes(packer.compress(b"a red fox\n" * 1000) + packer.flush())
    assert texts(tmp_path / "a.txt.zst")[0] == ["a red fox"] * 1000


def test_hard_links_in_a_tar_are_read(tmp_path: Path) -> None:
    data = io.BytesIO(as_tar(["a red fox"]))
    with tarfile.open(fileobj=data, mode="a") as tar:
        link = tarfile.TarInfo("1.txt")
        link.type, link.linkname = tarfile.LNKTYPE, "0.txt"
        tar.addfile(link)
    (tmp_path / "a.tar").write_bytes(data.getvalue())
    assert texts(tmp_path / "a.tar")[0] == ["a red fox"] * 2


@pytest.mark.parametrize("cut", [600, 1100, 1600])
def test_a_tar_that_is_cut_short_is_damage(tmp_path: Path, cut: int) -> None:
    (tmp_path / "a.tar").write_bytes(as_tar(["x" * 1000, "y" * 1000])[:cut])
    with pytest.raises(tarfile.ReadError):
        texts(tmp_path / "a.tar")


def test_tables_inside_a_tar(tmp_path: Path) -> None:
    (tmp_path / "a.tgz").write_bytes(gzip.compress(as_tar(['{"text": "a red fox"}\n{"text": 3}\n'], "jsonl")))
    found, account = texts(tmp_path / "a.tgz")
    assert found == ["a red fox"] and [reason for _, reason, _ in account.rejects] == ["no text"]
    (tmp_path / "b.tar").write_bytes(as_tar(['{"caption": "a hen"}'], "json"))
    assert texts(tmp_path / "b.tar", "json.caption")[0] == ["a hen"]


def warc(kind: str, body: bytes, uri: str = "http://e.com/") -> bytes:
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {uri}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body + b"\r\n\r\n"


def test_web_archives_give_the_texts_of_their_pages(tmp_path: Path) -> None:
    info = warc("warcinfo", b"software: x\r\n")
    wet = [info, warc("conversion", b"a red fox\nruns"), warc("conversion", b"a blue hen", "http://e.com/2")]
    (tmp_path / "a.warc.wet.gz").write_bytes(b"".join(map(gzip.compress, wet)))
    found, account = texts(tmp_path / "a.warc.wet.gz")
    assert found == ["a red fox", "runs", "a blue hen"]
    assert account.counters["left out: record of WARC: warcinfo"] == 1
    (table,) = read_tables(str(tmp_path / "a.warc.wet.gz"), "text", Account())
    assert table.to_pylist()[1] == {"text": "a blue hen", "url": "http://e.com/2"}
    html = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<script>x=1</script><p>a <b>red</b> fox</p>caf&eacute;"
    (tmp_path / "b.warc").write_bytes(info + warc("response", html))
    assert texts(tmp_path / "b.warc")[0] == ["a red fox", "café"]
    (tmp_path / "c.warc").write_bytes((info + warc("conversion", b"x" * 100))[:-50])
    assert [reason for _, reason, _ in texts(tmp_path / "c.warc")[1].rejects] == [DAMAGED]


@pytest.mark.parametrize(
    "data", [b"\x89PNG\r\n\x1a\n" + bytes(50), b"%PDF-1.7 x", bytes(range(256)) * 8, b"\0\1\0\2" * 300]
)
def test_no_binary_is_counted_as_text(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    found, account = texts(tmp_path / "a.txt")
    assert not found and [reason for _, reason, _ in account.rejects] == [NOT_TEXT]


def test_wikiextractor_without_its_tags(tmp_path: Path) -> None:
    page = '<doc id="1" url="u" title="Fox">\nFox\n\na <doc red fox\n</doc>\n'
    (tmp_path / "wiki_00").write_text(page * 3)
    assert Counter(texts(tmp_path / "wiki_00")[0]) == {"Fox": 3, "": 3, "a <doc red fox": 3}


def test_a_folder_is_read_without_what_lies_there_for_others(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    names = ["a.txt", "wiki_00", "p.png", "b.log", "_raw/c.txt", ".hidden/d.txt", "_SUCCESS", "_temporary/0/e.txt"]
    for name in [*names, "counts/counts/00000.parquet", "counts/receipts/00000.json"]:
        (inside / name).parent.mkdir(parents=True, exist_ok=True)
        (inside / name).write_text("a red fox\n")
    plan = {"kind": "counts", "spec": {}, "inputs": {}, "shards": 1}
    (inside / "counts/plan.json").write_text(json.dumps(plan))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/f.txt").write_text("a hen\n")
    (inside / "link").symlink_to(tmp_path / "elsewhere")
    (inside / "loop").symlink_to(inside)
    found = corpus.list_corpus([str(inside)])
    assert [file.relative for file in found.files] == ["_raw/c.txt", "a.txt", "link/f.txt", "wiki_00"]
    assert found.left_out == {
        (".png", "picture"): 1,
        (".log", "its ending says neither text nor table"): 1,
        ("", "a dataset of clip-spark"): 3,
        (".txt", "hidden, or Spark's own"): 2,
        ("", "hidden, or Spark's own"): 1,
    }


def test_rows_of_json_with_keys_and_kinds_of_their_own(tmp_path: Path) -> None:
    rows = [
        {"text": "a", "n": 1, "x": 1},
        {"text": "b", "x": "two"},
        {"text": {"c": 1}},
        {"x": 3},
        {"text": ["d", "e"]},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    spec = RecordsSpec(rows=(str(tmp_path),), output="o")
    planned = plan_rows(corpus.list_corpus(spec.rows).files, spec)
    (file,) = planned.files
    parts = [part for _, part in planned.reader(spec, 1)(file)]
    found = [row for part in parts if part.rows for row in pa.ipc.open_stream(part.rows).read_all().to_pylist()]
    assert [(row["text"], row["x"], row["input_n"]) for row in found] == [
        ("a", "1", 1),
        ("b", "two", None),
        ("d", None, None),
        ("e", None, None),
    ]
    assert parts[-1].counters["empty"] == 1 and parts[-1].counters["rows"] == len(rows) - 1
    assert parts[-1].rejects == [(f"{tmp_path}/a.jsonl#3", "no text", "'text' is an object")]
