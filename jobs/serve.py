"""serve: a search page and an HTTP API over one or more indices; without Spark."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from clip_spark.commands.console import guarded, say
from clip_spark.commands.options import RunOptions, parse_spec
from clip_spark.errors import UserError
from clip_spark.web.spec import ServeSpec

EXAMPLES = (
    ("the page over one index", "clip-spark serve --index demo-out/image-index"),
    ("pictures and words, under names", "clip-spark serve --index images=out/image-index,words=out/ngram-index"),
    ("open to the network, on a port of your own", "clip-spark serve --index index/ --host 0.0.0.0 --port 1234"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """*Driver.* Parse and serve until Ctrl-C; returns the exit status."""

    def work() -> None:
        spec, options = parse_spec("clip-spark serve", ServeSpec, EXAMPLES, argv, spark=False)
        try:
            from clip_spark.web import server
        except ModuleNotFoundError as error:
            raise UserError(f"serve needs '{error.name}': pip install 'clip-spark[web]'.") from error
        server.run(spec, lambda address, indices: announce(address, indices, options))

    return guarded("serve", work)


def announce(address: str, indices: Sequence[str], options: RunOptions) -> None:
    """*Driver.* Say on stdout where the page is."""
    if options.json:
        say(json.dumps({"event": "ready", "url": address}))
    else:
        say("\n".join([*indices, f"Serving {address}  (Ctrl-C ends it)"]))
    sys.stdout.flush()  # whoever started it through a pipe waits for this line


if __name__ == "__main__":
    sys.exit(main())
