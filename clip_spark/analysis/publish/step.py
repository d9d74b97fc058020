"""*Driver.* publish: an index and its data in the layout of another tool, to a folder, a store or a hub; without Spark.

<output>/published.json     first: what this is, and which files there will be; the claim on the folder
<output>/...                the files of the layout, each whole or not there
<output>/README.md          the card
<output>/checksums.sha256   last: a publication is whole if and only if it is there
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import IO, Any

from clip_spark import storage
from clip_spark.analysis.publish.card import card
from clip_spark.analysis.publish.checksums import CHECKSUMS, write_checksums
from clip_spark.analysis.publish.contents import Contents
from clip_spark.analysis.publish.layouts import Source, files, folders
from clip_spark.analysis.publish.spec import CLAIM, PublishSpec
from clip_spark.analysis.publish.tags import TagsByPicture
from clip_spark.datasets.apart import check_apart
from clip_spark.datasets.manifest import read_manifest
from clip_spark.datasets.spec import fingerprint
from clip_spark.errors import OutputError
from clip_spark.index.files.part_writer import HashingStream
from clip_spark.storage import hub

CARD = "README.md"
FOLDER_ENDING = ".lance"
"""Of what is a folder among the files of a claim."""
log = logging.getLogger(__name__)


def publish(spec: PublishSpec) -> int:
    """*Driver.* Publish what of an index is not taken down; returns the number of rows.

    The same command goes on where it was killed. To a hub all goes in one commit, from a folder on this machine.

    Raises:
        InputError: there is no index, or nothing in it.
        OutputError: the output holds another publication, or files of somebody else; or records were taken down while
            this ran: then nothing is whole.
    """
    with _opened(spec) as source:
        contents = source.contents
        check_apart(storage.absolute(spec.output), _inputs(source))
        claim = _claim(spec, source)
        _check_output(spec, claim)
        if not hub.is_hub(spec.output):
            _write(spec.output, spec, source, claim)
        else:
            with hub.staging(claim["fingerprint"]) as folder:
                _write(folder, spec, source, claim)
                hub.upload(folder, spec.output, f"{len(contents.positions):,} rows by clip-spark")
        return len(contents.positions)


@contextmanager
def _opened(spec: PublishSpec) -> Iterator[Source]:
    """What is published; all of it is let go of at the end."""
    with ExitStack() as opened:
        contents = Contents(spec.index)
        opened.callback(contents.close)
        tags = TagsByPicture(read_manifest(spec.tags, "tags")) if spec.tags else None
        if tags is not None:
            opened.callback(tags.close)
        yield Source(contents, tags, read_manifest(spec.map, "map") if spec.map else None)


def _inputs(source: Source) -> dict[str, dict[str, Any]]:
    """The datasets that are published, as plans name inputs."""
    tags = source.tags.manifest if source.tags else None
    found = {"index": source.contents.manifest, "tags": tags, "map": source.map}
    return {name: one.as_input() for name, one in found.items() if one is not None}


def _claim(spec: PublishSpec, source: Source) -> dict[str, Any]:
    """What this publication is; equal claims go on with each other's files."""
    contents = source.contents
    names = [*files(source, spec.layout, spec.file_rows), *folders(source, spec.layout), CARD]
    content = [contents.fingerprint, spec.layout, spec.file_rows, spec.license, spec.name]
    content += [one["fingerprint"] for name, one in _inputs(source).items() if name != "index"]
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


def _write(folder: str, spec: PublishSpec, source: Source, claim: dict[str, Any]) -> None:
    """*Driver.* Write what is not there yet; of another publication nothing stays, its checksums go first."""
    contents = source.contents
    place = storage.join(folder, CLAIM)
    before = storage.read_json(place) if storage.exists(place) else claim
    same = before.get("fingerprint") == claim["fingerprint"]
    if same and storage.exists(storage.join(folder, CHECKSUMS)) and not spec.overwrite:
        log.info("'%s' is published already", folder)
        return
    storage.remove_files([storage.join(folder, CHECKSUMS)])
    if not same or spec.overwrite:
        _remove(folder, before)
    if not same or not storage.exists(place):
        storage.write_json(place, claim)
    title = spec.name or storage.name(spec.output)
    found = {CLAIM: storage.sha256_of(place)}
    writers = {
        **files(source, spec.layout, spec.file_rows),
        CARD: lambda stream: stream.write(card(spec, contents, title).encode()),
    }
    for name, write in writers.items():
        found[name] = _written(storage.join(folder, name), write)
    for name, make in folders(source, spec.layout).items():
        storage.remove_tree(storage.join(folder, name))  # what a killed run has left there has other names
        for path, place in make():
            found[path] = _copied(place, storage.join(folder, path))
    if contents.changed():
        _remove(folder, claim)
        raise OutputError(
            f"Records were taken down from '{spec.index}' while it was published; what was written is deleted. "
            "Run the same command again."
        )
    write_checksums(folder, found)


def _remove(folder: str, claim: dict[str, Any]) -> None:
    """Take away the files of a publication."""
    for name in claim.get("files", ()):
        place = storage.join(folder, name)
        if name.endswith(FOLDER_ENDING):
            storage.remove_tree(place)
        else:
            storage.remove_files([place])


def _copied(place: str, uri: str) -> str:
    """The sha256 of a file of this disk, which is copied."""
    with open(place, "rb") as stream:
        return _written(uri, partial(shutil.copyfileobj, stream))


def _written(uri: str, write: Callable[[IO[bytes]], object]) -> str:
    """The sha256 of a file, which is written unless a killed run has left it whole."""
    if storage.exists(uri):
        return storage.sha256_of(uri)
    with storage.open_write(uri) as stream:
        hashed = HashingStream(stream)
        write(hashed)  # type: ignore[arg-type]
    log.info("%s: %s bytes", storage.name(uri), f"{hashed.bytes:,}")
    return str(hashed.figures()["sha256"])
