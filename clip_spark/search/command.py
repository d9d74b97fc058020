"""*Worker.* The search command: a spec in, hits out. No Spark."""

from __future__ import annotations

import io
import logging
import zipfile
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from clip_spark import storage
from clip_spark.datasets import schema
from clip_spark.errors import InputError, Rejected, SpecError
from clip_spark.index.open.selection import check_where
from clip_spark.search.expression import Term, parse_expression
from clip_spark.search.hits import Hits, Wanted
from clip_spark.search.negatives import Sought, sought
from clip_spark.search.plain_words import terms_of
from clip_spark.search.searcher import Searcher
from clip_spark.search.spec import ONE_OF, SearchSpec

log = logging.getLogger(__name__)

SHEET_COLUMNS = ("uri", "caption", "text", "offset", "size")
"""What a contact sheet needs of a record."""


def run_query(spec: SearchSpec) -> list[Hits]:
    """*Worker.* Open the index and answer all queries of a command; raises SpecError where there is none."""
    if not spec.asked:
        raise SpecError(f"{ONE_OF} found none. On a terminal, none opens a prompt.")
    if spec.pair:
        from clip_spark.search.pair import run_paired

        return run_paired(spec)
    searcher = Searcher.open(spec.index, verify=spec.verify, fetch=spec.fetch)
    if spec.where:  # a mistake in it is found here, before a model is loaded
        check_where(searcher.records, spec.where)
    return answer(searcher, spec, columns_of(searcher, spec))


def answer(searcher: Searcher, spec: SearchSpec, columns: tuple[str, ...]) -> list[Hits]:
    """*Worker.* The hits of all queries of a command, with some columns of their records (none means all)."""
    wanted = spec.wanted(columns=columns)
    if spec.like:
        return [replace(searcher.search_like_wanted(spec.like, wanted), query=f"like {spec.like}")]
    asked = named_queries(searcher, spec)
    found = searcher.search(
        np.stack([one.vector for _, one in asked]),
        wanted,
        kind=kind_asked(spec, searcher.info.modality),
        less=[one.less for _, one in asked],
    )
    for (name, one), hits in zip(asked, found, strict=True):
        if wanted.relevant and not hits:
            _tell_best(searcher, spec, name, one.vector)
    return [replace(hits, query=name) for (name, _), hits in zip(asked, found, strict=True)]


def _tell_best(searcher: Searcher, spec: SearchSpec, name: str, vector: np.ndarray) -> None:
    """Say what a query for which nothing is relevant has found best."""
    best = Wanted(k=1, where=spec.where, columns=(schema.RECORD_ID,))
    for hit in searcher.search(vector[None], best, kind=kind_asked(spec, searcher.info.modality))[0]:
        log.warning(
            "nothing is relevant to '%s': the best has the cosine %.3f, and %.2g of unrelated pairs score as high",
            *(name, hit.score, hit.chance),
        )


def named_queries(searcher: Searcher, spec: SearchSpec) -> list[tuple[str, Sought]]:
    """*Worker.* The queries of a command but for --like: how they are called, and what they are."""
    if spec.batch.endswith(".npy"):
        rows = enumerate(read_vectors(spec.batch))
        return [(f"{storage.name(spec.batch)} row {row}", Sought(one)) for row, one in rows]
    return [(name, combine(searcher, terms)) for name, terms in queries_of(spec)]


def kind_asked(spec: SearchSpec, own: str) -> str:
    """*Pure.* What the queries of a command but for --like are: `text`, `image`, or nothing where it is not known.

    Args:
        spec: of the command.
        own: kind of the index' records.
    """
    if spec.query:
        return kind_of(parse_expression(spec.query), own)
    return "" if spec.batch.endswith(".npy") else "image" if spec.image else "text"


def kind_of(terms: Sequence[Term], own: str) -> str:
    """*Pure.* What a weighted sum is: the kind that all of its wanted terms have, or nothing; `own` is of records."""
    kinds = {own if term.kind == "like" else term.kind for term in terms if term.weight > 0}
    return kinds.pop() if len(kinds) == 1 else ""


def columns_of(searcher: Searcher, spec: SearchSpec) -> tuple[str, ...]:
    """*Worker.* Columns of the records that a command needs; none means all."""
    searcher.records.check_columns(spec.columns)
    if not spec.columns:
        return ()
    for_pictures = [name for name in SHEET_COLUMNS if spec.show and name in searcher.records.columns]
    return tuple(dict.fromkeys([schema.RECORD_ID, *spec.columns, *for_pictures]))


def read_vectors(uri: str) -> np.ndarray:
    """*Worker.* Embeddings in a .npy file, float32 (n, d)."""
    try:
        vectors = np.load(io.BytesIO(read_file(uri, "file of embeddings")), allow_pickle=False)
        if not isinstance(vectors, np.ndarray):
            raise ValueError("several arrays")
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"'{uri}' is not a .npy file of numbers; write one with numpy.save.") from error
    if vectors.ndim != 2 or vectors.dtype.kind != "f" or len(vectors) == 0:
        raise InputError(f"'{uri}' holds {vectors.dtype} of shape {vectors.shape}; it must hold floats (n, d).")
    return vectors.astype(np.float32)


def queries_of(spec: SearchSpec) -> list[tuple[str, list[Term]]]:
    """*Worker.* The queries of a command: how they are called, and their terms."""
    if spec.text:
        return [(spec.text, terms_of(spec.text))]
    if spec.image:
        return [(spec.image, [Term(1.0, "image", spec.image)])]
    if spec.query:
        return [(spec.query, parse_expression(spec.query))]
    text = storage.decode_text(read_file(spec.batch, "file of queries"))
    if "\0" in text:
        raise InputError(f"'{spec.batch}' is no text; write one query per line, or embeddings as .npy with numpy.save.")
    lines = [line.strip() for line in text.splitlines()]
    found = [(line, terms_of(line)) for line in lines if line]
    if not found:
        raise InputError(f"'{spec.batch}' holds no queries; write one text per line.")
    return found


def combine(searcher: Searcher, terms: Sequence[Term]) -> Sought:
    """*Worker.* What some terms ask for; raises SpecError where what is wanted cancels itself out."""
    return sought([term.weight for term in terms], [embed(searcher, term) for term in terms])


def embed(searcher: Searcher, term: Term) -> np.ndarray:
    """*Worker.* The embedding of one term, float32 (d,)."""
    if term.kind == "text":
        return searcher.embed_text(term.value)
    if term.kind == "like":
        return searcher.embedding_of(term.value)
    try:
        return searcher.embed_picture(read_file(term.value, "picture"))
    except Rejected as error:
        raise InputError(f"'{term.value}' cannot be used as a picture: {error.message}.") from error


def read_file(uri: str, what: str) -> bytes:
    """*Worker.* A file that the user named; raises InputError when it is not there."""
    try:
        return storage.read_bytes(uri)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(f"The {what} '{uri}' does not exist.") from error
