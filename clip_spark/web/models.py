"""*Pure.* The shapes of requests and answers, for /openapi.json and for the tests that hold the answers to it."""

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


class RecordAnswer(Strict):
    """A record and what a page shows of it."""

    title: str
    picture: str | None = Field(description="path of its picture on this server")
    link: str | None = Field(description="address of its page, if its URI is one")
    record: dict[str, Any] = Field(description="all its columns")


class HitAnswer(RecordAnswer):
    """One hit."""

    rank: int = Field(description="from 1, over all pages")
    score: float = Field(description="cosine")


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
    seconds: float = Field(description="that the server worked on it, encoding the query included")
    query: RecordAnswer | None = Field(None, description="the record that was searched for")


class SampleAnswer(Strict):
    """Some records."""

    index: str
    kind: str
    records: list[RecordAnswer]


class KnnRequest(BaseModel):
    """clip-retrieval's search; the first of text, image and embedding_input that is given is the query."""

    text: str | None = None
    image: str | None = Field(None, description="a picture's file in base64")
    image_url: str | None = Field(None, description="refused: this server opens no addresses for others")
    embedding_input: list[float] | None = None
    modality: str = Field(description="image or text: the kind of index to search")
    num_images: int = Field(description="hits with their columns")
    num_result_ids: int | None = Field(None, description="hits in all")
    indice_name: str | None = None
    deduplicate: bool | None = None


class MetadataRequest(BaseModel):
    """clip-retrieval's question for records by id."""

    ids: list[int]
    indice_name: str | None = None


class MetadataAnswer(Strict):
    """One record by id."""

    id: int
    metadata: dict[str, Any]


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


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """*Pure.* The description of a route whose JSON body is read by hand."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": model.model_json_schema()}}}}


PICTURE_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
