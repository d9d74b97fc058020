"""`clip-spark demo`: the whole way once, on the bundled words and pictures or on your own folders.

Copies what it needs into `--work`, runs `conf/pipelines/demo.yaml`, and shows what came out. A second run finds every
step done.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files

from clip_spark import storage
from clip_spark.commands.console import guarded, say, show_table, spark_source
from clip_spark.commands.demo_data import unpack
from clip_spark.commands.entry import load
from clip_spark.commands.options import RunOptions, plain_parser
from clip_spark.commands.pipeline import Outcome, outcome_table, read_pipeline, run_pipeline
from clip_spark.commands.registry import COMMANDS, STEPS
from clip_spark.datasets.tables import Table
from clip_spark.errors import InputError

QUERIES = ("dog", "broken heart", "flag of Japan")
HITS = 5


@dataclass(frozen=True)
class DemoOptions:
    """Where the demo works, and on what; empty folders mean the bundled data."""

    work: str
    corpus: str
    images: str
    model: str
    queries: tuple[str, ...]


def parse(argv: Sequence[str] | None) -> DemoOptions:
    """The command line of the demo."""
    parser = plain_parser(COMMANDS["demo"])
    parser.add_argument("--work", default="demo-out", help="folder for data and results (default: demo-out)")
    parser.add_argument("--corpus", default="", help="folder of text files (default: bundled names of emoji)")
    parser.add_argument("--images", default="", help="folder or webdataset tars of pictures (default: bundled emoji)")
    parser.add_argument("--model", default="demo", help="encoder (default: demo, which knows emoji only)")
    parser.add_argument("--query", action="append", help="a text to search the pictures with; repeatable")
    given = parser.parse_args(argv)
    return DemoOptions(given.work, given.corpus, given.images, given.model, tuple(given.query or QUERIES))


def settings_of(options: DemoOptions) -> dict[str, str]:
    """Variables of the pipeline; bundled data is unpacked where no folder of the user's is given.

    Raises:
        InputError: a folder that was named is not there.
    """
    for name, uri in (("corpus", options.corpus), ("images", options.images)):
        if uri and not storage.list_files(uri):
            raise InputError(f"--{name} '{uri}' does not exist or holds no files.")
    corpus, images = options.corpus, options.images
    if not (corpus and images):
        bundled_corpus, bundled_pictures = unpack(options.work)
        corpus, images = corpus or bundled_corpus, images or bundled_pictures
    return {"work": options.work, "corpus": corpus, "images": images, "model": options.model}


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, show; returns the exit status."""

    def work() -> None:
        options = parse(argv)
        with as_file(files("clip_spark.conf") / "pipelines" / "demo.yaml") as config:
            steps = read_pipeline(str(config), settings_of(options), STEPS)
        # Stale results are the demo's own: a new corpus or model simply replaces them.
        outcomes = run_pipeline(spark_source("demo", RunOptions()), steps, rebuild=True)
        show(outcomes, options)

    return guarded("demo", work)


def show(outcomes: list[Outcome], options: DemoOptions) -> None:
    """Tables of what came out, and what to type next."""
    made = {storage.name(outcome.manifest.uri): outcome for outcome in outcomes}
    for name in ("ngrams", "tags"):
        outcome = made[name]
        for table in load(STEPS[outcome.name].preview)(outcome.manifest):
            show_table(table)
    show_table(hits_table(made["image-index"].manifest.uri, options.queries))
    show_table(outcome_table(outcomes))
    say(next_commands(options))


def hits_table(index: str, queries: Sequence[str]) -> Table:
    """The best pictures for each query, with their scores."""
    from clip_spark.search.searcher import Searcher

    searcher = Searcher.open(index)
    rows = [
        (query, hit.rank, hit.score, hit.record.get("caption") or storage.name(hit.record["uri"]))
        for query in queries
        for hit in searcher.search_text(query, HITS)
    ]
    return Table("pictures found by words", ("query", "rank", "score", "picture"), rows)


def next_commands(options: DemoOptions) -> str:
    """What to type next."""
    work = shlex.quote(options.work)
    return "\n".join(
        [
            "Next:",
            f'  clip-spark search --index {work}/image-index --text "pizza slice" -k 5',
            f'  clip-spark search --index {work}/ngram-index --text "crying face" -k 5',
            f"  clip-spark search --index {work}/image-index   (a prompt)",
            f"  clip-spark serve --index pictures={work}/image-index --index words={work}/ngram-index",
            "  clip-spark demo --corpus YOUR_TEXTS --images YOUR_PICTURES --work my-out",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
