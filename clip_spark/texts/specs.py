"""*Pure.* Specs of the text half: count-ngrams, filter-ngrams, make-records."""

from __future__ import annotations

import re
from dataclasses import dataclass

from clip_spark.datasets.spec import COLUMN, TEXT, URI, Spec, check_at_least, check_choice, check_not_empty, option
from clip_spark.errors import SpecError
from clip_spark.texts.corpus.encodings import AUTO, check_encoding

ORDERS = (1, 2, 3, 4, 5)
VISIBILITY = "visibility"
RANKS = ("count", "pmi", "npmi", "log-likelihood", VISIBILITY)
PLACES = ("edges", "anywhere")
MAX_REJECTS = 1.0
MAX_REJECTS_HELP = "end as failed if a larger share of the rows is rejected, such as 0.5; everything is kept"
ENCODING_HELP = "of the text: auto (UTF-8; UTF-16 and UTF-32 by their mark or zero bytes), cp1252, utf-16, ..."


def check_share(name: str, value: float) -> None:
    """*Pure.* Raise SpecError unless `0 <= value <= 1`."""
    if not 0 <= value <= 1:
        raise SpecError(f"--{name} is {value:g}; it is a share, from 0 to 1.")


@dataclass(frozen=True, kw_only=True)
class CountSpec(Spec):
    """count-ngrams: corpus -> counts."""

    corpus: tuple[str, ...] = option(
        "text, JSON, CSV, parquet, Arrow, tar, WARC, packed or not: files, folders or globs", content=False, holds=URI
    )
    orders: tuple[int, ...] = option("lengths of the n-grams to count, 1 to 5", (1, 2, 3))
    min_count: tuple[int, ...] = option("drop n-grams seen less often: one value, or one per order", (2,))
    lower: bool = option("lower-case the text first", True)
    nfkc: bool = option("bring the text into Unicode's normal form NFKC first", False)
    tokenizer: str = option("wordpunct (nltk's), whitespace, or regex:PATTERN", "wordpunct", holds=TEXT)
    text_field: str = option(
        "column or key of the text (a.b looks inside a); for a tar the members' ending", "text", holds=COLUMN
    )
    encoding: str = option(ENCODING_HELP, AUTO)
    invalid_utf8: str = option("lines that are not UTF-8: replace the bad bytes, or reject the line", "replace")
    prune: bool = option("make it again also where files of the input are gone, without them", False, content=False)
    max_rejects: float = option(MAX_REJECTS_HELP, MAX_REJECTS, content=False)
    shards: int = option("files of the result; 0 chooses from the size of the corpus", 0, content=False)

    def __post_init__(self) -> None:
        check_not_empty("corpus", self.corpus)
        check_not_empty("orders", self.orders)
        for order in self.orders:
            check_choice("orders", order, ORDERS)
        if len(set(self.orders)) != len(self.orders):
            raise SpecError(f"--orders names a length twice: {self.orders}; give each once.")
        if len(self.min_count) not in (1, len(self.orders)):
            raise SpecError(
                f"--min-count has {len(self.min_count)} values for {len(self.orders)} orders; give one, or one each."
            )
        _check_tokenizer(self.tokenizer)
        check_not_empty("text-field", self.text_field)
        check_encoding(self.encoding)
        check_share("max-rejects", self.max_rejects)
        check_choice("invalid-utf8", self.invalid_utf8, ("replace", "reject"))
        for least in self.min_count:
            check_at_least("min-count", least, 1)
        check_at_least("shards", self.shards, 0)

    def least(self) -> dict[int, int]:
        """*Pure.* Order -> the smallest count that is kept, by rising order."""
        values = self.min_count * len(self.orders) if len(self.min_count) == 1 else self.min_count
        return dict(sorted(zip(self.orders, values[: len(self.orders)], strict=True)))


def _check_tokenizer(value: str) -> None:
    name, _, pattern = value.partition(":")
    if name != "regex":
        check_choice("tokenizer", value, ("wordpunct", "whitespace", "regex:PATTERN"))
        return
    try:
        re.compile(pattern)
    except re.error as error:
        raise SpecError(f"--tokenizer has a pattern that Python's re does not understand: {error}.") from error


