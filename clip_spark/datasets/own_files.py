"""*Anywhere.* Which files of a folder a run wrote: by the names that only clip-spark gives.

A run that has not committed has no manifest to ask, and a folder that others use too must not lose a file of theirs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from clip_spark import storage
from clip_spark.errors import DatasetError

NUMBER = r"\d{5}(\d{3})?"
OF_A_RUN = re.compile(
    rf"""
    (plan|report|encoder|summary|tiles|regions)\.json | sources\.parquet | (describe|report)\.html
    | (rank-frequency|vocabulary-growth|map|poster|contact-sheet)\.png
    | (counts|records|embeddings|images|tags|hits|best|rejects|points|duplicates|examples)/{NUMBER}\.parquet
    | images/{NUMBER}\.tar
    | cells/{NUMBER}\.npz
    | frame/{NUMBER}\.(parquet|index|json) | names/{NUMBER}\.json
    | tiles/{NUMBER}\.(json|(image|text)-\d+-\d+-\d+((\.records)?\.arrow|\.\d+\.webp))
    | (jsonl|manifest)/{NUMBER}\.jsonl | receipts/{NUMBER}\.json
    | _work/([0-9a-f]{{32}}/.+|growth\.json)
    """,
    re.VERBOSE,
)
ASIDE = re.compile(
    r"(generations|parts|building)/[0-9a-f]{8}/.+ | history/[0-9a-f]{16}\.json",
    re.VERBOSE,
)
"""What lies below the folder of a generation needs no look at its name."""


def own_files(output: str, paths: Iterator[str]) -> Iterator[str]:
    """*Driver.* Those of some URIs below an output folder that clip-spark wrote; the claim `plan.json` comes last."""
    last = []
    for uri in paths:
        path = uri[len(output) :].lstrip("/")
        if path == "plan.json":
            last.append(uri)
        elif OF_A_RUN.fullmatch(path) or ASIDE.fullmatch(path):
            yield uri
    yield from last


def check_known(paths: Iterable[str]) -> None:
    """*Anywhere.* Raise DatasetError where a step writes what this file does not know: `clean` would leave it for ever.

    A killed run would then leave files that no later run of the same command may delete, and so cannot go on from.
    """
    for path in paths:
        if not OF_A_RUN.fullmatch(path):
            raise DatasetError(f"'{path}' is no name of a file of clip-spark's; own_files.py must know it.")


def files_of_run(place: str) -> list[str]:
    """*Driver.* The files of a run that was not committed, by their names; generations beside it are not among them."""
    folders = (place, storage.join(place, "_work"))  # the second is in no listing of the first
    found = (file.uri for folder in folders for file in storage.iter_files(folder))
    return [uri for uri in own_files(place, found) if OF_A_RUN.fullmatch(uri[len(place) :].lstrip("/"))]
