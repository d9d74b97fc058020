"""*Pure.* A link as a client asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from clip_spark.pictures.download.statuses import NO_LINK, Failed

SCHEMES = ("http", "https")


@dataclass(frozen=True, slots=True)
class Link:
    """One row's link: its number in the shard, and the digest that its file must have (or an empty text)."""

    position: int
    url: str
    digest: str = ""


def check_link(url: str) -> str:
    """*Pure.* The link without user, password and fragment; these are nobody else's business.

    Raises:
        Failed: it is none, or of another kind than http and https.
    """
    text = url.strip()
    if not text:
        raise Failed(NO_LINK, "the row has no link")
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises for a port that is none
    except ValueError as error:
        raise Failed(NO_LINK, f"'{text[:200]}' is no link: {error}") from error
    if parts.scheme.lower() not in SCHEMES or not parts.hostname:
        raise Failed(NO_LINK, f"'{text[:200]}' does not begin with http:// or https:// and a host")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()


def origin_of(url: str) -> str:
    """*Pure.* `https://host:port`, whose `/robots.txt` speaks for the link."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
