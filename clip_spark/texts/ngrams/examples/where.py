"""*Anywhere.* where-ngram: the lines that were kept of an n-gram, and the pictures that it tags."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import nlargest

import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.datasets.tables import Table
from clip_spark.errors import InputError
from clip_spark.texts.ngrams.counting.tokenizer import find_words, make_tokenizer
from clip_spark.texts.ngrams.examples.lines import hash_of
from clip_spark.texts.ngrams.examples.spec import WhereSpec
from clip_spark.texts.specs import CountSpec


@dataclass(frozen=True)
class Where:
    """Where an n-gram stands.

    Attributes:
        ngram: as the counts have it.
        lines: (line, file) pairs.
        pictures: (score, rank among the picture's tags, uri), the best first.
    """

    ngram: str
    lines: list[tuple[str, str]]
    pictures: list[tuple[float, int, str]]

    def tables(self) -> list[Table]:
        """*Pure.* For a person."""
        lines = Table(f"lines with '{self.ngram}'", ("line", "file"), self.lines)
        found = [(round(score, 4), rank, uri) for score, rank, uri in self.pictures]
        return [lines, *([Table("pictures", ("score", "rank", "uri"), found)] if found else [])]


def where_ngram(spec: WhereSpec) -> Where:
    """*Driver.* Look an n-gram up: of the examples one file is read, of the tags the columns that tell.

    Raises:
        InputError: nothing was kept of it.
    """
    examples = read_manifest(spec.examples, "examples")
    ngram = as_counted(examples, spec.text)
    lines = lines_of_ngram(examples, ngram)
    if not lines:
        raise InputError(
            f"'{ngram}' is none of the {examples.extra['ngrams']:,} n-grams of which '{examples.uri}' has lines."
        )
    return Where(ngram, lines, best_pictures(read_manifest(spec.tags, "tags"), ngram, spec.k) if spec.tags else [])


def as_counted(examples: Manifest, text: str) -> str:
    """*Pure.* A text in the case and the tokens of the counts."""
    form = CountSpec(corpus=(examples.uri,), output=examples.uri, **examples.extra["form"])
    return " ".join(find_words(make_tokenizer(form), text.replace("\n", " ")))


def lines_of_ngram(examples: Manifest, ngram: str) -> list[tuple[str, str]]:
    """*Anywhere.* (Line, file) of an n-gram, none where nothing was kept."""
    files = examples.files("examples")
    with storage.open_read(files[hash_of(ngram) % len(files)]) as stream:
        found = pq.read_table(stream, columns=["line", "source"], filters=[("text", "=", ngram)])
    return list(zip(*(column.to_pylist() for column in found.columns), strict=True))


def best_pictures(tags: Manifest, ngram: str, k: int) -> list[tuple[float, int, str]]:
    """*Anywhere.* The pictures that have an n-gram among their tags, the highest score first."""
    best: list[tuple[float, int, str]] = []
    for uri in tags.files("tags"):
        with storage.open_read(uri) as stream:
            found = pq.read_table(stream, columns=["score", "rank", "uri"], filters=[("text", "=", ngram)])
        rows = zip(*(column.to_pylist() for column in found.columns), strict=True)
        best = nlargest(k, [*best, *rows])
    return best
