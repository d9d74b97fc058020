"""*Driver.* The command line and YAML of a job, made from its spec: one place for every option, default and message.

The one module besides `jobs/` that uses argparse. Nothing here starts a session, so `--help` takes a fraction of
a second and a typing mistake costs nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn, TypeAlias, TypeVar

from clip_spark import storage
from clip_spark.commands.entry import Command
from clip_spark.datasets.spec import TEXT, URI, ordered_fields
from clip_spark.errors import SpecError, nearest

S = TypeVar("S")
Field: TypeAlias = "dataclasses.Field[Any]"


@dataclass(frozen=True)
class RunOptions:
    """Options that every job has and that never change its result.

    Attributes:
        master: Spark master URL; empty leaves it to spark-submit, else local[*].
        conf: Spark settings, key -> value.
        json: print the report as one JSON line instead of tables.
    """

    master: str = ""
    conf: tuple[tuple[str, str], ...] = ()
    json: bool = False


class Parser(argparse.ArgumentParser):
    """Raises SpecError where argparse would print the usage and leave the process."""

    def error(self, message: str) -> NoReturn:
        raise SpecError(f"{message[:1].upper()}{message[1:]}. See `{self.prog} --help`.")


def parse_spec(command: Command, argv: Sequence[str] | None) -> tuple[Any, RunOptions]:
    """*Driver.* Make a command's spec from arguments and `--config FILE.yaml`; the command line wins.

    Args:
        command: the registry's entry.
        argv: arguments, or None for those of the process.

    Raises:
        SpecError: an unknown option or key, a bad value, or a missing required option.
    """
    values, options = parse_values(command, argv)
    return make_spec(command.spec_class, values), options


def parse_values(command: Command, argv: Sequence[str] | None) -> tuple[dict[str, Any], RunOptions]:
    """*Driver.* What was given of a command's options, before any is checked or completed."""
    spec_class = command.spec_class
    known, unknown = _parser(command, spec_class).parse_known_args(argv)
    given = vars(known)
    if command.words and unknown and not any(word.startswith("-") for word in unknown):
        if command.words in given:
            raise SpecError(f"'{' '.join(unknown)}' is a second --{_hyphens(command.words)}; give one.")
        given[command.words] = " ".join(unknown)
    elif unknown:
        names = [f"--{_hyphens(f.name)}" for f in dataclasses.fields(spec_class)]
        raise SpecError(f"There is no option {unknown[0]}.{nearest(unknown[0], names)} See `{command.prog} --help`.")
    options = _run_options(given)
    return {**read_config(given.pop("config"), spec_class), **given}, options


