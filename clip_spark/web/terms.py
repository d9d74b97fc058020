"""*Server.* What a request searches for as a vector: a text, a record, a picture, numbers, or a weighted sum."""

from __future__ import annotations

import base64
import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from clip_spark.errors import SpecError
from clip_spark.search.negatives import sought
from clip_spark.search.plain_words import terms_of
from clip_spark.web.asked import QueryTerms, Term
from clip_spark.web.catalog import Catalog
from clip_spark.web.finding import Asked
from clip_spark.web.served import ServedIndex

MIXED = "mixed"
"""The kind of a query that is neither text nor picture alone."""


def asked_for(catalog: Catalog, target: ServedIndex, query: QueryTerms) -> Asked:
    """*Server.* A query of one term, or of several with weights, for an index.

    Raises:
        SpecError: it has no term, or its terms cancel each other out.
        NotFound, Rejected, ModelError: a term cannot be used.
    """
    given = query.terms if query.terms is not None else [query]
    if not given:
        raise SpecError("'terms' is empty; give at least one.")
    terms = [part for term in given for part in _in_words(term)]
    found = [_term(catalog, target, term) for term in terms]
    words = " ".join(_words(term) for term in given)
    if len(found) == 1 and terms[0].weight == 1.0:
        return Asked(found[0].vector, found[0].kind, found[0].own, words)
    asked = sought([term.weight for term in terms], [one.vector for one in found])
    kinds = {one.kind for one, term in zip(found, terms, strict=True) if term.weight > 0}
    return Asked(asked.vector, kinds.pop() if len(kinds) == 1 else MIXED, words=words, less=asked.less)


def _in_words(term: Term) -> list[Term]:
    """What a wanted text says is wanted and what is not; any other term as it is."""
    if not term.text or term.weight <= 0:
        return [term]
    return [
        term.model_copy(update={"text": part.value, "weight": part.weight * term.weight})
        for part in terms_of(term.text)
    ]


def _term(catalog: Catalog, target: ServedIndex, term: Term) -> Asked:
    given = [name for name in ("text", "like", "image", "image_url", "embedding") if getattr(term, name) is not None]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        raise SpecError(f"Each term needs one of text, like, image, image_url and embedding; found {found}.")
    if term.text is not None:
        return Asked(target.embed_text(searched_text(term.text)), "text")
    if term.like is not None:
        home = catalog.get(term.of) if term.of else target
        vector, own = catalog.embedding_of(term.like, home, target)
        return Asked(vector, home.kind, own)
    if term.embedding is not None:
        return Asked(unit(term.embedding, target.searcher.info.dim, "embedding"), MIXED)
    data = from_base64(term.image) if term.image is not None else catalog.fetched(str(term.image_url))
    return Asked(target.embed_picture(data), "image")


def searched_text(text: str) -> str:
    """*Pure.* The same text; raises SpecError for an empty one."""
    if not text.strip():
        raise SpecError("The text to search for is empty; give some words.")
    return text


def _words(term: Term) -> str:
    """A term in tables of hits: no picture's bytes, no vector's numbers."""
    what = term.text if term.text is not None else term.like or term.image_url
    shown = what if what is not None else "(picture)" if term.image is not None else "(embedding)"
    return shown if term.weight == 1.0 else f"{term.weight:+g} * {shown}"


def from_base64(text: str) -> bytes:
    """*Pure.* The bytes of a picture in base64; browsers' `data:` addresses are fine too; raises SpecError."""
    try:
        return base64.b64decode(text.rpartition(",")[2], validate=True)
    except ValueError as error:
        raise SpecError("'image' is not base64.") from error


def unit(values: Sequence[Any], dim: int, name: str) -> np.ndarray:
    """*Pure.* Numbers as a vector of length 1, float32 (dim,); raises SpecError where they cannot be one."""
    if not isinstance(values, list) or not {int, float}.issuperset(map(type, values)):
        raise SpecError(f"'{name}' must be a list of numbers.")
    try:
        length = math.hypot(*values)  # numpy would let go of Python's lock for it, and wait to get it back
    except OverflowError as error:
        raise SpecError(f"'{name}' has a number that is too large.") from error
    if len(values) != dim or not math.isfinite(length) or length < sys.float_info.min:
        raise SpecError(f"'{name}' must be {dim} finite numbers that are not all zero.")
    return (np.array(values, np.float64) / length).astype(np.float32)