@dataclass(frozen=True, kw_only=True)
class FilterSpec(Spec):
    """filter-ngrams: counts -> records."""

    counts: str = option("dataset of counts", content=False, holds=URI, kinds=("counts",))
    top: int = option("keep at most so many n-grams of each order; 0 keeps all", 10_000)
    rank: str = option("which n-grams are best: " + ", ".join(RANKS), "count")
    texts: str = option(
        "for rank visibility: embeddings of n-grams of these counts",
        "",
        content=False,
        holds=URI,
        kinds=("embeddings",),
    )
    pictures: str = option(
        "for rank visibility: embeddings of pictures like those to be tagged",
        "",
        content=False,
        holds=URI,
        kinds=("embeddings",),
    )
    orders: tuple[int, ...] = option("only n-grams of these lengths; empty keeps all", ())
    min_count: int = option("drop n-grams seen less often than this", 1)
    punctuation: str = option("drop n-grams with punctuation: keep (none is dropped), edges or anywhere", "keep")
    digits: str = option("drop n-grams with a token of digits: keep (none is dropped), edges or anywhere", "keep")
    stop_words: str = option("a language (de, en, es, fr, it, nl, pt) or a file of words; empty: none", "")
    stop_words_at: str = option("where a stop word drops an n-gram: edges or anywhere", "edges")
    min_length: int = option("drop n-grams of fewer characters", 1)
    max_length: int = option("drop n-grams of more characters; 0: no limit", 0)
    matching: str = option("keep only n-grams in which this regular expression is found", "", holds=TEXT)
    keep_list: str = option("file of n-grams, one per line; only these are kept", "", holds=URI)
    drop_list: str = option("file of n-grams, one per line; these are dropped", "", holds=URI)

    def __post_init__(self) -> None:
        check_choice("rank", self.rank, RANKS)
        self._check_visibility()
        for order in self.orders:
            check_choice("orders", order, ORDERS)
        for name in ("punctuation", "digits"):
            check_choice(name, getattr(self, name), ("keep", *PLACES))
        check_choice("stop-words-at", self.stop_words_at, PLACES)
        for name, least in (("top", 0), ("min_count", 1), ("min_length", 1), ("max_length", 0)):
            check_at_least(name.replace("_", "-"), getattr(self, name), least)
        try:
            re.compile(self.matching)
        except re.error as error:
            raise SpecError(f"--matching is a pattern that Python's re does not understand: {error}.") from error

    def _check_visibility(self) -> None:
        seen = (bool(self.texts), bool(self.pictures))
        if self.rank != VISIBILITY and any(seen):
            raise SpecError(f"--texts and --pictures are for --rank {VISIBILITY}; add it, or leave them out.")
        if self.rank == VISIBILITY and not all(seen):
            raise SpecError(
                f"--rank {VISIBILITY} needs --texts, what embed-text has made of these n-grams, and --pictures, "
                "embeddings of pictures by the same model."
            )
        if self.rank == VISIBILITY and not self.top:
            raise SpecError(f"--rank {VISIBILITY} is for keeping the best; --top must not be 0.")


@dataclass(frozen=True, kw_only=True)
class RecordsSpec(Spec):
    """make-records: rows of text -> records, duplicates removed."""

    rows: tuple[str, ...] = option(
        "text, JSON, CSV, parquet, Arrow, tar or WARC, packed or not, with one thing to embed per row",
        content=False,
        holds=URI,
    )
    text_column: str = option(
        "column that holds the text, or a list of texts (a.b looks inside a); of a list beside links it is the first",
        "text",
        holds=COLUMN,
    )
    uri_column: str = option("column that holds picture URLs; the records are then of kind image", "", holds=COLUMN)
    id_column: str = option(
        "column that tells rows apart, in place of their text or URI; the first row of each id is kept",
        "",
        later=True,
        holds=COLUMN,
    )
    where: str = option(
        "only rows that fulfil a condition, such as \"width >= 256 and lang = 'en'\"", "", later=True, holds=TEXT
    )
    sample: float = option("only this share of the rows, such as 0.01, drawn by their ids", 1.0, later=True)
    seed: int = option("of the sample", 0, later=True)
    limit: int = option("only the first so many of the rows that are left; 0: all", 0, later=True)
    encoding: str = option(ENCODING_HELP, AUTO)
    prune: bool = option("make it again also where files of the input are gone, without them", False, content=False)
    max_rejects: float = option(MAX_REJECTS_HELP, MAX_REJECTS, content=False)
    shards: int = option("files of the result; 0 chooses from the size of the input", 0, content=False)

    def __post_init__(self) -> None:
        check_not_empty("rows", self.rows)
        check_encoding(self.encoding)
        if not 0 < self.sample <= 1:
            raise SpecError(f"--sample is {self.sample:g}; it must be above 0 and at most 1, such as 0.01.")
        check_at_least("limit", self.limit, 0)
        check_at_least("seed", self.seed, 0)
        check_share("max-rejects", self.max_rejects)
        check_at_least("shards", self.shards, 0)
