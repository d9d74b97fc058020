"""The engine of count-ngrams, without Spark: tokens equal nltk's, keys and runs lose and invent nothing."""

from __future__ import annotations

import re
from collections import Counter
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clip_spark.texts.corpus import Piece
from clip_spark.texts.ngrams.counting import code_split as coding
from clip_spark.texts.ngrams.counting import sorted_runs as runs
from clip_spark.texts.ngrams.counting import vocabulary
from clip_spark.texts.ngrams.counting.characters import CODE_POINTS, class_table, classed
from clip_spark.texts.ngrams.counting.coded_split import read_coded, write_coded
from clip_spark.texts.ngrams.counting.packed_keys import Layout, slices
from clip_spark.texts.ngrams.counting.source import Source
from clip_spark.texts.ngrams.counting.token_codes import FOLD_TOKENS, TokenCodes
from clip_spark.texts.ngrams.counting.tokenizer import RegexTokenizer, RunTokenizer, Tokens
from clip_spark.texts.specs import CountSpec

LINES = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("aB_1.,- \t\n\r\x00\x1c\u2028\u0301ßİΣσ🙂日"))
)


def lines_of(tokens: Tokens) -> list[tuple[str, ...]]:
    """Lines that have tokens."""
    found = groupby(tokens.words(), lambda word: word.startswith("\n"))
    return [tuple(line) for is_end, line in found if not is_end]


def wordpunct_tokenize(text: str) -> list[str]:
    """nltk's pattern with Python's `re`; nltk 3.10 itself compiles it with `regex`, whose word characters differ."""
    return re.findall(r"\w+|[^\w\s]+", text)


@given(LINES, st.booleans(), st.booleans())
def test_tokens_are_those_of_nltk_on_every_text(text: str, lower: bool, ends_with_line: bool) -> None:
    text = text.lstrip("\ufeff") + ("\n" if ends_with_line else "")
    expected = [tuple(wordpunct_tokenize(line.lower() if lower else line)) for line in text.split("\n")]
    assert lines_of(RunTokenizer(lower=lower)(text.encode())) == list(filter(None, expected))


@pytest.mark.parametrize("beside", ["", "plain words " * 9], ids=["widened", "as bytes"])
def test_lower_case_is_that_of_str_for_all_code_points(beside: str) -> None:
    letters = [chr(point) for point in range(CODE_POINTS) if not 0xD800 <= point < 0xE000]
    texts = ["".join(beside + letter for letter in letters[at : at + 64]) for at in range(0, len(letters), 64)]
    for text in [*texts, *(beside + letter for letter in letters if letter.lower() != letter)]:
        assert classed(text.encode(), class_table(), lower=True).data == text.lower().encode()


@given(st.lists(st.lists(st.text("ab\0\u00e9\uffff", min_size=1, max_size=20)), max_size=20), st.integers(0, 9))
def test_numbers_of_tokens_are_those_of_first_appearance(blocks: list[list[str]], repeats: int) -> None:
    blocks = [block * 2**repeats for block in blocks]
    codes = TokenCodes()
    for number, block in enumerate(blocks):
        codes.add(tokens_of(block))
        if number % 3 == 0:  # a file that is left out
            known = len(codes)
            codes.add(tokens_of(["damaged"]))
            codes.forget(known)
    words, found = codes.finish()
    text = [word.encode() for block in blocks for word in block]
    assert words.take(pa.array(found)).to_pylist() == text
    assert words.filter(pc.not_equal(words, b"damaged")).to_pylist() == list(dict.fromkeys(text))


def tokens_of(words: list[str]) -> Tokens:
    return RegexTokenizer(r"[^ ]+", lower=False)(" ".join(words).encode()) if words else RunTokenizer(lower=True)(b"")


def test_tokens_that_are_found_again_have_their_numbers() -> None:
    numbers = range(2 * FOLD_TOKENS)
    text = [word for n in numbers for word in (f"w{n % 70_000}", f"{'long' * (n % 3)}word{n % 30_000}")]
    codes = TokenCodes()
    for at in range(0, len(text), 1000):
        codes.add(RunTokenizer(lower=True)(" ".join(text[at : at + 1000]).encode()))
    words, found = codes.finish()
    assert [word.decode() for word in words.to_pylist()] == list(dict.fromkeys(text))
    assert words.take(pa.array(found)).to_pylist() == [word.encode() for word in text]


def test_classes_are_those_of_re_for_all_code_points() -> None:
    everything = "".join(map(chr, range(CODE_POINTS)))
    expected = np.full(CODE_POINTS, 2, np.uint8)
    for name, pattern in ((1, r"\w+"), (0, r"\s+")):
        for found in re.finditer(pattern, everything):
            expected[found.start() : found.end()] = name
    expected[ord("\n")] = 3
    assert np.array_equal(class_table(), expected)


def test_a_regex_tokenizer_finds_what_findall_finds() -> None:
    tokens = RegexTokenizer(r"[a-z]+", lower=True)(b"One 2 three\n4\nFive")
    assert lines_of(tokens) == [("one", "three"), ("five",)]


