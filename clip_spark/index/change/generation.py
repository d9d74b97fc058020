"""*Driver.* How an index replaces another in one folder: build a new generation aside, then switch the manifest.

<index>/plan.json                       of the first build; says that the folder is ours
<index>/parts/<generation>/             written aside; served once manifest.json names it
A build that fails leaves what was served as it was, and takes its own files away.
"""

from __future__ import annotations

import dataclasses
import logging
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager

from clip_spark import storage
from clip_spark.datasets.manifest import MANIFEST, REPORT, Manifest, read_manifest, report, versions
from clip_spark.datasets.plan import PLAN, Plan, differences
from clip_spark.datasets.receipt import Receipt
from clip_spark.errors import OutputError
from clip_spark.index.files.layout import BUILDING, PARTS, IndexInfo

log = logging.getLogger(__name__)


def served(output: str, plan: Plan, *, overwrite: bool) -> Manifest | None:
    """*Driver.* The index in this folder if it is what the plan would make; None if it must be built.

    Raises:
        OutputError: the folder holds something else and `overwrite` was not given.
    """
    if storage.exists(storage.join(output, MANIFEST)):
        found = read_manifest(output)
        if found.fingerprint == plan.fingerprint and not overwrite:
            return found
        if not overwrite or found.kind != plan.kind:
            old = Plan(found.kind, found.spec, found.inputs, len(found.receipts))
            raise OutputError(
                f"'{output}' holds another {found.kind}: {'; '.join(differences(old, plan))}. "
                "Choose another --output, or replace it with --overwrite; it is served until the new one is ready."
            )
    elif not storage.exists(storage.join(output, PLAN)) and (files := storage.list_files(output)):
        raise OutputError(
            f"'{output}' already holds {len(files)} files that clip-spark did not plan (such as "
            f"'{storage.name(files[0].uri)}'). Choose another --output."
        )
    return None


@contextmanager
def new_generation(output: str, plan: Plan) -> Iterator[str]:
    """*Driver.* The name of a fresh generation; its files are removed when the block fails."""
    if not storage.exists(storage.join(output, PLAN)):
        storage.write_json(storage.join(output, PLAN), dataclasses.asdict(plan))
    # Never reused: a late task of a failed build must not write into the next one.
    generation = secrets.token_hex(4)
    try:
        yield generation
    except BaseException:
        storage.remove_tree(storage.join(output, PARTS, generation))
        raise
    finally:
        storage.remove_tree(storage.join(output, BUILDING))


def switch(output: str, plan: Plan, info: IndexInfo, seconds: dict[str, float]) -> Manifest:
    """*Driver.* Make a generation official in one atomic put, then delete the others."""
    manifest = Manifest(
        kind=plan.kind,
        fingerprint=plan.fingerprint,
        spec=plan.spec,
        inputs=plan.inputs,
        versions=versions(),
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        receipts=_receipts(plan, info, seconds),
        extra=info.to_json(),
        uri=output,
    )
    storage.write_json(storage.join(output, REPORT), report(manifest, sum(seconds.values())))
    storage.write_json(storage.join(output, PLAN), dataclasses.asdict(plan))
    storage.write_json(storage.join(output, MANIFEST), manifest.to_json())
    files = (*info.parts, *info.records, *info.vectors)
    _remove_others(output, {file.path.split("/")[1] for file in files})
    return manifest


def _receipts(plan: Plan, info: IndexInfo, seconds: dict[str, float]) -> tuple[Receipt, ...]:
    first = {stage: round(value, 3) for stage, value in seconds.items()}
    return tuple(
        Receipt(
            shard=number,
            plan=plan.fingerprint,
            rows=part.rows,
            files={part.path: part.bytes},
            id_checksum=part.sha256,
            seconds=first if number == 0 else {},
        )
        for number, part in enumerate(info.parts)
    )


def _remove_others(output: str, served: set[str]) -> None:
    place = storage.join(output, PARTS)
    found = {file.uri[len(place) :].strip("/").split("/")[0] for file in storage.list_files(place)}
    for other in sorted(found - served):
        log.info("removing the replaced generation %s", other)
        storage.remove_tree(storage.join(place, other))
