"""*Server.* JSON that comes in, with limits that hold before it is parsed, and lists that go out row by row.

Parsing and writing JSON hold Python's lock, and with it the whole server: 20 MB of `[[],[],` took 20 seconds. orjson
takes a tenth of the time, reads neither NaN nor halves of characters, and writes NaN as null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import orjson
from fastapi import Response
from pydantic import BaseModel, ValidationError

from clip_spark.errors import SpecError
from clip_spark.web.errors import validation_sentence

Model = TypeVar("Model", bound=BaseModel)

MOST_PIECES = 100_000
"""Commas, brackets, and backslashes in a body: its arrays' entries, its depth, its escapes. Pictures have none."""
MOST_NESTED = 100
MOST_TEXT = 10_000
"""Characters of a text to search for, of a name, of a condition."""
SHOWN = 80
JSON = "application/json"
LONG = ("image",)
"""Keys whose text may be as long as the body."""


def json_object(data: bytes) -> dict[str, Any]:
    """*Pure.* A body as a JSON object with limits.

    Raises:
        SpecError: it is no JSON object, has too many pieces or too long texts.
    """
    brackets = data.count(b"[") + data.count(b"{")
    if brackets > MOST_NESTED or brackets + data.count(b",") + data.count(b"\\") > MOST_PIECES:
        raise SpecError(
            f"The body has too many pieces; at most {MOST_PIECES:,}, {MOST_NESTED} of them lists or objects."
        )
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise SpecError("The body is not JSON (in UTF-8, with numbers that are finite).") from error
    if not isinstance(value, dict):
        raise SpecError("The body must be a JSON object.")
    for key, item in value.items():
        check_text(key, key)
        if isinstance(item, str):
            check_text(key, item, most=len(data) if key in LONG else MOST_TEXT)
    return value


def parsed_as(model: type[Model], data: bytes) -> Model:
    """*Pure.* A body in the shape of a request; raises SpecError with the name of what is wrong."""
    value = json_object(data)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise SpecError(validation_sentence(error.errors())) from error


def check_text(name: str, text: str, most: int = MOST_TEXT) -> None:
    """*Pure.* Raise SpecError for a text that is too long."""
    if len(text) > most:
        raise SpecError(f"'{name[:SHOWN]}' has {len(text):,} characters; at most {most:,} are read.")


def shown(value: object) -> str:
    """*Pure.* A wrong value as an error repeats it: in Python's words, cut short."""
    if isinstance(value, (list, Mapping)):
        return "a list" if isinstance(value, list) else "an object"
    if type(value) is int and abs(value) >= 10**SHOWN:
        return "a very large number"
    return repr(value[:SHOWN] if isinstance(value, str) else value)


def rows_response(rows: Sequence[Mapping[str, Any]]) -> Response:
    """*Pure.* A JSON list; each row is written by itself, so that other threads get their turn in between."""
    return Response(b"[" + b",".join(map(orjson.dumps, rows)) + b"]", media_type=JSON)


def json_response(value: Any) -> Response:
    """*Pure.* Anything that JSON can hold."""
    return Response(orjson.dumps(value), media_type=JSON)