def plain_parser(command: Command) -> Parser:
    """*Driver.* A parser with the command's name, line and examples, and no options yet."""
    return Parser(
        prog=command.prog,
        description=f"{command.name}: {command.help}",
        epilog="\n".join(["examples:", *(f"  # {what}\n  {line}" for what, line in command.examples)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def make_spec(spec_class: type[S], values: dict[str, Any]) -> S:
    """*Driver.* A spec from typed or textual values (`{"orders": "1,2"}`, `{"orders": [1, 2]}`).

    Raises:
        SpecError: a key that the spec does not have, a value of the wrong type, or a required one is missing or empty.
    """
    fields = {f.name: f for f in dataclasses.fields(spec_class)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(spec_class)
    values = {key.replace("-", "_"): value for key, value in values.items()}
    for key in values.keys() - fields.keys():
        raise SpecError(f"There is no option '{_hyphens(key)}'.{nearest(key, fields)}")
    found = {key: convert(fields[key], value, hints[key]) for key, value in values.items()}
    for name, field in fields.items():
        if _is_required(field) and found.get(name) in (None, "", (), ("",)):
            state = "is empty" if name in found else "is missing"
            raise SpecError(f"--{_hyphens(name)} {state}: {field.metadata['help']}.")
    return spec_class(**found)


def read_config(uri: str | None, spec_class: type) -> dict[str, Any]:
    """*Driver.* The options in a YAML file; a mapping of option names to values."""
    if uri is None:
        return {}
    value = read_yaml(uri)
    if not isinstance(value, dict):
        raise SpecError(f"'{uri}' must hold 'option: value' lines for {spec_class.__name__}.")
    return {str(key).replace("-", "_"): item for key, item in value.items()}


def read_yaml(uri: str) -> Any:
    """*Driver.* The value of a YAML file; raises SpecError when it is missing or not YAML."""
    import yaml

    if not storage.exists(uri):
        raise SpecError(f"The configuration file '{uri}' does not exist.")
    try:
        return yaml.safe_load(storage.read_bytes(uri))
    except yaml.YAMLError as error:
        raise SpecError(f"'{uri}' is not valid YAML: {' '.join(str(error).split())}.") from error


def convert(field: Field, value: Any, hint: Any) -> Any:
    """*Pure.* A value as the field's type; a list may be one text, with commas where they separate.

    Raises:
        SpecError: it does not fit.
    """
    if typing.get_origin(hint) is tuple:
        items = value if isinstance(value, (list, tuple)) else split_list(field, "" if value is None else str(value))
        return tuple(_scalar(field, item, typing.get_args(hint)[0]) for item in items)
    return _scalar(field, value, hint)


def split_list(field: Field, text: str) -> list[str]:
    """*Pure.* The items that one text gives to a list option: a text or a URI is one, for it may hold commas."""
    if field.metadata["holds"] in (TEXT, URI):
        return [text]
    return [item for item in text.split(",") if item.strip()]


def _scalar(field: Field, value: Any, hint: type) -> Any:
    option = f"--{_hyphens(field.name)}"
    if hint is bool:
        known = {"true": True, "false": False}.get(str(value).lower())
        if known is None:
            raise SpecError(f"{option} is '{value}'; it must be true or false.")
        return known
    if hint is str:
        text = "" if value is None else str(value)
        return text if field.metadata["holds"] == TEXT else text.strip()
    try:
        return hint(value)
    except (TypeError, ValueError) as error:
        kind = "a whole number" if hint is int else "a number"
        raise SpecError(f"{option} is '{value}'; it must be {kind}.") from error


def comma_hint(spec: Any, message: str) -> str:
    """*Pure.* What to do instead, when a message is about a list of URIs that were given with commas, as if they
    separated; else an empty string."""
    for field in dataclasses.fields(spec):
        value = getattr(spec, field.name)
        uris = value if field.metadata["holds"] == URI and isinstance(value, tuple) else ()
        if any("," in uri and uri in message for uri in uris):
            return f" A comma is part of a name: for several places give --{_hyphens(field.name)} several times."
    return ""


def _parser(command: Command, spec_class: type) -> Parser:
    parser = plain_parser(command)
    parser.argument_default = argparse.SUPPRESS  # absent means absent: the config file or the default decides
    hints = typing.get_type_hints(spec_class)
    for field in ordered_fields(spec_class):
        _add_option(parser, field, hints[field.name])
    add_run_options(parser, command.spark)
    parser.add_argument("--config", default=None, metavar="FILE", help="YAML with any of these options")
    return parser


def add_run_options(parser: argparse.ArgumentParser, spark: bool = True) -> None:
    """*Driver.* The options of RunOptions."""
    if spark:
        text = "a Spark setting; repeatable"
        parser.add_argument("--master", default="", help="Spark master; default: spark-submit's, else local[*]")
        parser.add_argument("--conf", action="append", default=[], type=key_value, metavar="KEY=VALUE", help=text)
    parser.add_argument("--json", action="store_true", default=False, help="print the report as one JSON line")


def _run_options(given: dict[str, Any]) -> RunOptions:
    """*Pure.* The run options, taken out of what was given."""
    return RunOptions(given.pop("master", ""), tuple(given.pop("conf", ())), given.pop("json"))


def _add_option(parser: argparse.ArgumentParser, field: Field, hint: Any) -> None:
    text = field.metadata["help"].replace("%", "%%") + _default_text(field)
    flags = [f"--{_hyphens(field.name)}"] if len(field.name) > 1 else [f"-{field.name}", f"--{field.name}"]
    if hint is bool:
        action = argparse.BooleanOptionalAction if field.default else "store_true"
        parser.add_argument(*flags, action=action, default=argparse.SUPPRESS, help=text)
    elif typing.get_origin(hint) is tuple:
        metavar, how = _metavar(field, typing.get_args(hint)[0]), "with commas, or repeat it"
        if field.metadata["holds"] in (TEXT, URI):
            how = "repeat it for more; a comma is part of the value"
        else:
            metavar += ",..."
        items = partial(split_list, field)
        parser.add_argument(
            *flags, dest=field.name, metavar=metavar, action="extend", type=items, help=f"{text} [{how}]"
        )
    else:
        parser.add_argument(*flags, dest=field.name, metavar=_metavar(field, hint), help=text)


def _default_text(field: Field) -> str:
    if _is_required(field):
        return " (required)"
    default = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    if default in ("", (), None, False):
        return ""
    shown = ",".join(str(item) for item in default) if isinstance(default, tuple) else default
    return f" (default: {shown})"


def _metavar(field: Field, hint: Any) -> str:
    return {int: "N", float: "X"}.get(hint, str(field.metadata["holds"]).upper())


def key_value(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"'{text}' is not KEY=VALUE")
    return key, value


def _is_required(field: Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _hyphens(name: str) -> str:
    return name.replace("_", "-")


@dataclass(frozen=True)
class PipelineOptions:
    """Options of `run`.

    Attributes:
        config: YAML file with the steps.
        settings: values that win over the file's `vars`.
        rebuild: replace outputs whose options or inputs have changed.
    """

    config: str
    settings: dict[str, str]
    rebuild: bool


def parse_run(command: Command, argv: Sequence[str] | None) -> tuple[PipelineOptions, RunOptions]:
    """*Driver.* The command line of `run`."""
    parser = plain_parser(command)
    parser.add_argument("--config", required=True, metavar="FILE", help="YAML with `vars:` and `steps:`")
    parser.add_argument(
        "--set", action="append", default=[], type=key_value, metavar="NAME=VALUE", help="a variable of the file"
    )
    parser.add_argument("--rebuild", action="store_true", help="replace outputs whose options or inputs have changed")
    add_run_options(parser)
    given = parser.parse_args(argv)
    return PipelineOptions(given.config, dict(given.set), given.rebuild), _run_options(vars(given))
