"""*Pure.* The shapes of what is asked, for the routes that read them and for /openapi.json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

MOST_TEXT, MOST_QUERIES, MOST_TERMS, MOST_INDICES = 10_000, 32, 16, 8
MOST_TAKEN_DOWN = 1000
Name = Annotated[str, Field(max_length=1000)]


class Asking(BaseModel):
    """A body that is read strictly: no other names, no numbers in quotes."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Term(Asking):
    """One thing to search for: give one of text, like, image, image_url and embedding."""

    text: str | None = Field(None, max_length=MOST_TEXT)
    like: str | None = Field(None, max_length=MOST_TEXT, description="record_id of a record")
    of: str | None = Field(None, max_length=MOST_TEXT, description="index of that record, if it is another one")
    image: str | None = Field(None, description="a picture's file in base64")
    image_url: str | None = Field(None, max_length=MOST_TEXT, description="where the server opens addresses")
    embedding: list[float] | None = Field(None, description="a vector of the index's length; its scale does not matter")
    weight: float = Field(1.0, ge=-1000, le=1000, description="below 0: what is like it is left out")


class QueryTerms(Term):
    """A query: one term, or several with weights."""

    terms: list[Term] | None = Field(None, max_length=MOST_TERMS)


class QueryRequest(Asking):
    """Several queries to several indices; each is answered by itself."""

    queries: list[QueryTerms] = Field(min_length=1, max_length=MOST_QUERIES)
    indices: list[Name] = Field([], max_length=MOST_INDICES, description="names; empty is the first one")
    k: int = Field(10, ge=1, description="hits of each answer")
    offset: int = Field(0, ge=0, description="hits to leave out at the beginning")
    threshold: float = Field(-2.0, ge=-2, le=2, description="least score (cosine) of a hit")
    relevant: float = Field(0.0, ge=0, le=0.99, description="only hits that a query about nothing would not get")
    where: str = Field("", max_length=MOST_TEXT, description="condition on the columns of the records")
    unique: float = Field(0.0, ge=0, le=1, description="drop hits whose cosine with a better one is at least this")
    columns: list[Name] = Field([], max_length=1000, description="columns of the records; empty is all")
    facets: list[Name] = Field([], max_length=16, description="columns whose values are counted among the hits")
    embeddings: bool = Field(False, description="hits bring their vectors, as they are stored")
    pair: str = Field("", max_length=1000, description="index of the same records' other side, as in /search")
    both_weight: float = Field(0.0, ge=0, le=1, description="one ranking of both: the share of the other side's score")


class TakedownRequest(Asking):
    """Records of one index that are to be found no more."""

    index: Name = Field(description="its name")
    record_ids: list[Name] = Field(min_length=1, max_length=MOST_TAKEN_DOWN)


class KnnRequest(BaseModel):
    """clip-retrieval's search; the first of text, image and embedding_input that is given is the query."""

    text: str | None = None
    image: str | None = Field(None, description="a picture's file in base64")
    image_url: str | None = Field(None, description="refused unless the server runs with --fetch-urls")
    embedding_input: list[float] | None = None
    modality: str = Field(description="image or text: the kind of index to search")
    num_images: int = Field(description="hits with their columns")
    num_result_ids: int | None = Field(None, description="hits in all")
    indice_name: str | None = None
    deduplicate: bool | None = None
    embeddings: bool | None = Field(None, description="hits with columns bring their vectors too")


class MetadataRequest(BaseModel):
    """clip-retrieval's question for records by id."""

    ids: list[int]
    indice_name: str | None = None


def body_of(model: type[BaseModel], parameters: Sequence[str] = ()) -> dict[str, Any]:
    """*Pure.* The description of a route whose JSON body is read by hand, and so are some parameters of its query."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    body = {"requestBody": {"required": True, "content": {"application/json": {"schema": inlined(schema)}}}}
    named = [{"name": name, "in": "query", "required": False, "schema": {"type": "string"}} for name in parameters]
    return {**body, "parameters": named} if named else body


def inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """*Pure.* A schema with its definitions in the places that name them; ours do not name themselves."""
    definitions = schema.pop("$defs", {})

    def resolved(value: Any) -> Any:
        if isinstance(value, list):
            return [resolved(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return resolved(definitions[value["$ref"].rsplit("/", 1)[-1]])
        return {key: resolved(item) for key, item in value.items()}

    return resolved(schema)


PICTURE_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
