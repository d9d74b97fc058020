"""*Driver.* What runs leave behind that nobody has committed: deleted only when none of their writers can commit."""

from __future__ import annotations

from contextlib import suppress

from clip_spark import storage
from clip_spark.datasets.commit import Head, close, named_places, read_head, read_open_head, reopen
from clip_spark.datasets.manifest import MANIFEST
from clip_spark.datasets.own_files import files_of_run, own_files
from clip_spark.datasets.plan import found_plan
from clip_spark.errors import OutputError, StorageError


def delete_unfinished(uri: str) -> None:
    """*Driver.* Bar all writers of a dataset that was never committed, delete what they wrote, let others begin.

    The claim goes last: a deletion that is stopped is found, and goes on. Nothing happens to what is official.
    """
    if token := close(uri):
        storage.remove_files(own_files(uri, (file.uri for _, file, _ in storage.iter_everything(uri))))
        reopen(uri, token)


def drop_superseded(uri: str) -> None:
    """*Driver.* What a run left at the top that was never finished, once a generation beside it has become official.

    Only that of a dataset that names no file there; that run can commit no more, for it began before this commit.
    """
    with suppress(OSError, StorageError):  # the commit is done; `clean` finds it
        manifest = read_head(uri).manifest
        if manifest is not None and "" not in named_places(manifest):
            storage.remove_files(files_of_run(uri))


def claimable(head: Head) -> Head:
    """*Driver.* The head for a writer that will claim this folder, unless it is claimed already.

    A run that was cleaned away while it was alive may have left files since; they go.

    Raises:
        OutputError: there are files that clip-spark did not plan.
    """
    if head.manifest is not None or found_plan(head.uri) is not None:
        return head
    files = _files_besides(head)
    if files and head.version and any(own_files(head.uri, iter(files))):
        delete_unfinished(head.uri)
        head = read_open_head(head.uri)
        files = _files_besides(head)
    if files:
        raise OutputError(
            f"'{head.uri}' already holds {len(files)} files that clip-spark did not plan (such as "
            f"'{storage.name(files[0])}'); it deletes only what it wrote. Choose another --output."
        )
    return head


def _files_besides(head: Head) -> list[str]:
    return [file.uri for file in storage.list_files(head.uri) if file.uri != storage.join(head.uri, MANIFEST)]
