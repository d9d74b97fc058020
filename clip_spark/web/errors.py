"""*Server.* Errors as JSON: `{"message": one sentence, "code": one word}`; clip-retrieval knows the message."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from clip_spark.datasets.condition.evaluate import TooSlowCondition
from clip_spark.errors import ClipSparkError, Rejected, StorageError, UserError
from clip_spark.web.budget import TooSlow

log = logging.getLogger(__name__)

CODES = {
    400: "bad_request",
    401: "token",
    403: "forbidden",
    404: "not_found",
    405: "method",
    413: "too_large",
    429: "rate",
    500: "internal",
    503: "unavailable",
}
"""What a status is called where nothing says more; these words do not change."""
SHOWN = 80
"""Characters of a wrong value that an error repeats."""


class NotFound(UserError):
    """An index, a record or a picture that a request names is not there."""


def status_of(error: ClipSparkError) -> int:
    """*Pure.* 404 what is not there, 400 the caller's mistake, 503 too slow or a store that is down, else 500."""
    if isinstance(error, NotFound):
        return 404
    if isinstance(error, (TooSlow, TooSlowCondition, StorageError)):
        return 503
    return 400 if isinstance(error, (UserError, Rejected)) else 500


def code_of(error: ClipSparkError) -> str:
    """*Pure.* The stable word for an error of a request."""
    if isinstance(error, Rejected):
        return "bad_picture"
    return "too_slow" if isinstance(error, (TooSlow, TooSlowCondition)) else CODES[status_of(error)]


def refusal(status: int, message: str, code: str = "", *, retry_after: float | None = None) -> JSONResponse:
    """*Pure.* The response for a request that cannot be answered.

    Args:
        status: of HTTP.
        message: a sentence for a person.
        code: a word for a program; empty is the one of the status.
        retry_after: seconds after which it may be tried again.
    """
    headers = None if retry_after is None else {"Retry-After": str(math.ceil(retry_after))}
    return JSONResponse({"message": message, "code": code or CODES.get(status, "refused")}, status, headers)


def refused(error: ClipSparkError) -> JSONResponse:
    """*Server.* The response to a request that ended with an error of ours."""
    if status_of(error) == 500:
        log.error("%s", error)
    return refusal(status_of(error), sentence(error), code_of(error))


def add_handlers(app: FastAPI) -> None:
    """*Server.* Every error of a request becomes a status and a sentence; no page of HTML, no traceback."""

    @app.exception_handler(ClipSparkError)
    def ours(_: Request, error: ClipSparkError) -> JSONResponse:
        return refused(error)

    @app.exception_handler(RequestValidationError)
    def validation(_: Request, error: RequestValidationError) -> JSONResponse:
        return refusal(400, validation_sentence(error.errors()))

    @app.exception_handler(HTTPException)
    def http(_: Request, error: HTTPException) -> JSONResponse:
        return refusal(error.status_code, f"{error.detail}.".replace("..", "."))


def sentence(error: ClipSparkError) -> str:
    """*Pure.* The error's text; a rejected upload says what was wrong with it."""
    if isinstance(error, Rejected):
        return f"This is not a usable picture: {error.message}."
    return str(error)


def validation_sentence(errors: Sequence[Any]) -> str:
    """*Pure.* The first of pydantic's errors, with the name of what is wrong."""
    first = errors[0]
    name = next((part for part in reversed(first["loc"]) if isinstance(part, str)), "body")[:SHOWN]
    if first["type"] == "missing":
        return f"'{name}' is missing."
    if first["type"] == "extra_forbidden":
        return f"There is no '{name}' here."
    given = first.get("input")
    value = repr(given[:SHOWN]) if isinstance(given, str) else type(given).__name__
    return f"'{name}' is {value}; {first['msg'][:1].lower()}{first['msg'][1:]}."
