"""*Pure.* The spec of search."""

from __future__ import annotations

from dataclasses import dataclass

from clip_spark.datasets.spec import URI, check_at_least, check_ending, check_not_empty, option
from clip_spark.errors import SpecError
from clip_spark.search.hits import Wanted

WAYS = ("text", "image", "like", "query", "batch")
"""The options that are a query; one of them is given, none for a prompt."""
PREFIX = "pair_"
"""Before the columns of the other side of a pair."""
SAVED, SHEETS = ("jsonl", "csv", "parquet"), ("html", "png")


ONE_OF = f"Give one of {', '.join(f'--{name}' for name in WAYS)};"


@dataclass(frozen=True, kw_only=True)
class SearchSpec(Wanted):
    """search: query -> hits, in the terminal."""

    index: str = option("index to search, a folder that build-index made", holds=URI, kinds=("index",))
    text: str = option(
        "search for a text, also 'a beach without people'; words in double quotes are taken to the letter", ""
    )
    image: str = option("search for a picture", "", holds=URI)
    like: str = option("search for what is like a record of the index (its record_id)", "")
    query: str = option('weighted query, such as \'"beach" + 0.5 * sea.jpg - "people"\'; what - names is left out', "")
    batch: str = option(
        "file with one text to search for per line, or a .npy with one embedding per row", "", holds=URI
    )
    pair: str = option(
        "index of the same records' other side, as prompts are of pictures: it is searched too, and hits show both",
        "",
        holds=URI,
        kinds=("index",),
    )
    both_weight: float = option("with --pair, one ranking of both: the share of --pair in a score, above 0 to 1", 0.0)
    save: str = option("also write the hits to a file: .jsonl, .csv or .parquet", "", holds=URI)
    show: str = option("also write a contact sheet of the hits' pictures: .html or .png", "", holds=URI)
    server: bool = option(
        "a running `clip-spark serve` of yours over this index answers, in a fraction of the time", True
    )
    fetch: bool = option(
        "of an index in an object store fetch all files first, to keep; else only what the query needs is read", False
    )
    verify: bool = option("read the whole index first and compare its hashes", False)

    def __post_init__(self) -> None:
        check_not_empty("index", self.index)
        check_at_least("k", self.k, 1)
        check_at_least("offset", self.offset, 0)
        if len(self.asked) > 1:
            raise SpecError(f"{ONE_OF} found {' and '.join(f'--{name}' for name in self.asked)}.")
        self._check_pair()
        if self.save:
            check_ending("save", self.save, SAVED)
        if self.show:
            check_ending("show", self.show, SHEETS)

    @property
    def shown_columns(self) -> tuple[str, ...]:
        """*Pure.* The columns that were asked for, of both sides of a pair; empty for those that people look at."""
        return (*self.columns, *(f"{PREFIX}{name}" for name in self.columns if self.pair))

    def _check_pair(self) -> None:
        if not 0 <= self.both_weight <= 1:
            raise SpecError(f"--both-weight is {self.both_weight:g}; it is a share, from 0 to 1.")
        if self.both_weight and not self.pair:
            raise SpecError("--both-weight mixes two indices; name the other one with --pair.")
        if self.relevant and self.pair:
            raise SpecError("--relevant knows one index; leave it or --pair out.")
        if self.both_weight and self.unique:
            raise SpecError("--unique knows one index; leave it or --both-weight out.")

    @property
    def asked(self) -> list[str]:
        """*Pure.* The options of WAYS that are given."""
        return [name for name in WAYS if getattr(self, name)]
