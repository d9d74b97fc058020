"""*Server.* Parameters of requests that several routes share: read, checked, and nothing unknown among them."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import Query, Request

from clip_spark.errors import SpecError, nearest
from clip_spark.search.hits import Wanted
from clip_spark.web.bodies import MOST_TEXT, shown
from clip_spark.web.finding import Page

DEFAULT_K = 40

Index = Annotated[str | None, Query(description="name of the index; the first one if it is left out")]
Where = Annotated[str, Query(max_length=MOST_TEXT, description="condition on the columns of the records")]
Count = Annotated[int, Query(ge=1, description="hits")]
Thumbnails = Annotated[
    int, Query(ge=0, le=40, description="so many of the first hits come with their small picture in the answer")
]
Names = Annotated[str, Query(max_length=MOST_TEXT, description="names with commas in between")]
Format = Annotated[
    str, Query(description="json, jsonl, csv or arrow; else the Accept header says (CSV, JSON lines, Arrow)")
]

Pair = Annotated[
    str, Query(max_length=1000, description="index of the same records' other side; hits bring its record as `pair`")
]
BothWeight = Annotated[
    float,
    Query(ge=0, le=1, allow_inf_nan=False, description="one ranking of both: the share of the other side's score"),
]


async def known_parameters(request: Request) -> None:
    """*Server.* Raise SpecError for a parameter that the route does not have: a typing error must not change hits."""
    path = request.app.openapi()["paths"][request.scope["route"].path][request.method.lower()]
    known = [one["name"] for one in path.get("parameters", ()) if one["in"] == "query"]
    for name in request.query_params:
        if name not in known:
            raise SpecError(
                f"There is no parameter {shown(name)} here.{nearest(name, known)} There are {', '.join(known)}."
            )


async def page_wanted(
    request: Request,
    k: Count = DEFAULT_K,
    offset: Annotated[int, Query(ge=0, description="hits to leave out at the beginning")] = 0,
    threshold: Annotated[
        float, Query(ge=-2, le=2, allow_inf_nan=False, description="least score (cosine) of a hit")
    ] = -2.0,
    relevant: Annotated[
        float,
        Query(
            ge=0,
            le=0.99,
            allow_inf_nan=False,
            description="only hits that a query about nothing would not get so often, 0.5 to 0.99; 0 takes all",
        ),
    ] = 0.0,
    where: Where = "",
    unique: Annotated[
        float,
        Query(ge=0, le=1, allow_inf_nan=False, description="drop hits whose cosine with a better one is at least this"),
    ] = 0.0,
    columns: Names = "",
    facets: Names = "",
    embeddings: Annotated[bool, Query(description="hits bring their vectors, as they are stored")] = False,
) -> Page:
    """*Server.* The hits that a request wants; raises SpecError if they are too many."""
    max_k = request.app.state.max_k
    check_count(max_k, k + offset)
    wanted = Wanted(
        k=k,
        offset=offset,
        threshold=threshold,
        relevant=relevant,
        where=where.strip(),
        unique=unique,
        columns=names(columns),
    )
    return Page(wanted, names(facets), max_k, embeddings)


def names(given: str) -> tuple[str, ...]:
    """*Pure.* Names with commas in between, each once."""
    return tuple(dict.fromkeys(name.strip() for name in given.split(",") if name.strip()))


def check_count(most: int, last: int) -> None:
    """*Server.* Raise SpecError if more hits are asked for than this server gives."""
    if last > most:
        raise SpecError(f"Hit number {shown(last)} is asked for; this server gives at most {most:,} (--max-k).")


def has_tag(request: Request, tag: str) -> bool:
    """*Server.* Whether the browser has the answer with this ETag, quotes included, and asks if it still holds."""
    return tag in [one.strip() for one in request.headers.get("if-none-match", "").split(",")]


def seconds_since(started: float) -> float:
    """*Server.* Seconds from a reading of `time.perf_counter` to now, to a tenth of a millisecond."""
    return round(time.perf_counter() - started, 4)
