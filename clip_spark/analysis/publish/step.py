"""*Driver.* publish: an index and its data in the layout of another tool, to a folder, a store or a hub; without Spark.

<output>/published.json     first: what this is, and which files there will be; the claim on the folder
<output>/...                the files of the layout, each whole or not there
<output>/README.md          the card
<output>/checksums.sha256   last: a publication is whole if and only if it is there
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import IO, Any

from clip_spark import storage
from clip_spark.analysis.publish.card import card
from clip_spark.analysis.publish.checksums import CHECKSUMS, sha256_of, write_checksums
from clip_spark.analysis.publish.contents import Contents
from clip_spark.analysis.publish.layouts import files
from clip_spark.analysis.publish.spec import PublishSpec
from clip_spark.datasets.apart import check_apart
from clip_spark.datasets.spec import fingerprint
from clip_spark.errors import OutputError
from clip_spark.index.files.part_writer import HashingStream
from clip_spark.storage import hub

CLAIM, CARD = "published.json", "README.md"
log = logging.getLogger(__name__)


def publish(spec: PublishSpec) -> int:
    """*Driver.* Publish what of an index is not taken down; returns the number of rows.

    The same command goes on where it was killed. To a hub all goes in one commit, from a folder on this machine.

    Raises:
        InputError: there is no index, or nothing in it.
        OutputError: the output holds another publication, or files of somebody else; or records were taken down while
            this ran: then nothing is whole.
    """
    contents = Contents(spec.index)
    try:
        check_apart(storage.absolute(spec.output), {"index": contents.manifest.as_input()})
        claim = _claim(spec, contents)
        _check_output(spec, claim)
        if not hub.is_hub(spec.output):
            _write(spec.output, spec, contents, claim)
        else:
            with hub.staging(claim["fingerprint"]) as folder:
                _write(folder, spec, contents, claim)
                hub.upload(folder, spec.output, f"{len(contents.positions):,} rows by clip-spark")
        return len(contents.positions)
    finally:
        contents.close()


def _claim(spec: PublishSpec, contents: Contents) -> dict[str, Any]:
    """What this publication is; equal claims go on with each other's files."""
    names = [*files(contents, spec.layout, spec.file_rows), CARD]
    content = [contents.fingerprint, spec.layout, spec.file_rows, spec.license, spec.name]
    return {
        "fingerprint": fingerprint(content),
        "layout": spec.layout,
        "rows": len(contents.positions),
        "encoder": dict(contents.info.encoder),
        "index": {"fingerprint": contents.manifest.content_fingerprint, "generation": contents.info.generation},
        "versions": contents.manifest.versions,
        "files": names,
    }


def _check_output(spec: PublishSpec, claim: dict[str, Any]) -> None:
    """*Driver.* Refuse what is not ours to write; raises OutputError."""
    place = storage.join(spec.output, CLAIM)
    if not storage.exists(place):
        if not hub.is_hub(spec.output) and storage.list_files(spec.output):
            raise OutputError(f"'{spec.output}' holds files that publish did not write; choose another --output.")
        return
    before = storage.read_json(place)
    whole = storage.exists(storage.join(spec.output, CHECKSUMS))
    if before.get("fingerprint") != claim["fingerprint"] and whole and not spec.overwrite:
        raise OutputError(
            f"'{spec.output}' holds another publication (of {before.get('rows', 0):,} rows); choose another --output, "
            "or replace it with --overwrite."
        )


def _write(folder: str, spec: PublishSpec, contents: Contents, claim: dict[str, Any]) -> None:
    """*Driver.* Write what is not there yet; of another publication nothing stays, its checksums go first."""
    place = storage.join(folder, CLAIM)
    before = storage.read_json(place) if storage.exists(place) else claim
    same = before.get("fingerprint") == claim["fingerprint"]
    if same and storage.exists(storage.join(folder, CHECKSUMS)) and not spec.overwrite:
        log.info("'%s' is published already", folder)
        return
    storage.remove_files([storage.join(folder, CHECKSUMS)])
    if not same or spec.overwrite:
        storage.remove_files([storage.join(folder, name) for name in before.get("files", ())])
    if not same or not storage.exists(place):
        storage.write_json(place, claim)
    title = spec.name or storage.name(spec.output)
    found = {CLAIM: sha256_of(place)}
    writers = {
        **files(contents, spec.layout, spec.file_rows),
        CARD: lambda stream: stream.write(card(spec, contents, title).encode()),
    }
    for name, write in writers.items():
        found[name] = _written(storage.join(folder, name), write)
    if contents.changed():
        storage.remove_files([storage.join(folder, name) for name in claim["files"]])
        raise OutputError(
            f"Records were taken down from '{spec.index}' while it was published; what was written is deleted. "
            "Run the same command again."
        )
    write_checksums(folder, found)


def _written(uri: str, write: Callable[[IO[bytes]], object]) -> str:
    """The sha256 of a file, which is written unless a killed run has left it whole."""
    if storage.exists(uri):
        return sha256_of(uri)
    with storage.open_write(uri) as stream:
        hashed = HashingStream(stream)
        write(hashed)  # type: ignore[arg-type]
    log.info("%s: %s bytes", storage.name(uri), f"{hashed.bytes:,}")
    return str(hashed.figures()["sha256"])
