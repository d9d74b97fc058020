"""*Driver.* Options as keywords: Python's values to those of a spec, messages that name keywords."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from clip_spark.datasets.spec import ordered_fields
from clip_spark.errors import UserError

Text = str | os.PathLike[str]
Texts = Text | Iterable[Text]
Numbers = int | str | Iterable[int]
KEYWORDS: dict[Any, Any] = {str: Text, tuple[str, ...]: Texts, tuple[int, ...]: Numbers}
"""Type of an option -> what its keyword takes; other types are taken as they are."""
OPTION = re.compile(r"--([a-z][a-z0-9-]*[a-z0-9]|[a-z])")


def plain(value: Any) -> Any:
    """*Pure.* A keyword's value as a YAML file would have it: paths and datasets as text, iterables as lists."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        return value
    return [plain(item) for item in value]


@contextmanager
def in_python_words(spec_class: type, given: Iterable[str]) -> Iterator[None]:
    """*Pure.* Inside, a mistake of the user is said with the names of keywords: `min_count`, not `--min-count`."""
    try:
        yield
    except UserError as error:
        error.args = (python_words(str(error), spec_class, given),)
        raise


def python_words(message: str, spec_class: type, given: Iterable[str]) -> str:
    """*Pure.* A message of the command line for a caller of Python."""
    switches = {f.name: f.type in ("bool", bool) for f in dataclasses.fields(spec_class)}

    def keyword(found: re.Match[str]) -> str:
        name = found[1].replace("-", "_")
        return found[0] if name not in switches else f"{name}=True" if switches[name] else name

    for name in given:
        message = message.replace(f"'{name.replace('_', '-')}'", f"'{name}'")
    return OPTION.sub(keyword, message)


def keywords(spec_class: type) -> list[inspect.Parameter]:
    """*Pure.* The options of a spec as keyword-only parameters; those without a default come first."""
    hints = typing.get_type_hints(spec_class)
    found = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if _is_required(field) else field.default,
            annotation=KEYWORDS.get(hints[field.name], hints[field.name]),
        )
        for field in ordered_fields(spec_class)
    ]
    return sorted(found, key=lambda parameter: parameter.default is not inspect.Parameter.empty)


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def option_lines(spec_class: type) -> list[str]:
    """*Pure.* One line of a docstring for each option."""
    helps = {f.name: str(f.metadata.get("help", "")) for f in ordered_fields(spec_class)}
    return [
        f"    {parameter.name}: {python_words(helps[parameter.name], spec_class, ())}."
        for parameter in keywords(spec_class)
    ]


def with_options(function: Callable[..., Any], spec_class: type) -> None:
    """*Driver.* Let `help()` and `inspect.signature` show the options in place of a function's `**options`."""
    signature = inspect.signature(function)
    own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    function.__signature__ = signature.replace(parameters=[*own, *keywords(spec_class)])  # type: ignore[attr-defined]
    said, _, rest = (function.__doc__ or "").partition("\n        Raises:")
    indent = "\n        "
    lines = indent.join(option_lines(spec_class))
    head = "" if "Args:" in said else f"{indent}Args:"
    function.__doc__ = f"{said.rstrip()}{head}{indent}{lines}\n" + (f"{indent}Raises:{rest}" if rest else "")