def test_a_split_as_numbers_is_the_text(tmp_path: Path) -> None:
    text = "one two\n\nnaïve two ; one\nlast"
    (tmp_path / "a.txt").write_text(text)
    spec = CountSpec(corpus=("x",), output="x", orders=(1, 2))
    coded, sums, _ = coding.code_split((Piece(str(tmp_path / "a.txt"), None),), spec)
    words = [word.decode() for word in coded.words.take(pa.array(coded.codes)).to_pylist()]
    assert sorted(word for word in words if "\n" not in word) == sorted(wordpunct_tokenize(text))
    expected = {"bytes": len(text.encode()), "lines": 4, "tokens": 7, "positions_1": 7, "positions_2": 4}
    assert sums == {**expected, "form: text": 1}
    write_coded(str(tmp_path / "x"), coded)
    again = read_coded(str(tmp_path / "x"))
    assert again is not None
    assert again.words.equals(coded.words)
    assert np.array_equal(again.codes, coded.codes) and np.array_equal(again.counts, coded.counts)


def test_a_damaged_work_file_is_never_read_wherever_the_damage_is(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one two one\nthree\n")
    split, spec = (Piece(str(tmp_path / "a.txt"), None),), CountSpec(corpus=("x",), output="x")
    work = tmp_path / "00000.arrow"
    source = Source(spec, str(tmp_path), str(tmp_path / "out"), "plan", shards=2)
    codes = source.read((0, split)).codes
    whole = work.read_bytes()
    for place in range(len(whole)):
        work.write_bytes(whole[:place])
        assert read_coded(str(work)) is None
        work.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert read_coded(str(work)) is None
    assert np.array_equal(source.read((0, split)).codes, codes)  # from the corpus
    assert read_coded(str(work)) is not None


@pytest.mark.parametrize("parts", [1, 3, 100])
def test_words_are_dealt_out_by_their_bytes_alone(parts: int) -> None:
    words = pa.array([b"", b"a", b"\0", b"longer than eight", b"a\0", b"longer t"], pa.binary())
    found = vocabulary.part_of_words(words, parts)
    assert ((found >= 0) & (found < parts)).all()
    assert np.array_equal(vocabulary.part_of_words(words.slice(2), parts), found[2:])


@pytest.mark.parametrize(
    ("bits", "order", "different"),
    [(8, 2, 200), (19, 3, 4000), (19, 5, 30), (25, 5, 50), (32, 5, 9), (16, 4, 9), (10, 5, 9), (21, 3, 5)],
)
def test_keys_count_every_order_once(bits: int, order: int, different: int) -> None:
    """Packed, sorted, sent, merged and cut into shards, the keys give the n-grams of a Counter."""
    rng = np.random.default_rng(bits)
    text = rng.integers(0, different, 2000).astype(np.uint64)
    text[rng.random(len(text)) < 0.3] = (1 << bits) - 1  # the largest number, and a skewed one
    layout = Layout(bits, order)
    padded = np.concatenate([text, np.zeros(order - 1, np.uint64)])
    halves = [layout.pack(padded[: 1000 + order - 1]), layout.pack(padded[1000:])]
    sent = [runs.decode(runs.encode(runs.count_keys(half))) for half in halves]
    merged = runs.merge_all([*sent, runs.empty(layout)], layout)
    for n in range(2, order + 1):
        windows = [tuple(text[i : i + n].tolist()) for i in range(len(text) - n + 1)]
        found: Counter[tuple[int, ...]] = Counter()
        for rows in slices(layout.cuts(merged.columns, 7)):
            of_order = runs.prefixes(merged.slice(rows), layout, n)
            words = [layout.word(of_order.columns, place).tolist() for place in range(n)]
            for *gram, count in zip(*words, of_order.counts.tolist(), strict=True):
                assert tuple(gram) not in found
                found[tuple(gram)] = count
        assert found == Counter(window for window in windows if 0 not in window)


def test_counts_beyond_a_byte_survive_the_wire() -> None:
    run = runs.Run((np.array([3, 9, 2**63], np.uint64),), np.array([1, 255, 10**12]))
    again = runs.decode(runs.encode(run))
    assert np.array_equal(again.columns[0], run.columns[0]) and np.array_equal(again.counts, run.counts)


@pytest.mark.parametrize("bits", [3, 57, 63, 64])
def test_merged_counts_are_sums_however_few_bits_keys_leave_free(bits: int) -> None:
    rng = np.random.default_rng(bits)
    layout, expected, parts = Layout(8, 2), Counter[int](), []
    for _ in range(4):
        keys = np.unique(rng.integers((1 << bits) - 8, 1 << bits, 6, np.uint64))
        counts = rng.choice([1, 2, 64, 65, 127, 128, 129, 10**12], len(keys))
        parts.append(runs.Run((keys,), counts))
        expected.update(dict(zip(keys.tolist(), counts.tolist(), strict=True)))
    merged = runs.merge_all(parts, layout)
    assert dict(zip(merged.columns[0].tolist(), merged.counts.tolist(), strict=True)) == expected
    assert merged.columns[0].tolist() == sorted(expected)
