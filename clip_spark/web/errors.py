"""*Server.* Errors as JSON: `{"message": one sentence}`, the shape that clip-retrieval's clients know."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from clip_spark.errors import ClipSparkError, Rejected, UserError

log = logging.getLogger(__name__)


class NotFound(UserError):
    """An index, a record or a picture that a request names is not there."""


def status_of(error: ClipSparkError) -> int:
    """*Pure.* 404 what is not there, 400 the caller's mistake, 500 ours."""
    if isinstance(error, NotFound):
        return 404
    return 400 if isinstance(error, (UserError, Rejected)) else 500


def refusal(status: int, message: str) -> JSONResponse:
    """*Pure.* The response for a request that cannot be answered."""
    return JSONResponse({"message": message}, status)


def add_handlers(app: FastAPI) -> None:
    """*Server.* Every error of a request becomes a status and a sentence; no page of HTML, no traceback."""

    @app.exception_handler(ClipSparkError)
    def ours(_: Request, error: ClipSparkError) -> JSONResponse:
        if status_of(error) == 500:
            log.error("%s", error)
        return refusal(status_of(error), sentence(error))

    @app.exception_handler(RequestValidationError)
    def validation(_: Request, error: RequestValidationError) -> JSONResponse:
        return refusal(400, _validation_sentence(error))

    @app.exception_handler(HTTPException)
    def http(_: Request, error: HTTPException) -> JSONResponse:
        return refusal(error.status_code, f"{error.detail}.".replace("..", "."))

    @app.exception_handler(Exception)
    def unexpected(request: Request, error: Exception) -> JSONResponse:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return refusal(500, "Something went wrong on the server; its log says what.")


def sentence(error: ClipSparkError) -> str:
    """*Pure.* The error's text; a rejected upload says what was wrong with it."""
    if isinstance(error, Rejected):
        return f"This is not a usable picture: {error.message}."
    return str(error)


def _validation_sentence(error: RequestValidationError) -> str:
    first = error.errors()[0]
    name = first["loc"][-1]
    if first["type"] == "missing":
        return f"'{name}' is missing."
    return f"'{name}' is {first.get('input')!r}; {first['msg'][:1].lower()}{first['msg'][1:]}."
