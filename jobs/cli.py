"""`clip-spark COMMAND ...`: finds the command's file in this folder and calls its `main`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from itertools import groupby

from clip_spark import __version__
from clip_spark.commands.registry import COMMANDS
from clip_spark.commands.stdout import put
from clip_spark.errors import nearest


def usage() -> str:
    """*Pure.* The overview of commands, by group."""
    width = max(map(len, COMMANDS))
    lines = []
    for group, commands in groupby(COMMANDS.values(), key=lambda command: command.group):
        lines += ["", f"{group}:", *(f"  {command.name:<{width}}  {command.help}" for command in commands)]
    return "\n".join(
        [
            f"clip-spark {__version__}: text corpora and image sets -> CLIP embeddings -> indices, on Spark",
            *lines,
            "",
            "`clip-spark COMMAND --help` shows options and examples; `clip-spark demo` shows everything working.",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Dispatch to a command; returns its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        put(usage() + "\n")
        return 0
    name, *rest = arguments
    if name == "--version":
        sys.stdout.write(__version__ + "\n")
        return 0
    if name not in COMMANDS:
        sys.stderr.write(
            f"clip-spark: there is no command '{name}'.{nearest(name, COMMANDS)} See `clip-spark --help`.\n"
        )
        return 2
    return int(importlib.import_module(COMMANDS[name].module).main(rest))


if __name__ == "__main__":
    sys.exit(main())
