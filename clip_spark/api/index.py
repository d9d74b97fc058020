"""*Driver.* An open index as an object: search it by words, pictures, records, embeddings or a mixture. No Spark."""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np

from clip_spark.api.options import in_python_words, plain, with_options
from clip_spark.commands.options import make_spec
from clip_spark.errors import SpecError
from clip_spark.search.command import combine, embed, kind_of
from clip_spark.search.expression import Term, parse_expression
from clip_spark.search.hits import Hits, Wanted
from clip_spark.search.negatives import Sought
from clip_spark.search.plain_words import terms_of

if TYPE_CHECKING:
    from PIL.Image import Image

    from clip_spark.search.searcher import Searcher

WAYS = ("text", "image", "like", "query", "embedding")


class Options(TypedDict, total=False):
    """Which hits are wanted; the defaults are those of `Wanted`."""

    k: int
    threshold: float
    where: str
    unique: float
    relevant: float
    raw: bool
    quarantine_hubs: bool
    offset: int
    columns: str | Sequence[str]


class Index:
    """An index that is open for searching; thread-safe. `open_index` makes it."""

    def __init__(self, searcher: Searcher) -> None:
        self.searcher = searcher

    @property
    def uri(self) -> str:
        """The folder."""
        return self.searcher.manifest.uri

    @property
    def rows(self) -> int:
        """Records in it; those that were removed are not counted."""
        return self.searcher.rows

    @property
    def kind(self) -> str:
        """`image` or `text`."""
        return self.searcher.info.modality

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of its records, which `where` and `columns` may name."""
        return tuple(self.searcher.records.columns)

    @property
    def encoder(self) -> Any:
        """The encoder that it was built with; loaded at first use."""
        return self.searcher.encoder

    def search(
        self,
        text: str = "",
        *,
        image: str | os.PathLike[str] | bytes | Image | None = None,
        like: str = "",
        query: str = "",
        embedding: np.ndarray | Sequence[float] | None = None,
        **options: Unpack[Options],
    ) -> Hits:
        """The hits of one query: give one of `text`, `image`, `like`, `query` and `embedding`.

        Args:
            text: words to search for, such as `a beach without people`; in double quotes they are taken to the letter.
            image: a picture: a path or URI, the bytes of a file, or a PIL image.
            like: record_id of a record of the index, which is itself no hit.
            query: a weighted mixture, such as `'"beach" + 0.5 * sea.jpg - "people"'`.
            embedding: float (d,), of length 1.

        Raises:
            SpecError: none or several ways to ask, or an option that cannot be used.
            InputError: there is no such picture or record.
        """
        ways = {"text": text, "image": image, "like": like, "query": query, "embedding": embedding}
        name, value = the_one(ways)
        with in_python_words(Wanted, options):
            wanted = self._wanted(options)
            if name == "like":
                return replace(self.searcher.search_like_wanted(value, wanted), query=f"like {value}")
            asked, kind = asked_of(self.searcher, name, value), kind_given(name, value, self.kind)
            hits = self.searcher.search(asked.vector[None], wanted, kind=kind, less=[asked.less])[0]
        return replace(hits, query=value if name in ("text", "query") else "")

    def embed(self, text: str) -> np.ndarray:
        """The embedding of a text by the encoder of the index, float32 (d,), of length 1."""
        return self.searcher.embed_text(text)

    def search_many(self, queries: Sequence[str] | np.ndarray, **options: Unpack[Options]) -> list[Hits]:
        """The hits of many queries at once: texts, or embeddings float32 (n, d) with rows of length 1.

        For millions there is `search_index`, which runs on Spark. Raises SpecError as `search` does.
        """
        with in_python_words(Wanted, options):
            wanted = self._wanted(options)
            if isinstance(queries, np.ndarray):
                return self.searcher.search(queries.astype(np.float32, copy=False), wanted)
            if not len(queries):
                return []
            asked = [asked_of(self.searcher, "text", text) for text in queries]
            vectors, less = np.stack([one.vector for one in asked]), [one.less for one in asked]
            found = self.searcher.search(vectors, wanted, kind="text", less=less)
        return [replace(hits, query=text) for hits, text in zip(found, queries, strict=True)]

    def _wanted(self, options: Options) -> Wanted:
        wanted = make_spec(Wanted, {name: plain(value) for name, value in options.items()})
        self.searcher.records.check_columns(wanted.columns)
        return wanted

    def __repr__(self) -> str:
        return f"<Index of {self.rows:,} {self.kind}s in '{self.uri}'>"

    def _repr_html_(self) -> str:
        """*Driver.* What a notebook shows."""
        model = str(self.searcher.info.encoder["model"])
        head = f"<b>index</b> {self.rows:,} {self.kind}s, model {html.escape(model)}"
        return f"{head}<br><code>{html.escape(self.uri)}</code><br>columns: {html.escape(', '.join(self.columns))}"


def asked_of(searcher: Searcher, name: str, value: Any) -> Sought:
    """*Driver.* A query as an index understands it.

    Args:
        searcher: of the index.
        name: one of WAYS, but for `like`.
        value: what was given under that name.
    """
    if name == "embedding":
        return Sought(np.asarray(value, np.float32))
    if name in ("query", "text"):
        return combine(searcher, parse_expression(value) if name == "query" else terms_of(value))
    if isinstance(value, (str, os.PathLike)):
        return Sought(embed(searcher, Term(1.0, "image", os.fspath(value))))
    return Sought(searcher.embed_picture(value))


def kind_given(name: str, value: Any, own: str) -> str:
    """*Pure.* What a query is, `text`, `image` or nothing where it is not known; `own` is the kind of records."""
    return kind_of(parse_expression(value), own) if name == "query" else name if name in ("text", "image") else ""


def the_one(ways: dict[str, Any]) -> tuple[str, Any]:
    """*Pure.* The one way to ask that is given; raises SpecError for none or several."""
    given = [name for name, value in ways.items() if value is not None and not (isinstance(value, str) and not value)]
    if len(given) != 1:
        raise SpecError(f"Give one of {', '.join(ways)}; found {' and '.join(given) or 'none'}.")
    return given[0], ways[given[0]]


with_options(Index.search, Wanted)
with_options(Index.search_many, Wanted)
