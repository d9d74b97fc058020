"""*Server.* GET /lines: lines in which an n-gram stands, of what sample-lines has kept; one file of each is read."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse

from clip_spark.texts.ngrams.examples.where import as_counted, lines_of_ngram
from clip_spark.web.answers import ERRORS, LinesAnswer
from clip_spark.web.bodies import MOST_TEXT
from clip_spark.web.parameters import known_parameters

router = APIRouter(responses=ERRORS)


@router.get("/lines", response_model=LinesAnswer, dependencies=[Depends(known_parameters)])
def lines(request: Request, text: Annotated[str, Query(max_length=MOST_TEXT, description="an n-gram")]) -> JSONResponse:
    """Lines of the corpus in which an n-gram stands; none where nothing was kept of it."""
    found = []
    for examples in request.app.state.examples:
        stands = lines_of_ngram(examples, as_counted(examples, text))
        found += [{"line": line, "source": source} for line, source in stands]
    return JSONResponse({"text": text, "lines": found})
