"""*Worker.* The search command: a spec in, hits out. No Spark."""

from __future__ import annotations

import numpy as np

from clip_spark import storage
from clip_spark.errors import InputError, Rejected, SpecError
from clip_spark.expression import Term, parse_expression
from clip_spark.search import Hit, Searcher, Wanted
from clip_spark.specs.search import SearchSpec

Answer = tuple[str, list[Hit]]
"""A query as the user wrote it, and its hits."""


def run_query(spec: SearchSpec) -> list[Answer]:
    """*Worker.* Open the index and answer all queries of a command."""
    searcher = Searcher.open(spec.index, verify=spec.verify)
    wanted = Wanted(spec.k, spec.offset, spec.threshold, spec.where, spec.unique)
    if spec.like:
        return [(f"like {spec.like}", searcher.search_like_wanted(spec.like, wanted))]
    queries = queries_of(spec)
    vectors = np.stack([combine(searcher, terms) for _, terms in queries])
    return list(zip([name for name, _ in queries], searcher.search(vectors, wanted), strict=True))


def queries_of(spec: SearchSpec) -> list[tuple[str, list[Term]]]:
    """*Worker.* The queries of a command: how they are called, and their terms."""
    if spec.text:
        return [(spec.text, [Term(1.0, "text", spec.text)])]
    if spec.image:
        return [(spec.image, [Term(1.0, "image", spec.image)])]
    if spec.query:
        return [(spec.query, parse_expression(spec.query))]
    lines = [line.strip() for line in read_file(spec.batch, "file of queries").decode().splitlines()]
    found = [(line, [Term(1.0, "text", line)]) for line in lines if line]
    if not found:
        raise InputError(f"'{spec.batch}' holds no queries; write one text per line.")
    return found


def combine(searcher: Searcher, terms: list[Term]) -> np.ndarray:
    """*Worker.* The unit vector of the weighted sum of terms, float32 (d,).

    Raises:
        SpecError: the terms cancel each other out.
    """
    total = sum(term.weight * embed(searcher, term).astype(np.float64) for term in terms)
    length = float(np.linalg.norm(total))
    if length < 1e-6:
        raise SpecError("The terms of this query cancel each other out; nothing is left to search for.")
    return (np.asarray(total) / length).astype(np.float32)


def embed(searcher: Searcher, term: Term) -> np.ndarray:
    """*Worker.* The embedding of one term, float32 (d,)."""
    if term.kind == "text":
        return searcher.embed_text(term.value)
    if term.kind == "like":
        return searcher.embedding_of(term.value)
    try:
        return searcher.encoder.encode_images([read_file(term.value, "picture")])[0]
    except Rejected as error:
        raise InputError(f"'{term.value}' cannot be used as a picture: {error.message}.") from error


def read_file(uri: str, what: str) -> bytes:
    """*Worker.* A file that the user named; raises InputError when it is not there."""
    try:
        return storage.read_bytes(uri)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(f"The {what} '{uri}' does not exist.") from error
