"""*Pure.* An output that has nothing to do with its inputs: neither the same folder, nor around one, nor inside one."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from clip_spark import storage
from clip_spark.errors import OutputError

WILDCARDS = "*?["


def check_apart(output: str, inputs: Mapping[str, Mapping[str, Any]]) -> None:
    """*Driver.* Refuse an output that equals an input, contains one or lies inside one.

    Args:
        output: absolute URI.
        inputs: of a plan; `uris` of one, or `uri` with several separated by commas, name places and patterns.

    Raises:
        OutputError: the next run would read what this one writes, or write over what it reads.
    """
    for name, value in inputs.items():
        for uri in filter(None, value.get("uris") or str(value.get("uri", "")).split(",")):
            found = relation(output, storage.absolute(uri))
            if found:
                raise OutputError(f"--output '{output}' {found} the input {name} '{uri}'; choose a folder of its own.")


def relation(output: str, other: str) -> str:
    """*Pure.* `is`, `contains`, `lies inside`, or an empty string for two places that are apart.

    An output beside files that `*.csv` matches is apart from them, the folder around them is not. A folder may have `[`
    in its name, so a pattern is also taken as it is written.
    """
    if output == other:
        return "is"
    if _start(other).startswith(output.rstrip("/") + "/"):
        return "contains"
    mine, parts = output.split("/"), other.split("/")
    if "**" in parts:
        parts = parts[: parts.index("**")]
    inside = len(mine) >= len(parts) and all(a == b or fnmatchcase(a, b) for a, b in zip(mine, parts, strict=False))
    return "lies inside" if inside else ""


def _start(uri: str) -> str:
    """*Pure.* The path up to the first part with a wildcard, that part's beginning included."""
    at = min((uri.find(sign) for sign in WILDCARDS if sign in uri), default=len(uri))
    return uri[:at]
