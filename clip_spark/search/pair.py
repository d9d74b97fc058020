"""*Worker.* Two indices of one set of records: the pictures and the prompts that they came from, known by record id.

A query goes to both, each hit shows the record of the other side too, and one ranking can be made of both scores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from clip_spark.datasets import schema
from clip_spark.errors import ClipSparkError, InputError, SpecError
from clip_spark.index.open.parts import MISSING
from clip_spark.index.open.selection import check_where
from clip_spark.search.command import kind_asked, named_queries
from clip_spark.search.hits import Hits, Wanted
from clip_spark.search.mixed import best_of_both
from clip_spark.search.negatives import Sought
from clip_spark.search.searcher import Searcher
from clip_spark.search.sides import Side, hits_of_both, told
from clip_spark.search.spec import SearchSpec

Both = tuple[Sought, Sought]
"""A query as each side understands it."""


@dataclass(frozen=True)
class Pair:
    """*Worker.* Both indices, open for searching; the columns of `Wanted` are those of either."""

    main: Searcher
    other: Searcher

    @staticmethod
    def open(uri: str, other: str, *, verify: bool = False, fetch: bool = False) -> Pair:
        """Open both; raises what `Searcher.open` raises."""
        return Pair(*(Searcher.open(one, verify=verify, fetch=fetch) for one in (uri, other)))

    @property
    def has_one_space(self) -> bool:
        """Whether a vector of one side means the same on the other: both have one encoder."""
        return bool(self.main.info.encoder == self.other.info.encoder)

    def vectors(self, embed: Callable[[Searcher], Sought]) -> Both:
        """A query as each side understands it; it is embedded once where both have one encoder."""
        first = embed(self.main)
        return first, first if self.has_one_space else embed(self.other)

    def check(self, wanted: Wanted) -> None:
        """Find mistakes before a model is loaded; raises SpecError for a column or condition that does not fit."""
        for side in self._sides(wanted) if wanted.where else ():
            _check_where(side, wanted.where)
        self._sides(wanted)

    def answer(self, spec: SearchSpec) -> list[Hits]:
        """All queries of a command: for each, hits of both sides, or one mixed ranking."""
        wanted = spec.wanted()
        if spec.like:
            return self.search_like(spec.like, wanted, spec.both_weight)
        asked = named_queries(self.main, spec)
        again = asked if self.has_one_space else named_queries(self.other, spec)
        found = list[Hits]()
        for (name, one), (_, twin) in zip(asked, again, strict=True):
            found += self.search((one, twin), wanted, spec.both_weight, name, kind_asked(spec, ""))
        return found

    def search(self, asked: Both, wanted: Wanted, weight: float = 0.0, name: str = "", kind: str = "") -> list[Hits]:
        """The hits of both sides for one query, or with a weight above 0 one ranking of both, by cosines alone."""
        sides = self._sides(wanted)
        if weight:
            return [_mixed(sides, asked, wanted, weight, name)]
        return [
            hits_of_both(both, one, wanted, f"{name} in {both[0].name}", kind=kind)
            for both, one in zip((sides, sides[::-1]), asked, strict=True)
        ]

    def search_like(self, record_id: str, wanted: Wanted, weight: float = 0.0) -> list[Hits]:
        """A record has a vector on each side, so it makes four searches: each vector on each side.

        Raises:
            InputError: neither side has it, or for one ranking not both.
        """
        sides = self._sides(wanted)
        first, second = vectors = [_vector_of(side, record_id) for side in sides]
        if first is None and second is None:
            self.main.embedding_of(record_id)  # its sentence says what is wrong
        if weight:
            if first is None or second is None:
                raise InputError(f"The record '{record_id}' is on one side only; --both-weight needs it on both.")
            return [_mixed(sides, (Sought(first), Sought(second)), wanted, weight, f"like {record_id}", record_id)]
        found = list[Hits]()
        for home, vector in zip(sides, vectors, strict=True):
            for both in (sides, sides[::-1]):
                if vector is not None and (both[0] is home or self.has_one_space):
                    name, kind = f"like {record_id} of {home.name} in {both[0].name}", home.searcher.info.modality
                    found.append(hits_of_both(both, Sought(vector), wanted, name, record_id, kind))
        return found

    def close(self) -> None:
        """Let go of all files of both."""
        self.main.close()
        self.other.close()

    def _sides(self, wanted: Wanted) -> tuple[Side, Side]:
        """Both sides with the columns to show; raises SpecError for a column that neither has."""
        if not wanted.columns:
            return Side(self.main, None), Side(self.other, None)
        known = [*self.main.records.columns, *self.other.records.columns]
        schema.check_columns(wanted.columns, list(dict.fromkeys(known)))
        first, second = (
            Side(one, tuple(name for name in wanted.columns if name in one.records.columns))
            for one in (self.main, self.other)
        )
        return first, second


def run_paired(spec: SearchSpec) -> list[Hits]:
    """*Worker.* Answer all queries of a command with --pair.

    Raises:
        InputError, SpecError: an index is missing, or an option fits neither side.
    """
    pair = Pair.open(spec.index, spec.pair, verify=spec.verify, fetch=spec.fetch)
    pair.check(spec.wanted())
    return pair.answer(spec)


def _mixed(sides: tuple[Side, Side], asked: Both, wanted: Wanted, weight: float, name: str, without: str = "") -> Hits:
    own = sides[0].positions([without])[without] if without else MISSING
    positions, scores = best_of_both(sides, (asked[0].vector, asked[1].vector), wanted, weight, own, asked[0].less)
    return told(*sides, positions, scores, wanted.offset, f"{name} in both")


def _vector_of(side: Side, record_id: str) -> np.ndarray | None:
    try:
        return side.searcher.embedding_of(record_id)
    except InputError:
        return None


def _check_where(side: Side, where: str) -> None:
    try:
        check_where(side.searcher.records, where)
    except ClipSparkError as error:
        raise SpecError(f"--where holds for both sides of a pair. In '{side.name}': {error}") from error
