"""*Driver.* Two open indices of the same records, such as pictures and their prompts, as one object. No Spark."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from clip_spark.api.index import Index, Options, asked_of, kind_given, the_one
from clip_spark.api.options import in_python_words, plain, with_options
from clip_spark.commands.options import make_spec
from clip_spark.errors import SpecError
from clip_spark.search.hits import Hits, Wanted
from clip_spark.search.pair import Pair as OpenPair

if TYPE_CHECKING:
    from PIL.Image import Image


class Pair:
    """Two indices that know each other by record id, open for searching; thread-safe. `open_pair` makes it.

    Each hit has the columns of its own record, and as `pair_text` and so on those of the other side's.
    """

    def __init__(self, pair: OpenPair) -> None:
        self._pair = pair
        self.index, self.other = Index(pair.main), Index(pair.other)

    def search(
        self,
        text: str = "",
        *,
        image: str | os.PathLike[str] | bytes | Image | None = None,
        like: str = "",
        query: str = "",
        embedding: np.ndarray | Sequence[float] | None = None,
        **options: Unpack[Options],
    ) -> list[Hits]:
        """The hits of each side for one query, given as `Index.search` takes it; `Hits.query` says which is which.

        A record (`like`) has a vector on each side: it makes four searches if both have one encoder.

        Raises:
            SpecError: none or several ways to ask, or an option that cannot be used.
            InputError: there is no such picture or record.
        """
        ways = {"text": text, "image": image, "like": like, "query": query, "embedding": embedding}
        return self._found(ways, 0.0, options)

    def search_both(
        self,
        text: str = "",
        *,
        image: str | os.PathLike[str] | bytes | Image | None = None,
        like: str = "",
        query: str = "",
        embedding: np.ndarray | Sequence[float] | None = None,
        both_weight: float = 0.5,
        **options: Unpack[Options],
    ) -> Hits:
        """One ranking of the records that both sides have, by a mixture of both scores.

        Args:
            text: what to search for, or one of `image`, `like`, `query` and `embedding`, as `Index.search` takes it.
            both_weight: the share of the other side's score, above 0 to 1.

        Raises:
            SpecError: as `search`, or the share is none, or `unique` is given, which knows one index.
            InputError: there is no such picture or record.
        """
        if not 0 < both_weight <= 1:
            raise SpecError(f"both_weight is {both_weight:g}; it is a share, above 0 to 1.")
        if options.get("unique"):
            raise SpecError("unique knows one index; leave it out, or use `search`.")
        ways = {"text": text, "image": image, "like": like, "query": query, "embedding": embedding}
        return self._found(ways, both_weight, options)[0]

    def _found(self, ways: dict[str, Any], weight: float, options: Options) -> list[Hits]:
        name, value = the_one(ways)
        with in_python_words(Wanted, options):
            wanted = make_spec(Wanted, {key: plain(one) for key, one in options.items()})
            self._pair.check(wanted)
            if name == "like":
                return self._pair.search_like(value, wanted, weight)
            vectors = self._pair.vectors(lambda searcher: asked_of(searcher, name, value))
            words = value if name in ("text", "query") else name
            return self._pair.search(vectors, wanted, weight, words, kind_given(name, value, ""))

    def __repr__(self) -> str:
        return f"<Pair of {self.index!r} and {self.other!r}>"


with_options(Pair.search, Wanted)
with_options(Pair.search_both, Wanted)
