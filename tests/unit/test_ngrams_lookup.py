"""Words to their places in a list: equal to a dictionary, whatever the hashes do."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clip_spark.texts.ngrams.counting import word_lookup as lookup
from clip_spark.texts.ngrams.counting.word_lookup import ABSENT, WordLookup, hash_words

LONG = st.tuples(st.binary(max_size=3), st.sampled_from([b"x" * 60, b"x" * 61, b"x" * 80]), st.binary(max_size=3))
WORDS = st.lists(st.binary(max_size=20) | LONG.map(b"".join), max_size=30)


def places(words: list[bytes], wanted: list[bytes]) -> list[int]:
    return WordLookup(pa.array(words, pa.binary()))(pa.array(wanted, pa.binary())).tolist()


def by_dict(words: list[bytes], wanted: list[bytes]) -> list[int]:
    known = {word: place for place, word in enumerate(words)}
    return [known.get(word, ABSENT) for word in wanted]


@given(WORDS, WORDS)
def test_it_finds_what_a_dictionary_finds(words: list[bytes], others: list[bytes]) -> None:
    words = list(dict.fromkeys(words))
    assert places(words, [*others, *words]) == by_dict(words, [*others, *words])


@given(WORDS, WORDS)
def test_equal_hashes_of_different_words_change_nothing(words: list[bytes], others: list[bytes]) -> None:
    words = list(dict.fromkeys(words))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lookup, "hash_words", lambda array: np.zeros(len(array), np.uint64))
        assert places(words, [*others, *words]) == by_dict(words, [*others, *words])


def test_words_that_are_alike_have_hashes_of_their_own() -> None:
    marks = [b"\xef\xbf\xbd" * count for count in range(1, 9)]
    alike = {
        head + mark + tail for head in (b"", *map(bytes, zip(range(128)))) for mark in marks for tail in (b"", b")")
    }
    alike |= {head + mark * count for head in (b"", b";", b"/") for mark in (b"-", b"*") for count in range(1, 100)}
    assert len(set(hash_words(pa.array(sorted(alike), pa.binary())).tolist())) == len(alike)


def test_zero_bytes_and_tails_count() -> None:
    words = [b"", b"\0", b"\0\0", b"a", b"a\0", b"a" * 8, b"a" * 8 + b"\0", b"a" * 70 + b"b", b"a" * 70 + b"c"]
    assert len(set(hash_words(pa.array(words, pa.binary())).tolist())) == len(words)


def test_a_slice_of_an_array_is_read_at_its_place() -> None:
    array = pa.array([b"zero", b"one", b"two", b"three"], pa.binary())
    assert WordLookup(array.slice(1))(array.slice(2)).tolist() == [1, 2]
