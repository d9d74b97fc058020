"""*Driver.* export-tags: tags to where people use them; undone byte for byte; each shard is one task.

<output>/export.json   first: what is exported, and how; the claim on the folder
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from clip_spark import storage
from clip_spark.analysis.exported_tags import edits
from clip_spark.analysis.exported_tags.beside import Place, is_file
from clip_spark.analysis.exported_tags.edits import Edit
from clip_spark.analysis.exported_tags.one_file import FILE_NOTE, FolderTable, common_folder, write_csv
from clip_spark.analysis.exported_tags.rows import Tagged, tagged_pictures
from clip_spark.analysis.exported_tags.spec import CSV, IMAGEFOLDER, ExportTagsSpec
from clip_spark.datasets.apart import check_apart
from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.datasets.receipt import shard_name
from clip_spark.datasets.spec import fingerprint
from clip_spark.datasets.tables import Table
from clip_spark.errors import InputError, OutputError, Rejected
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import map_items

CLAIM = "export.json"
ON_DRIVER = 8
"""Shards that are not worth a JVM."""


@dataclass(frozen=True)
class ExportTask:
    """*Worker.* Gives the pictures of one shard their tags; picklable."""

    output: str
    place: Place
    top: int
    min_score: float
    dry_run: bool

    def __call__(self, item: tuple[int, str]) -> Counter[str]:
        """Look at all files, note what will change, change it."""
        shard, uri = item
        done = storage.join(self.output, edits.DONE, f"{shard_name(shard)}.json")
        if storage.exists(done):
            return Counter(storage.read_json(done))
        counts: Counter[str] = Counter()
        journal = storage.join(self.output, edits.JOURNAL, f"{shard_name(shard)}.parquet")
        found = list(edits.noted(journal)) if storage.exists(journal) else self._edits(uri, counts)
        if self.dry_run:
            return counts + _would(found)
        counts += edits.make(self.output, edits.note(self.output, shard, found))
        if not counts[edits.STOPPED]:
            storage.write_json(done, counts)
        return counts

    def _edits(self, uri: str, counts: Counter[str]) -> list[Edit]:
        found = []
        for picture, tags in tagged_pictures(uri, self.top, self.min_score):
            counts["pictures"] += 1
            try:
                edit = self.place.edit(picture, [word for word, _ in tags], counts)
            except Rejected as error:
                counts[f"left alone: {error.reason}"] += 1
                continue
            if edit is not None:
                found.append(edit)
        return found


def _would(found: list[Edit]) -> Counter[str]:
    return Counter("files that would be changed" if edit.existed else "files that would be new" for edit in found)


@dataclass(frozen=True)
class UndoTask:
    """*Worker.* Gives back the files of one journal; picklable."""

    def __call__(self, journal: str) -> Counter[str]:
        """Undo; done again it finds them as they were."""
        return edits.undo(edits.noted(journal))


def export_tags(get_spark: SessionSource, spec: ExportTagsSpec) -> Table:
    """*Driver.* Write tags where other programs read them; returns what became of the files, counted.

    The same command goes on where it was killed. Nothing that is there is lost: tags are added behind others.

    Raises:
        InputError: there are no tags.
        OutputError: --output holds another export, or one that was undone.
    """
    output = storage.absolute(spec.output)
    if spec.undo:
        return _table("undone", _undo(get_spark, output))
    tags = read_manifest(spec.tags, "tags")
    check_apart(output, {"tags": tags.as_input()})
    if not spec.dry_run:
        _claim(spec, tags, output)
    files = tags.files("tags")
    if spec.format in (CSV, IMAGEFOLDER):
        return _table("tags", _one_file(spec, output, files))
    place = Place(spec.format, spec.in_file, spec.names)
    work = ExportTask(output, place, spec.top, spec.min_score, spec.dry_run)
    if len(files) <= ON_DRIVER:
        found = [work(item) for item in enumerate(files)]
    else:
        found = map_items(get_spark(), "export-tags", list(enumerate(files)), work)
    return _table("tags", sum(found, Counter()))


def _claim(spec: ExportTagsSpec, tags: Manifest, output: str) -> None:
    """Take the folder for this export; raises OutputError."""
    options = {name: getattr(spec, name) for name in ("format", "in_file", "names", "top", "min_score")}
    claim = {"tags": tags.as_input(), **options}
    if storage.exists(storage.join(output, edits.UNDONE)):
        raise OutputError(f"The export in '{output}' was undone; choose another --output.")
    place = storage.join(output, CLAIM)
    if not storage.exists(place) and storage.list_files(output):
        raise OutputError(f"'{output}' holds files that export-tags did not write; choose another --output.")
    storage.create_bytes(place, (json.dumps(claim, indent=1) + "\n").encode())
    if fingerprint(storage.read_json(place)) != fingerprint(claim):
        raise OutputError(
            f"'{output}' holds the notes of another export, with which it can be undone; choose another --output, or "
            f"undo that first: clip-spark export-tags --undo --output {output}"
        )


def _one_file(spec: ExportTagsSpec, output: str, files: list[str]) -> Counter[str]:
    def pictures() -> Iterator[Tagged]:
        for uri in files:
            yield from tagged_pictures(uri, spec.top, spec.min_score)

    if spec.dry_run:
        return Counter(pictures=sum(1 for _ in pictures()))
    if spec.format == CSV:
        return write_csv(output, pictures())
    folder = common_folder(uri for uri, _ in pictures() if is_file(uri))
    return FolderTable(output, folder).write(pictures)


def _undo(get_spark: SessionSource, output: str) -> Counter[str]:
    if not storage.exists(storage.join(output, CLAIM)):
        raise InputError(f"'{output}' holds no export of tags; --output names the folder that export-tags was given.")
    storage.write_json(storage.join(output, edits.UNDONE), {"undone": True})
    counts: Counter[str] = Counter()
    if storage.exists(note := storage.join(output, FILE_NOTE)):
        counts += FolderTable(output, storage.read_json(note)["path"].rpartition("/")[0]).undo()
    listed = storage.list_files(storage.join(output, edits.JOURNAL))
    journals = [file.uri for file in listed if file.uri.endswith(".parquet")]
    if len(journals) <= ON_DRIVER:
        return sum(map(UndoTask(), journals), counts)
    return sum(map_items(get_spark(), "export-tags", journals, UndoTask()), counts)


def _table(title: str, counts: Counter[str]) -> Table:
    return Table(title, ("what", "number"), [(what, number) for what, number in counts.items() if number])
