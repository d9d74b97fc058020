"""filter-ngrams without Spark: scores are nltk's, each dropped n-gram has one reason, splitting changes nothing."""

from __future__ import annotations

from collections import Counter
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from nltk.metrics.association import BigramAssocMeasures, TrigramAssocMeasures

from clip_spark.datasets import schema
from clip_spark.errors import InputError, SpecError
from clip_spark.texts.ngrams.counting.tokenizer import RegexTokenizer, RunTokenizer, Tokenizer
from clip_spark.texts.ngrams.ranking import drop_reasons as cleaning
from clip_spark.texts.ngrams.ranking import score_and_cut as select
from clip_spark.texts.ngrams.ranking.drop_reasons import Lists, read_lists
from clip_spark.texts.ngrams.ranking.score_and_cut import Words
from clip_spark.texts.specs import FilterSpec

WORDPUNCT = RunTokenizer(lower=True)
SENTENCE = "the cat sat on the mat . the cat , 3 cats and the big dog saw the cat on the mat !"
TEXT = SENTENCE.split()
COUNTS = [Counter(zip(*(TEXT[i:] for i in range(n)), strict=False)) for n in (1, 2, 3)]
WORDS = Words(
    pa.array([word for (word,) in COUNTS[0]], pa.string()), np.array(list(COUNTS[0].values())), tokens=len(TEXT)
)


def table(rows: list[tuple[int, str, int]]) -> pa.Table:
    return pa.table([pa.array(column) for column in zip(*rows, strict=True)], names=schema.COUNTS.names).cast(
        schema.COUNTS
    )


ALL = table([(n, " ".join(gram), count) for n, counts in enumerate(COUNTS, 1) for gram, count in counts.items()])


def spec(**options: Any) -> FilterSpec:
    return FilterSpec(counts="c", output="o", **options)


def kept(counts: pa.Table, **options: Any) -> list[str]:
    chosen = spec(**options)
    return select.select(counts, chosen, read_lists(chosen, WORDPUNCT), WORDS).rows["text"].to_pylist()


def test_pmi_of_pairs_and_triples_is_nltks() -> None:
    for row in select.score(ALL, "pmi", WORDS).to_pylist():
        words = tuple(COUNTS[0][word,] for word in row["text"].split())
        if row["n"] == 2:
            assert row["score"] == pytest.approx(BigramAssocMeasures.pmi(row["count"], words, len(TEXT)))
        elif row["n"] == 3:
            assert row["score"] == pytest.approx(TrigramAssocMeasures.pmi(row["count"], (0, 0, 0), words, len(TEXT)))
        else:
            assert row["score"] == pytest.approx(0)


def test_log_likelihood_is_nltks() -> None:
    for row in select.score(ALL, "log-likelihood", WORDS).to_pylist():
        if row["n"] == 2:
            words = tuple(COUNTS[0][word,] for word in row["text"].split())
            expected = BigramAssocMeasures.likelihood_ratio(row["count"], words, len(TEXT))
            assert row["score"] == pytest.approx(expected)


def test_npmi_is_one_for_words_that_only_come_together() -> None:
    scores = {row["text"]: row["score"] for row in select.score(ALL, "npmi", WORDS).to_pylist()}
    assert scores["big dog"] == pytest.approx(1)
    assert all(-1 - 1e-9 <= scores[" ".join(pair)] <= 1 + 1e-9 for pair in COUNTS[1])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"punctuation": "edges"}, {"a , b", "3 a", "the a", "b the b"}),
        ({"punctuation": "anywhere"}, {"3 a", "the a", "b the b"}),
        ({"digits": "edges"}, {"a , b", ", a", "the a", "b the b"}),
        ({"stop_words": "en"}, {"b the b"}),
        ({"stop_words": "en", "stop_words_at": "anywhere"}, set()),
        ({"min_length": 5, "max_length": 5}, {"a , b", "the a"}),
        ({"matching": r"^b|,"}, {"a , b", ", a", "b the b"}),
        ({"min_count": 2}, {"the a", "b the b"}),
        ({"orders": (3,)}, {"a , b", "b the b"}),
    ],
)
def test_filters(options: dict[str, Any], expected: set[str]) -> None:
    rows = [(3, "a , b", 1), (2, ", a", 1), (2, "3 a", 1), (2, "the a", 2), (3, "b the b", 3)]
    assert set(kept(table(rows), **options)) == expected


