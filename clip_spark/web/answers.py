"""*Pure.* The shapes of answers, for /openapi.json and for the tests that hold the answers to it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Strict(BaseModel):
    """Names every field that an answer has."""

    model_config = ConfigDict(extra="forbid")


class ErrorAnswer(Strict):
    """What went wrong."""

    message: str = Field(description="one sentence for a person")
    code: str = Field(description="a word for a program, such as bad_request, not_found, rate, busy, too_slow")


class IndexAnswer(Strict):
    """One index that is served."""

    name: str
    kind: str = Field(description="image or text")
    rows: int
    dim: int = Field(description="numbers in an embedding")
    model: str
    pairs: list[str] = Field(description="indices of the other kind that have the same records, such as the prompts")
    maps: list[str] = Field(description="maps that show its records")
    most_hits: int = Field(description="that this server gives to one query")
    takedowns: bool = Field(description="whether this server takes records down (POST /takedown)")
    lines: bool = Field(description="whether this server knows lines in which texts stand (GET /lines)")


class LineAnswer(Strict):
    """A line of a corpus."""

    line: str
    source: str = Field(description="its file")


class LinesAnswer(Strict):
    """Lines in which an n-gram stands."""

    text: str
    lines: list[LineAnswer]


class RecallAtK(Strict):
    """What a search for k hits finds."""

    k: int
    recall: float = Field(description="share of the true nearest k")


class ValueCount(Strict):
    """A value of a column, and how many hits have it."""

    value: Any
    count: int


class WatchedRecall(Strict):
    """What real queries find, against all vectors; a small share of them is checked."""

    checked: int = Field(description="queries, since this generation is served")
    recall: float = Field(description="share of the true best hits that was found, over the latest checks")
    expected: float | None = Field(description="the same as the build measured it, where it did")
    drift: float | None = Field(description="recall, less that of all checks before; null until there are enough")
    warning: str = Field(description="why that is too little; empty where all is well")


class CardAnswer(Strict):
    """What an index is, and how to name it."""

    name: str
    kind: str = Field(description="image or text")
    rows: int = Field(description="records that can be found")
    removed: int = Field(description="records that were taken down or erased and have not been compacted away")
    model: str
    weights_sha256: str | None = Field(description="of the model's weights, where it is known")
    dim: int = Field(description="numbers in an embedding")
    key: str = Field(description="kind of the index, as Faiss writes it")
    generation: str
    built: str = Field(description="when this generation was made, UTC")
    in_pieces: bool = Field(
        description="whether what searches need is read from an object store, and not yet everything"
    )
    calibrated: bool = Field(description="whether hits of queries of the other kind say their chance")
    recall: list[RecallAtK] = Field(description="as the build measured it")
    recall_cross: float | None = Field(description="of the first ten, for queries of the other kind, where measured")
    watched: WatchedRecall | None = Field(description="recall of real queries; null where every search is exact")
    rejects: dict[str, int] = Field(description="records that the build dropped, by reason")
    lost: dict[str, int] | None = Field(
        description="what never came into its embeddings, such as unreadable pictures, by reason; null if unknown"
    )
    columns: list[str]
    licences: dict[str, list[ValueCount]] = Field(
        description="columns that say under which terms a record may be used, and how many records say what"
    )
    cite: str = Field(description="one line that names exactly what was searched")


class RecordAnswer(Strict):
    """A record and what a page shows of it."""

    title: str
    picture: str | None = Field(description="path of its picture on this server")
    link: str | None = Field(description="address where it came from: its URI, or its column `url`, if that is one")
    thumbnail: str | None = Field(None, description="the picture in at most 256 pixels as a data: address")
    record: dict[str, Any] = Field(description="all its columns")


class HitAnswer(RecordAnswer):
    """One hit."""

    pair: RecordAnswer | None = Field(None, description="the record of the same id in the index that `pair` names")

    embedding: list[float] | None = Field(None, description="its vector as it is stored, where it was asked for")
    rank: int = Field(description="from 1, over all pages")
    score: float = Field(description="cosine")
    chance: float | None = Field(
        None, description="how often an unrelated pair scores as high, where the index is calibrated for such queries"
    )


class Facet(Strict):
    """The values of a column among the best hits."""

    hits: int = Field(description="hits that were counted: the best 1,000, or those up to the end of the page")
    values: list[ValueCount] = Field(description="the most frequent first")
    others: int = Field(description="hits with other values")


class BestAnswer(Strict):
    """What a query for which nothing is relevant has found best."""

    score: float = Field(description="cosine")
    chance: float = Field(description="how often an unrelated pair scores as high")


class SearchAnswer(Strict):
    """One page of hits."""

    index: str
    kind: str
    hits: list[HitAnswer]
    more: bool = Field(description="whether there is a next page")
    recall_expected: float | None = Field(
        description="share of the true nearest among the hits up to this page's last, as the build measured it for so"
        " many; 1 is exact; null where it measured no queries of this kind"
    )
    query_kind: str = Field(description="what was searched for: text, image, or mixed")
    seconds: float | None = Field(None, description="that the server worked on it, encoding the query included")
    query: RecordAnswer | None = Field(None, description="the record that was searched for")
    facets: dict[str, Facet] | None = Field(None, description="by column, where they were asked for")
    best: BestAnswer | None = Field(None, description="where `relevant` has left no hit: the best of what there is")


class QueryAnswer(Strict):
    """The answers to several queries."""

    answers: list[SearchAnswer] = Field(description="for each query one for each index, in their order")
    seconds: float


class SampleAnswer(Strict):
    """Some records."""

    index: str
    kind: str
    records: list[RecordAnswer]


class TakedownAnswer(Strict):
    """What was taken down."""

    index: str
    removed: int = Field(description="records that were found before and are not any more")


class MetadataAnswer(Strict):
    """One record by id."""

    id: int
    metadata: dict[str, Any]


class FrontConfig(Strict):
    """What clip-retrieval's front reads."""

    defaultBackend: str
    defaultIndex: str
    urlColumn: str


ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": what}
    for status, what in {
        400: "the request cannot be answered",
        401: "the token is missing or wrong",
        403: "a page of another web site asks",
        404: "what it names is not there",
        413: "the body is too large",
        429: "too many requests of one client",
        503: "too much to do, or it took too long",
    }.items()
}
