"""*Pure.* An output that has nothing to do with its inputs: neither the same folder, nor around one, nor inside one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clip_spark import storage
from clip_spark.errors import OutputError

WILDCARDS = "*?["


def check_apart(output: str, inputs: Mapping[str, Mapping[str, Any]]) -> None:
    """*Driver.* Refuse an output that equals an input, contains one or lies inside one.

    Args:
        output: absolute URI.
        inputs: of a plan; the `uri` of one may name several, separated by commas, and have wildcards.

    Raises:
        OutputError: the next run would read what this one writes, or write over what it reads.
    """
    for name, value in inputs.items():
        for uri in filter(None, str(value.get("uri", "")).split(",")):
            found = relation(output, _folder(uri))
            if found:
                raise OutputError(f"--output '{output}' {found} the input {name} '{uri}'; choose a folder of its own.")


def relation(output: str, other: str) -> str:
    """*Pure.* `is`, `contains`, `lies inside`, or an empty string for two places that are apart."""
    if output == other:
        return "is"
    if other.startswith(output.rstrip("/") + "/"):
        return "contains"
    return "lies inside" if output.startswith(other.rstrip("/") + "/") else ""


def _folder(uri: str) -> str:
    """*Pure.* An input's place; of a pattern the folder in which it begins."""
    at = min((uri.find(sign) for sign in WILDCARDS if sign in uri), default=-1)
    return storage.absolute(uri if at < 0 else uri[:at].rpartition("/")[0] or "/")
