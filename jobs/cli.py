"""`clip-spark COMMAND ...`: finds the command's file in this folder and calls its `main`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from clip_spark import __version__
from clip_spark.errors import nearest

COMMANDS = {
    "count-ngrams": "corpus -> counts: every n-gram above the min count",
    "filter-ngrams": "counts -> records: ranked, cut, cleaned",
    "make-records": "rows of text or tables -> records, duplicates removed",
    "embed-text": "records -> embeddings",
    "embed-images": "folders, webdataset tars or parquet of pictures -> embeddings",
    "build-index": "embeddings -> index",
    "search": "query -> hits, in the terminal",
    "serve": "search page and HTTP API over indices",
    "tag-images": "image embeddings x text index -> tags",
    "search-index": "a dataset of queries x index -> hits",
    "describe-set": "image embeddings x text index -> how each class of text describes the set",
    "remove-records": "take records of an index down, at once and for good",
    "run": "a YAML of steps: all of it, skipping what is done",
    "plan": "how many shards, bytes, hours and how much money a run will take",
    "submit": "run a step on EMR, EMR Serverless, Dataproc or a standalone cluster",
    "clean": "delete what killed jobs left behind",
    "demo": "the whole way once, on bundled or your own data",
}


def usage() -> str:
    """*Pure.* The overview of commands."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            f"clip-spark {__version__}: text corpora and image sets -> CLIP embeddings -> indices, on Spark",
            "",
            *lines,
            "",
            "`clip-spark COMMAND --help` shows options and examples; `clip-spark demo` shows everything working.",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Dispatch to a command; returns its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        sys.stdout.write(usage() + "\n")
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
    module = importlib.import_module(f"clip_spark.jobs.{name.replace('-', '_')}")
    return int(module.main(rest))


if __name__ == "__main__":
    sys.exit(main())
