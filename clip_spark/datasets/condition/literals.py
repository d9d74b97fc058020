"""*Pure.* Numbers, texts and times of a condition as SQL."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime

MOST_DIGITS = 38
"""DuckDB's decimals have no more."""


def quoted(text: str) -> str:
    """*Pure.* A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def is_number(text: str) -> bool:
    """*Pure.* Whether DuckDB can hold a number as it is written."""
    digits = re.sub(r"[eE].*|\.", "", text)
    return len(digits) <= MOST_DIGITS and math.isfinite(float(text))


def time_sql(text: str, *, date_only: bool) -> str | None:
    """*Pure.* A time in ISO 8601 as an SQL literal; without a zone it is UTC, as columns with zones are.

    Args:
        text: such as 2024-05-31 or 2024-05-31T18:00:00+02:00.
        date_only: a text without a time of day becomes a date and not its midnight.

    Returns:
        None if it is no time.
    """
    try:
        if date_only and len(text) <= len("2024-05-31"):
            return f"DATE '{date.fromisoformat(text).isoformat()}'"
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        return None
    return f"TIMESTAMP '{moment.isoformat(sep=' ')}'"
