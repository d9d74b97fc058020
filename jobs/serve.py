"""`clip-spark serve`: a search page and an HTTP API over one or more indices; without Spark."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from clip_spark.commands.console import command_main, say
from clip_spark.commands.options import RunOptions
from clip_spark.errors import UserError
from clip_spark.web.spec import ServeSpec


def main(argv: Sequence[str] | None = None) -> int:
    """Parse and serve until Ctrl-C; returns the exit status."""

    def work(spec: ServeSpec, options: RunOptions) -> None:
        try:
            from clip_spark.web import server
        except ModuleNotFoundError as error:
            raise UserError(f"serve needs '{error.name}': pip install 'clip-spark[web]'.") from error
        server.run(spec, lambda address, indices: announce(address, indices, options))

    return command_main("serve", argv, work)


def announce(address: str, indices: Sequence[str], options: RunOptions) -> None:
    """Say on stdout where the page is."""
    if options.json:
        say(json.dumps({"event": "ready", "url": address}))
    else:
        say("\n".join([*indices, f"Serving {address}  (Ctrl-C ends it)"]))
    sys.stdout.flush()  # whoever started it through a pipe waits for this line


if __name__ == "__main__":
    sys.exit(main())
