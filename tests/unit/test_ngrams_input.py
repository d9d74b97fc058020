"""What a corpus may look like: every format and compression gives its texts, and nothing that is bad stops a count."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clip_spark.errors import SpecError
from clip_spark.texts import corpus
from clip_spark.texts.corpus import Piece, reading
from clip_spark.texts.corpus.account import DAMAGED
from clip_spark.texts.corpus.sniff import LINES, Form
from clip_spark.texts.ngrams.counting import code_split as coding
from clip_spark.texts.specs import CountSpec

TEXTS = ["A dog", "two\nlines", 'a "quoted", naïve one', ""]
EXPECTED = Counter(["a", "dog", "two", "lines", "a", '"', "quoted", '",', "naïve", "one"])


def code(path: Path, **options: Any) -> coding.Reading:
    files = corpus.list_corpus([str(path)]).files
    (split,) = corpus.plan_splits(files)
    return coding.code_split(split, CountSpec(corpus=(str(path),), output="o", orders=(1, 2), **options))


def words(reading: coding.Reading) -> Counter[str]:
    coded = reading.coded
    found = zip(coded.words.to_pylist(), coded.counts.tolist(), strict=True)
    return Counter({word.decode(): count for word, count in found if not word.startswith(b"\n")})


def as_jsonl(texts: list[str]) -> bytes:
    return "".join(json.dumps({"text": text, "meta": {"id": 1}}) + "\n" for text in texts).encode()


def as_csv(texts: list[str], delimiter: str = ",") -> bytes:
    rows = [f'"{text.replace(chr(34), chr(34) * 2)}"{delimiter}1\n' for text in texts]
    return (f"text{delimiter}id\n" + "".join(rows)).encode()


def as_parquet(texts: list[str]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": texts, "id": range(len(texts))}), sink)
    return sink.getvalue()


def as_tar(texts: list[str]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for number, text in enumerate(texts):
            for ending, data in (("txt", text.replace("\n", " ").encode()), ("png", b"\x89PNG")):
                member = tarfile.TarInfo(f"{number}.{ending}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return sink.getvalue()


FORMATS = {
    "txt": lambda texts: "\n".join(texts).encode(),
    "jsonl": as_jsonl,
    "csv": as_csv,
    "tsv": lambda texts: as_csv(texts, "\t"),
    "parquet": as_parquet,
    "tar": as_tar,
}
COMPRESSIONS = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: pa.Codec("zstd").compress(data, asbytes=True),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_format_in_every_compression(tmp_path: Path, name: str, compression: str) -> None:
    if name == "parquet" and compression:
        pytest.skip("parquet is compressed inside")
    path = tmp_path / f"a.{name}{compression}"
    path.write_bytes(COMPRESSIONS[compression](FORMATS[name](TEXTS)))
    coded = code(tmp_path)
    assert words(coded) == EXPECTED
    assert coded.rejects == []


def test_a_nested_field(tmp_path: Path) -> None:
    rows = [{"a": {"b": "one"}}, {"a.b": "two"}, {"a": 3}, {"a": {"b": None}}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\nnot json\n")
    coded = code(tmp_path, text_field="a.b")
    assert words(coded) == Counter(["one", "two"])
    assert Counter(reason for _, reason, _ in coded.rejects) == {"no text": 2, "not JSON": 1}
    (tmp_path / "a.jsonl").unlink()
    pq.write_table(pa.table({"a": [{"b": "one", "c": 1}, {"b": "two", "c": 2}]}), tmp_path / "a.parquet")
    assert words(code(tmp_path, text_field="a.b")) == Counter(["one", "two"])


@pytest.mark.parametrize("compression", [".gz", ".bz2", ".xz", ".zst"])
def test_a_file_cut_short_is_rejected_and_the_rest_is_counted(tmp_path: Path, compression: str) -> None:
    data = COMPRESSIONS[compression]("".join(f"line {i} of many\n" for i in range(50_000)).encode())
    (tmp_path / f"bad.txt{compression}").write_bytes(data[: len(data) // 2])
    (tmp_path / "good.txt").write_text("a dog")
    coded = code(tmp_path)
    assert words(coded) == Counter(["a", "dog"])
    ((source, reason, _),) = coded.rejects
    assert source.endswith(f"bad.txt{compression}") and reason == DAMAGED
    assert coded.sums["lines"] == 1


def test_bytes_that_are_not_utf8_are_replaced_or_rejected_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"good one\nbad \xff one\nna\xc3\xafve\n")
    replaced = code(tmp_path)
    assert words(replaced) == Counter(["good", "one", "one", "bad", "\ufffd", "naïve"])
    assert replaced.sums["lines_with_replaced_bytes"] == 1
    rejected = code(tmp_path, invalid_utf8="reject")
    assert words(rejected) == Counter(["good", "one", "naïve"])
    assert [reason for _, reason, _ in rejected.rejects] == ["not UTF-8"]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("word", ["word"]),
        ("", []),
        (" \t \r\n\n", []),
        ("?! ...", ["?!", "..."]),
        ("🙂🙂 ok", ["🙂🙂", "ok"]),
        ("日本語、中文", ["日本語", "、", "中文"]),
        ("e\u0301a", ["e", "\u0301", "a"]),
        ("a\0b", ["a", "\0", "b"]),
        ("one\r\ntwo\r\n", ["one", "two"]),
        ("\ufeffone", ["one"]),
    ],
)
def test_odd_texts(tmp_path: Path, text: str, tokens: list[str]) -> None:
    (tmp_path / "a.txt").write_bytes(text.encode() or b"\n")
    assert words(code(tmp_path)) == Counter(tokens)


def test_tokenizers_and_normal_form(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("It's ﬁne, 10 ﬁles")
    assert words(code(tmp_path, tokenizer="whitespace")) == Counter(["it's", "ﬁne,", "10", "ﬁles"])
    assert words(code(tmp_path, tokenizer=r"regex:\d+|f\w+", nfkc=True)) == Counter(["fine", "10", "files"])
    assert words(code(tmp_path, nfkc=True, lower=False)) == Counter(["It", "'", "s", "fine", ",", "10", "files"])
    with pytest.raises(SpecError, match="re does not understand"):
        CountSpec(corpus=("a",), output="o", tokenizer="regex:(")


def test_a_line_in_parts_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long line is read in parts, with lines of other scripts behind it that a block would otherwise put aside."""
    monkeypatch.setattr(reading.stream_blocks, "__defaults__", (64, 200))
    text = "naïve word " * 100 + "\nshort\n" + "日本 語 " * 3 + "\nlast"
    (tmp_path / "a.txt").write_text(text)
    coded = code(tmp_path)
    assert coded.sums["positions_2"] == 199 + 0 + 5 + 0
    assert coded.sums["lines"] == 4


def test_a_piece_of_a_file_is_counted_as_its_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\nthree\n")
    spec = CountSpec(corpus=("a",), output="o", orders=(1,))
    parts = [
        coding.code_split((Piece(str(tmp_path / "a.txt"), Form(LINES), a, b),), spec) for a, b in ((0, 5), (5, 14))
    ]
    assert [words(part) for part in parts] == [Counter(["one", "two"]), Counter(["three"])]
