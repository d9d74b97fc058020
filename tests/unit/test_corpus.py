"""Corpora: listing, splitting and reading give every line once, however they are cut."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clip_spark.errors import InputError
from clip_spark.texts import corpus
from clip_spark.texts.corpus import CorpusFile, Piece
from clip_spark.texts.corpus.json_rows import dig
from clip_spark.texts.corpus.sniff import LINES, Form


def write(folder: Path, name: str, data: bytes) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return str(path)


def lines(piece: Piece) -> list[bytes]:
    return list(corpus.lines_of(corpus.read_blocks(piece)))


def test_folders_are_recursive_and_other_files_are_left_out(tmp_path: Path) -> None:
    for name in ("b.txt", "a/x.txt.gz", "a/picture.png", ".hidden.txt"):
        write(tmp_path, name, b"word\n")
    found = corpus.list_corpus([str(tmp_path)])
    assert [file.relative for file in found.files] == ["a/x.txt.gz", "b.txt"]
    assert found.left_out == {(".png", "picture"): 1, (".txt", "hidden, or Spark's own"): 1}


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", b"word\n")
    assert len(corpus.list_corpus([path, str(tmp_path), str(tmp_path / "*.txt")]).files) == 1


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(), lambda p: write(p, "a.txt", b"")])
def test_missing_and_empty_places_are_refused_in_one_sentence(tmp_path: Path, make: object) -> None:
    make(tmp_path / "place")  # type: ignore[operator]
    with pytest.raises(InputError, match="place"):
        corpus.list_corpus([str(tmp_path / "place")])


def test_the_fingerprint_changes_with_content_and_not_with_place(tmp_path: Path) -> None:
    one, moved, longer = (CorpusFile(uri, "a.txt", size, "7") for uri, size in (("/x", 3), ("/y", 3), ("/x", 4)))
    prints = [corpus.as_input([file], [])["fingerprint"] for file in (one, moved, longer)]
    assert prints[0] == prints[1] != prints[2]


def test_small_files_share_a_task_and_big_ones_are_cut() -> None:
    sizes = [10, 10, 10, 250, 90]
    files = [CorpusFile(f"/{i}.txt", f"{i}.txt", size, "") for i, size in enumerate(sizes)]
    splits = corpus.plan_splits(
        [*files, CorpusFile("/z.txt.gz", "z.txt.gz", 60, "")],
        100,
        lambda file: Form(LINES, ("gzip",) if file.uri.endswith(".gz") else ()),
    )
    assert [len(split) for split in splits] == [3, 1, 1, 1, 1, 1]
    assert [(p.start, p.end) for split in splits[1:4] for p in split] == [(0, 83), (83, 166), (166, 250)]


@pytest.fixture(scope="module")
def lines_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples: making a folder for each is slow on a busy machine."""
    return tmp_path_factory.mktemp("lines")


@given(st.binary(max_size=200).map(lambda b: b.replace(b"\xef", b"\n")), st.integers(1, 60), st.integers(1, 50))
def test_every_line_is_read_once_wherever_ranges_and_blocks_end(
    lines_folder: Path, data: bytes, split_bytes: int, block_bytes: int
) -> None:
    path = write(lines_folder, "a.txt", data)
    files = [CorpusFile(path, "a.txt", len(data), "")]
    blocks = [
        list(corpus.read_blocks(piece, block_bytes))
        for split in corpus.plan_splits(files, split_bytes, lambda file: Form(LINES))
        for piece in split
    ]
    assert b"".join(block for piece in blocks for block in piece) == data
    assert all(block.endswith(b"\n") for piece in blocks for block in piece[:-1])


def test_a_byte_order_mark_is_not_text(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", b"\xef\xbb\xbfone\ntwo")
    assert lines(Piece(path)) == [b"one", b"two"]
    assert lines(Piece(path, None, 0, 7)) == [b"one"]
    assert lines(Piece(path, None, 7, 10)) == [b"two"]


def test_a_line_longer_than_a_block_is_read_in_parts(tmp_path: Path) -> None:
    line = b"word " * 1000
    path = write(tmp_path, "a.txt", b"first\n" + line + b"\nlast")
    blocks = list(corpus.read_blocks(Piece(path), block_bytes=100, long_line_bytes=300))
    assert b"".join(blocks) == b"first\n" + line + b"\nlast"
    assert max(map(len, blocks)) < 600
    assert lines(Piece(path)) == [b"first", line, b"last"]


def test_json_in_a_column_of_text_is_looked_into() -> None:
    row = '{"raw_discord_data": {"image_uri": "http://a/b.jpg"}, "prompts": ["x", "y"]}'
    assert dig(row, "raw_discord_data.image_uri") == "http://a/b.jpg"
    assert dig(row, "prompts") == ["x", "y"]
    assert dig("{cut", "a") is None and dig("plain", "a") is None