def test_keep_and_drop_lists(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("the cat\nmat\n\n")
    path = str(tmp_path / "list.txt")
    assert set(kept(ALL, keep_list=path)) == {"the cat", "mat"}
    assert not {"the cat", "mat"} & set(kept(ALL, drop_list=path))
    for name, end in {"utf-16": "\r\n", "utf-8-sig": "\r", "utf-16-le": "\n", "cp1252": "\n"}.items():
        (tmp_path / "list.txt").write_bytes(f"the cat{end}mat{end}{end}caf\xe9{end}".encode(name))
        assert read_lists(spec(keep_list=path), WORDPUNCT).keep == {"the cat", "mat", "caf\xe9"}
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(InputError, match="is empty"):
        read_lists(spec(keep_list=str(tmp_path / "empty.txt")), WORDPUNCT)


@pytest.mark.parametrize(
    ("tokenizer", "expected"),
    [
        (WORDPUNCT, "new york ' s ﬁne"),
        (RunTokenizer(lower=False, nfkc=True), "New York ' s fine"),
        (RunTokenizer(lower=True, punctuation_apart=False), "new york's ﬁne"),
        (RegexTokenizer(r"\w+", lower=True), "new york s ﬁne"),
    ],
)
def test_entries_of_lists_take_the_form_of_the_counts(tmp_path: Path, tokenizer: Tokenizer, expected: str) -> None:
    (tmp_path / "list.txt").write_text("\ufeff  New  York's ﬁne\r\n")
    chosen = spec(keep_list=str(tmp_path / "list.txt"), drop_list=str(tmp_path / "list.txt"))
    assert read_lists(chosen, tokenizer) == Lists(keep=frozenset({expected}), drop=frozenset({expected}))


def test_a_stop_word_with_an_apostrophe_drops_its_parts(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("Don't\nÎle\n")
    lists = read_lists(spec(stop_words=str(tmp_path / "list.txt")), WORDPUNCT)
    assert lists.stop_words == {"don", "t", "île"}
    assert lists.is_stop_word("Don") and not lists.is_stop_word("'")


def test_emoji_and_marks_are_no_punctuation() -> None:
    assert not any(map(cleaning.is_punctuation, ["a", "3", "❤️", "👍🏽", "ि", "☂", ",🙂"]))
    assert all(map(cleaning.is_punctuation, ["€", "_", "--", "\0", "…", "\ufffd"]))


def test_equal_scores_are_ordered_by_count() -> None:
    """Without rounding the noise of the logarithms decides."""
    counts = table([(2, f"a{i} b{i}", i) for i in range(1, 40)])
    words = [(f"{name}{i}", i) for i in range(1, 40) for name in "ab"]
    known = Words(pa.array([word for word, _ in words]), np.array([count for _, count in words]), 10_007)
    found = select.select(counts, spec(rank="npmi"), Lists(), known).rows
    assert set(found["score"].to_pylist()) == {1.0}
    assert found["count"].to_pylist() == list(range(39, 0, -1))


def test_every_dropped_row_has_one_reason() -> None:
    chosen = spec(punctuation="anywhere", stop_words="en", digits="edges", min_count=2, top=1)
    rows, dropped = select.select(ALL, chosen, read_lists(chosen, WORDPUNCT), WORDS)
    assert rows.num_rows + sum(dropped.values()) == ALL.num_rows
    assert dropped["below the top_1"] == 1  # cat and mat come twice or more and are no stop words: cat is kept
    assert rows["text"].to_pylist()[0] == "cat"


@pytest.mark.parametrize("rank", ["count", "pmi", "npmi"])
def test_the_best_do_not_depend_on_the_shards(rank: str) -> None:
    chosen = spec(top=4, rank=rank)
    whole = select.select(ALL, chosen, Lists(), WORDS)
    shuffled = ALL.take(pa.array(np.random.default_rng(0).permutation(ALL.num_rows)))
    shards = [select.select(shuffled.slice(start, 7), chosen, Lists(), WORDS) for start in range(0, ALL.num_rows, 7)]
    merged = reduce(lambda a, b: select.merge(a, b, chosen.top), shards)
    assert merged.rows.equals(whole.rows)
    assert merged.dropped == whole.dropped


def test_an_unknown_language_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SpecError, match="de, en"):
        read_lists(spec(stop_words="eng"), WORDPUNCT)
    assert all(len(text.split()) > 80 for text in cleaning.languages().values())
