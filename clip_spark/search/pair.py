"""*Worker.* Two indices of one set of records: the pictures and the prompts that they came from, known by record id.

A query goes to both, each hit shows the record of the other side too, and one ranking can be made of both scores.
"""

from __future__ import annotations

import numpy as np

from clip_spark.datasets import schema
from clip_spark.errors import ClipSparkError, InputError, SpecError
from clip_spark.index.open.selection import check_where
from clip_spark.search.command import named_queries
from clip_spark.search.hits import Hits, Wanted
from clip_spark.search.mixed import best_of_both
from clip_spark.search.searcher import Searcher
from clip_spark.search.sides import Side, hits_of_both, told
from clip_spark.search.spec import SearchSpec


def run_paired(spec: SearchSpec) -> list[Hits]:
    """*Worker.* Answer all queries of a command with --pair: for each, hits of both sides, or one mixed ranking.

    A record that is the query (--like) has a vector on each side, so it makes four searches: each vector on each side.

    Raises:
        InputError, SpecError: an index is missing, or an option fits neither side.
    """
    main, other = Searcher.open(spec.index, verify=spec.verify), Searcher.open(spec.pair, verify=spec.verify)
    sides = _sides(main, other, spec)
    for side in sides if spec.where else ():
        _check_where(side, spec.where)
    wanted = spec.wanted(columns=())
    if spec.like:
        return _like(sides, spec, wanted)
    asked = named_queries(main, spec)
    again = asked if _one_space(sides) else named_queries(other, spec)
    found = list[Hits]()
    for (name, vector), (_, twin) in zip(asked, again, strict=True):
        found += _answers(sides, (vector, twin), wanted, spec.both_weight, name)
    return found


def _answers(
    sides: tuple[Side, Side], vectors: tuple[np.ndarray, np.ndarray], wanted: Wanted, weight: float, name: str
) -> list[Hits]:
    if weight:
        positions, scores = best_of_both(sides, vectors, wanted, weight)
        return [told(*sides, positions, scores, wanted.offset, f"{name} in both")]
    return [
        hits_of_both(side, partner, vector, wanted, f"{name} in {side.name}")
        for side, partner, vector in zip(sides, sides[::-1], vectors, strict=True)
    ]


def _like(sides: tuple[Side, Side], spec: SearchSpec, wanted: Wanted) -> list[Hits]:
    vectors = [_vector_of(side, spec.like) for side in sides]
    if all(vector is None for vector in vectors):
        sides[0].searcher.embedding_of(spec.like)  # its sentence says what is wrong
    if spec.both_weight:
        first, second = vectors
        if first is None or second is None:
            raise InputError(f"The record '{spec.like}' is on one side only; --both-weight needs it on both.")
        return _answers(sides, (first, second), wanted, spec.both_weight, f"like {spec.like}")
    found = list[Hits]()
    for home, vector in zip(sides, vectors, strict=True):
        for side, partner in (sides, sides[::-1]):
            if vector is not None and (side is home or _one_space(sides)):
                name = f"like {spec.like} of {home.name} in {side.name}"
                found.append(hits_of_both(side, partner, vector, wanted, name, spec.like))
    return found


def _vector_of(side: Side, record_id: str) -> np.ndarray | None:
    try:
        return side.searcher.embedding_of(record_id)
    except InputError:
        return None


def _sides(main: Searcher, other: Searcher, spec: SearchSpec) -> tuple[Side, Side]:
    """*Driver.* Both sides with the columns to show; raises SpecError for a column that neither has."""
    if not spec.columns:
        return Side(main, None), Side(other, None)
    known = [*main.records.columns, *other.records.columns]
    schema.check_columns(spec.columns, list(dict.fromkeys(known)))
    first, second = (
        Side(one, tuple(name for name in spec.columns if name in one.records.columns)) for one in (main, other)
    )
    return first, second


def _check_where(side: Side, where: str) -> None:
    try:
        check_where(side.searcher.records, where)
    except ClipSparkError as error:
        raise SpecError(f"--where holds for both sides of a pair. In '{side.name}': {error}") from error


def _one_space(sides: tuple[Side, Side]) -> bool:
    """*Pure.* Whether a vector of one side means the same on the other: both have one encoder."""
    return bool(sides[0].searcher.info.encoder == sides[1].searcher.info.encoder)
