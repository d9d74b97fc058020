"""*Pure.* What all specs share: options with help texts, a fingerprint, and checks with good messages."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, TypeVar

from clip_spark.errors import SpecError, nearest

T = TypeVar("T")


VALUE, TEXT, URI, COLUMN, SIZE = "value", "text", "uri", "column", "size"
"""What the value of an option is: decides how it is read and how `--help` shows it.

value   a word or a number
text    any text, kept to the letter: a template, a regular expression
uri     a place: a path of this machine or a URI; of a file, a folder or a dataset
column  the name of a column of the user's data
size    bytes with a unit (sizes.size_bytes)

Commas separate the items of a list, but not of a list of texts or URIs, which may hold commas.
"""


PRUNE_HELP = "of an input that has changed since: take out what vanished, and do again what changed"
"""Of the steps that go on where an input has grown."""


def option(
    help: str,
    default: Any = dataclasses.MISSING,
    *,
    content: bool = True,
    later: bool = False,
    holds: str = VALUE,
    kinds: tuple[str, ...] = (),
) -> Any:
    """*Pure.* A field of a spec.

    Args:
        help: the `--help` text; one line.
        default: the default; an option without one is required.
        content: whether it changes the bytes of the result. Places, workers and batch sizes do not: two runs that
            differ only there may resume each other.
        later: it came when the step had made datasets already: at its default it is left out of what decides the
            result, so that the same command still knows those for its own.
        holds: VALUE, TEXT, URI, COLUMN or SIZE.
        kinds: of a URI: the kinds of datasets that may be there; none for anything else than a dataset.
    """
    metadata = {"help": help, "content": content, "later": later, "holds": holds, "kinds": kinds}
    if isinstance(default, (list, dict)):
        return field(default_factory=lambda: default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Spec:
    """Base of every spec of a step that writes a dataset."""

    output: str = option("folder of the dataset to write", content=False, holds=URI)
    overwrite: bool = option("replace what another run left in --output", False, content=False)

    def content(self) -> dict[str, Any]:
        """*Pure.* The options that decide the result, ready for JSON."""
        deciding = [f for f in dataclasses.fields(self) if f.metadata.get("content", True)]
        values = {f.name: getattr(self, f.name) for f in deciding}
        unused = {f.name for f in deciding if f.metadata.get("later") and values[f.name] == f.default}
        return {name: value for name, value in values.items() if name not in unused}

    def fingerprint(self) -> str:
        """*Pure.* 32 hex digits of the options that decide the result."""
        return fingerprint({"spec": type(self).__name__, **self.content()})


def ordered_fields(spec_class: type) -> list[dataclasses.Field[Any]]:
    """*Pure.* The options of a spec as people read them: its own first, then those that it shares with others."""
    own = spec_class.__dict__.get("__annotations__", {})
    fields = dataclasses.fields(spec_class)
    return [f for f in fields if f.name in own] + [f for f in fields if f.name not in own]


def fingerprint(value: Any) -> str:
    """*Pure.* 32 hex digits of anything that JSON can hold; independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=list)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def one_or_more(value: str | tuple[str, ...]) -> tuple[str, ...]:
    """*Pure.* The places of an option that takes several: in programs one is given as it is."""
    return (value,) if isinstance(value, str) else tuple(value)


def check_choice(name: str, value: T, allowed: tuple[T, ...]) -> None:
    """*Pure.* Raise SpecError unless `value` is one of `allowed`."""
    if value not in allowed:
        listed = ", ".join(str(item) for item in allowed)
        raise SpecError(f"--{name} is '{value}'; it must be one of {listed}.{nearest(str(value), map(str, allowed))}")


def check_ending(name: str, uri: str, endings: tuple[str, ...]) -> None:
    """*Pure.* Raise SpecError unless a file that is to be written has a name with one of some endings (`csv`)."""
    if uri.rpartition(".")[2] not in endings:
        listed = ", ".join(f".{one}" for one in endings)
        raise SpecError(f"--{name} is '{uri}'; it must be a file whose name ends in one of {listed}.")


def check_at_least(name: str, value: float, least: float) -> None:
    """*Pure.* Raise SpecError unless `value >= least`."""
    if value < least:
        raise SpecError(f"--{name} is {value}; it must be at least {least}.")


def check_not_empty(name: str, value: tuple[Any, ...] | str) -> None:
    """*Pure.* Raise SpecError if a list option or a URI is empty."""
    if not value or (isinstance(value, tuple) and not all(str(item).strip() for item in value)):
        raise SpecError(f"--{name} is empty; give at least one value.")
