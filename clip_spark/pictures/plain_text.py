"""*Pure.* JSON beside pictures, as people write it and as every reader takes it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def json_object(text: str) -> dict[str, Any] | None:
    """*Pure.* A JSON object with NaN and infinities as null, or None if the text is not one."""
    try:
        found = json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def to_json(value: dict[str, Any]) -> str:
    """*Pure.* One line of JSON that every reader takes: no NaN, bytes left out, what JSON cannot hold as text."""
    return json.dumps(_plain(value), ensure_ascii=False, default=str)


def value_at(found: Mapping[str, Any], path: str) -> Any:
    """*Pure.* The value of a key, or of a path of keys as in `doc.prompt`; None where nothing is."""
    if path in found or "." not in path:
        return found.get(path)
    first, _, rest = path.partition(".")
    inside = found.get(first)
    return value_at(inside, rest) if isinstance(inside, Mapping) else None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items() if not isinstance(item, bytes)}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def printable(text: str) -> str:
    """*Pure.* A file's name that is not UTF-8 with its odd bytes as \\xe9; others unchanged."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
