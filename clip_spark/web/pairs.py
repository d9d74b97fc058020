"""*Server.* Two served indices of the same records: each hit with the record of the other side, and one ranking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from clip_spark.datasets import schema
from clip_spark.errors import SpecError
from clip_spark.search.mixed import best_of_both
from clip_spark.search.sides import Side
from clip_spark.web.asked import QueryTerms
from clip_spark.web.catalog import Catalog
from clip_spark.web.finding import Asked, Found, Page, find, shown_columns
from clip_spark.web.picture_of import inline_thumbnails
from clip_spark.web.pictures import PictureCache
from clip_spark.web.results import record_json
from clip_spark.web.served import Answered, ServedIndex

LOOKED_AT = 8
"""Records of an index that are looked for in another: if one is there, the two are a pair."""


@dataclass(frozen=True)
class Beside:
    """What a request wants of an index's other side.

    Attributes:
        index: the other side.
        weight: its share in one ranking of both, above 0 to 1; 0 ranks by the searched index alone.
    """

    index: ServedIndex
    weight: float = 0.0


def beside(catalog: Catalog, index: ServedIndex, page: Page, name: str, weight: float) -> Beside | None:
    """*Server.* What the parameters `pair` and `both_weight` ask for; raises SpecError where they do not fit."""
    if not name:
        if weight:
            raise SpecError("'both_weight' mixes two indices; name the other one with 'pair'.")
        return None
    other = catalog.get(name)
    if other is index:
        raise SpecError(f"'{name}' is the index that is searched; 'pair' names another one.")
    if weight and (page.wanted.unique or page.facets or page.wanted.relevant):
        raise SpecError("'both_weight' goes neither with 'unique' nor with 'facets' nor with 'relevant'.")
    if weight:
        other.allowed(page.wanted.where)  # the condition must hold on both sides
    return Beside(other, weight)


def on_side(query: QueryTerms, side: ServedIndex) -> QueryTerms:
    """*Pure.* The same query with its records as a side has them: one ranking takes the vector that they have there."""
    terms = None if query.terms is None else [term.model_copy(update={"of": side.name}) for term in query.terms]
    return query.model_copy(update={"of": side.name, "terms": terms})


def find_paired(index: ServedIndex, other: Beside | None, ask: Callable[[ServedIndex], Asked], page: Page) -> Found:
    """*Server.* A page of hits, ranked by the index alone or by both sides."""
    return find_both(index, other, ask, page) if other and other.weight else find(index, ask(index), page)


def find_both(index: ServedIndex, other: Beside, ask: Callable[[ServedIndex], Asked], page: Page) -> Found:
    """*Server.* A page of the records that both sides have, by a mixture of both scores.

    Args:
        index: whose records the hits are.
        other: the other side, and its share.
        ask: the query as a side understands it.
        page: which hits.
    """
    asked, twin = ask(index), ask(other.index)
    wanted = replace(page.wanted, columns=shown_columns(index, page.wanted.columns))
    most = replace(wanted, offset=0, k=wanted.offset + wanted.k + 1)
    sides = (Side(index.searcher, None), Side(other.index.searcher, None))
    vectors, one_more = (asked.vector, twin.vector), replace(wanted, k=wanted.k + 1)
    positions, scores = best_of_both(sides, vectors, one_more, other.weight, asked.own, asked.less)
    hits = index.hits(Answered(scores, positions), wanted)
    more = page.has_next(len(hits))
    exact = all(side.recall_expected(most, asked.kind) == 1.0 for side in (index, other.index))
    recall, shown = 1.0 if exact else None, tuple(hits[: wanted.k])
    return Found(index, asked, page.wanted.columns, shown, more, recall, embeddings=page.embeddings)


def shown(found: Found, other: Beside | None, cache: PictureCache, thumbnails: int = 0) -> dict[str, Any]:
    """*Server.* The answer but for its seconds, with the first pictures in it, and the records of the other side."""
    body, records = found.to_json(), [hit.record for hit in found.hits]
    inline_thumbnails(found.index, body["hits"][:thumbnails], records, cache)
    if other is not None:
        _show_beside(other.index, body["hits"], records, cache, thumbnails)
    return body


def _show_beside(
    other: ServedIndex,
    hits: Sequence[dict[str, Any]],
    records: Sequence[dict[str, Any]],
    cache: PictureCache,
    first: int,
) -> None:
    """Give hits as JSON the record of the other side as `pair`, null where it has none.

    Args:
        other: the other side.
        hits: as they are sent.
        records: of the hits.
        cache: of small pictures.
        first: so many hits bring the other side's small picture too.
    """
    found = other.records_of([record[schema.RECORD_ID] for record in records])
    for hit, record in zip(hits, found, strict=True):
        hit["pair"] = None if record is None else record_json(other, record)
    there = [(hit["pair"], record) for hit, record in zip(hits[:first], found, strict=False) if record is not None]
    inline_thumbnails(other, [shown for shown, _ in there], [record for _, record in there], cache)


def pairs_of(catalog: Catalog, index: ServedIndex) -> list[str]:
    """*Server.* The names of indices that have records of this one; looked up once for each generation."""
    return [other.name for other in catalog.indices.values() if other is not index and _is_pair(index, other)]


def _is_pair(index: ServedIndex, other: ServedIndex) -> bool:
    if index.kind == other.kind:
        return False
    key = f"{other.name} {other.searcher.info.generation}"
    if key not in index.pairs:
        ids = [record[schema.RECORD_ID] for record in index.spread(LOOKED_AT)]
        index.pairs[key] = any(record is not None for record in other.records_of(ids))
    return index.pairs[key]
