"""Sizes and numbers as people write them: read as they are meant, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clip_spark.commands.estimate import measure
from clip_spark.commands.estimate_spec import PlanSpec
from clip_spark.datasets.sizes import amount, size_bytes
from clip_spark.errors import SpecError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("7", 7), ("7B", 7), ("1K", 1024), ("1KB", 1000), ("1kiB", 1024),
        ("512M", 512 << 20), ("500MB", 500 * 10**6), ("16g", 16 << 30), ("1.5 GB", 1_500_000_000),
        ("6T", 6 << 40), ("6TB", 6 * 10**12), ("6TiB", 6 << 40), ("1P", 1 << 50),
    ],
)  # fmt: skip
def test_a_unit_with_b_is_decimal_and_any_other_is_binary(text: str, size: int) -> None:
    assert size_bytes("x", text) == size


@pytest.mark.parametrize("text", ["", "G", "lots", "-1G", "1.5.5G", "16GiBs", "1e3", "0", "0.1B", "16 G B", "nan"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="--x is .*; give a size such as 512M or 16G"):
        size_bytes("x", text)


@given(st.integers(1, 9999), st.sampled_from("KMGT"))
def test_letters_are_the_same_with_ib_and_more_than_with_b(count: int, letter: str) -> None:
    size = size_bytes("x", f"{count}{letter}")
    assert size == size_bytes("x", f"{count}{letter.lower()}iB") > size_bytes("x", f"{count}{letter}B")


@pytest.mark.parametrize(
    ("text", "number"), [("400M", 400_000_000), ("1.5g", 1_500_000_000), ("7", 7), ("2B", 2 * 10**9), ("1e6", 10**6)]
)
def test_numbers_of_things_are_decimal(text: str, number: int) -> None:
    assert amount("texts", text) == number


@pytest.mark.parametrize("text", ["4OOM", "400MB", "inf", "-3", "M"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="--texts is .*; give a number such as 400M"):
        amount("texts", text)


def test_a_plan_reads_the_size_of_the_corpus_with_its_unit() -> None:
    assert measure(PlanSpec(corpus_bytes="6TB")).corpus_bytes == 6 * 10**12
    assert measure(PlanSpec(corpus_bytes="500MB")).corpus_bytes == 500 * 10**6
