"""*Pure.* The shapes of what maps are asked and answer; see `web/asked.py` and `web/answers.py`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from clip_spark.web.answers import HitAnswer, RecordAnswer, Strict
from clip_spark.web.asked import MOST_TEXT, Asking, QueryTerms

MOST_CORNERS, MOST_INSIDE, MOST_LIT = 512, 100_000, 10_000

Finite = Annotated[float, Field(ge=-1e12, le=1e12)]
Kind = Literal["", "image", "text"]


class MapAnswer(Strict):
    """One map that is served."""

    name: str
    rows: dict[str, int] = Field(description="points by kind")
    homes: dict[str, str] = Field(description="kind of point -> the index that has their records")
    version: str = Field(description="changes with every new generation of the map")


class MapDetails(MapAnswer):
    """All that drawing needs before its first tile."""

    square: list[float] = Field(description="x, y and side of the square of zoom 0")
    view: list[float] = Field(description="x0, y0, x1, y1 to show first")
    deepest: int = Field(description="zoom")
    columns: dict[str, str] = Field(description="columns of the points, with their Arrow types")
    unreadable: dict[str, int] = Field(description="pictures that are not on the map, by reason")
    max_k: int = Field(description="most hits of one search")
    tiles: dict[str, int] = Field(description="name -> points, coarse to fine")
    regions: list[list[dict[str, Any]]] = Field(description="by zoom of regions: name, also, x, y, share")


class PointAnswer(RecordAnswer):
    """What a point of a map is."""

    kind: str


class Lit(Strict):
    """Where a hit lies; null where it is not on the map."""

    record_id: str
    score: float
    x: float | None
    y: float | None


class LandingAnswer(Strict):
    """Where a query lies on a map, and its hits."""

    x: float
    y: float
    index: str
    kind: str = Field(description="of the hits: image or text")
    hits: list[Lit]
    best: list[HitAnswer] = Field(description="the first of the hits with their records")
    query: RecordAnswer | None = Field(None, description="the record that was searched for")
    vector: list[float] | None = Field(None, description="the query's embedding, where it was asked for")
    seconds: float


class MapQuery(QueryTerms):
    """A query that is to land on a map, and how many hits are to be lit."""

    k: int = Field(0, ge=0, le=MOST_LIT, description="hits")
    index: str = Field("", max_length=1000, description="index that is searched; empty is that of the map's pictures")
    where: str = Field("", max_length=MOST_TEXT, description="condition on the columns of the hits")
    vector: bool = Field(False, description="the answer brings the query's embedding")


class ScoreQuery(QueryTerms):
    """A query whose cosine with each point of a tile is wanted."""

    index: str = Field("", max_length=1000, description="index that encodes it; empty is that of the map's pictures")


class Outline(Asking):
    """What lies inside of a polygon."""

    polygon: list[Annotated[list[Finite], Field(min_length=2, max_length=2)]] = Field(
        min_length=3, max_length=MOST_CORNERS, description="corners [x, y]"
    )
    kind: Kind = Field("", description="of the points; empty is both")
    k: int = Field(1000, ge=1, le=MOST_INSIDE, description="points that are listed")


class Inside(Strict):
    """A point inside of a polygon."""

    record_id: str
    kind: str
    x: float
    y: float
    text: str | None
    uri: str | None


class InsideAnswer(Strict):
    """The points inside of a polygon."""

    count: int = Field(description="all of them, those that were taken down since included")
    points: list[Inside]
    seconds: float
