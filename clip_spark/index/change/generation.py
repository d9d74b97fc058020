"""*Driver.* How an index replaces another in one folder: build a new generation aside, then make it official.

<index>/plan.json               the claim of the first build
<index>/parts/<generation>/     written aside; served once manifest.json names it
A build that fails, or that comes second, leaves what is served as it is and takes its own files away.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from clip_spark import storage
from clip_spark.datasets.apart import check_apart
from clip_spark.datasets.commit import TIME, Head, make_official, read_head
from clip_spark.datasets.manifest import INDEX, REPORT, Manifest, report, versions
from clip_spark.datasets.plan import PLAN, Plan, differences
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.retire import collect
from clip_spark.datasets.run import plan_of
from clip_spark.datasets.spec import fingerprint
from clip_spark.errors import ClipSparkError, OutputError
from clip_spark.index.change.replaced import REPLACED, drop_copies, names_replaced
from clip_spark.index.files.layout import BUILDING, FILES, PARTS, IndexFile, IndexInfo, index_info, read_index


def served(head: Head, plan: Plan, *, overwrite: bool) -> Manifest | None:
    """*Driver.* The index in this folder if it is what the plan would make; None if it must be built.

    Raises:
        OutputError: the folder holds something else and `overwrite` was not given, or it overlaps an input.
    """
    found = head.manifest
    if found is not None and found.fingerprint == plan.fingerprint and not overwrite:
        return found
    check_apart(head.uri, plan.inputs)
    if found is not None and found.kind != INDEX:
        raise OutputError(f"'{head.uri}' holds {found.kind}; an index does not replace it. Choose another --output.")
    if found is not None and not overwrite:
        raise OutputError(
            f"'{head.uri}' holds another {found.kind}: {'; '.join(differences(plan_of(found), plan))}. "
            "Choose another --output, or replace it with --overwrite; it is served until the new one is ready."
        )
    return None


def index_before(head: Head) -> IndexInfo | None:
    """*Pure.* The index that a build or an adoption replaces.

    What it learnt of hubs, and the index of another model beside it, stay in the folder with whatever comes.
    """
    return index_info(head.manifest) if head.manifest is not None and head.manifest.kind == INDEX else None


def begin_change(uri: str) -> tuple[Head, Manifest, IndexInfo]:
    """*Driver.* The index that a change starts from; raises InputError if there is none."""
    read_index(uri)  # says in words what is not there
    head = read_head(uri)
    if head.manifest is None:
        raise OutputError(f"'{uri}' has just been deleted.")
    return head, head.manifest, index_info(head.manifest)


@contextmanager
def new_generation(head: Head, plan: Plan) -> Iterator[str]:
    """*Driver.* The name of a fresh generation; its files are removed when the block fails.

    Never reused: a late task of a failed build must not write into the next one.
    """
    if head.manifest is None:
        storage.create_bytes(storage.join(head.uri, PLAN), _json(plan))
    generation = secrets.token_hex(4)
    try:
        yield generation
    except BaseException:
        with suppress(ClipSparkError, OSError):  # the first error is the one to report; `clean` finds what is left
            if not _is_official(head.uri, generation):  # a commit whose answer was lost may have succeeded
                storage.remove_tree(storage.join(head.uri, PARTS, generation))
        raise
    finally:
        with suppress(ClipSparkError, OSError):  # what was committed stays so
            storage.remove_tree(storage.join(head.uri, BUILDING, generation))


def _is_official(uri: str, generation: str) -> bool:
    found = read_head(uri).manifest
    return found is not None and any(path.startswith(f"{PARTS}/{generation}/") for path in found.owned())


def switch(head: Head, plan: Plan, info: IndexInfo, seconds: dict[str, float]) -> Manifest:
    """*Driver.* Make a generation official, and delete what was replaced longer ago than the grace time.

    Raises:
        OutputError: another writer was quicker.
    """
    place = f"{PARTS}/{info.generation}"
    manifest = Manifest(
        kind=plan.kind,
        fingerprint=plan.fingerprint,
        spec=plan.spec,
        inputs=plan.inputs,
        versions=versions(),
        created=time.strftime(TIME, time.gmtime()),
        receipts=_receipts(plan, info, seconds),
        extra=info.to_json(),
        uri=head.uri,
        place=place,
    )
    storage.write_json(manifest.locate(REPORT), report(manifest, sum(seconds.values())))
    storage.write_bytes(manifest.locate(PLAN), _json(plan))
    names = names_replaced(head, info)
    storage.write_json(manifest.locate(REPLACED), {"sha256": names})
    beside = {file.path: file.bytes for folder in FILES[1:] for file in getattr(info, folder)}
    if info.other is not None:
        beside |= {file.path: file.bytes for folder in FILES for file in getattr(info.other.info, folder)}
    for path in (f"{place}/{REPORT}", f"{place}/{PLAN}", f"{place}/{REPLACED}", PLAN):
        beside[path] = storage.file_size(storage.join(head.uri, path))
    manifest = make_official(head, dataclasses.replace(manifest, beside=beside))
    drop_copies(names)
    collect(manifest)
    return manifest


def _json(plan: Plan) -> bytes:
    return (json.dumps(dataclasses.asdict(plan), indent=1, ensure_ascii=False) + "\n").encode()


def _receipts(plan: Plan, info: IndexInfo, seconds: dict[str, float]) -> tuple[Receipt, ...]:
    first = {stage: round(value, 3) for stage, value in seconds.items()}
    return tuple(
        Receipt(
            shard=number,
            plan=plan.fingerprint,
            rows=part.rows,
            files={part.path: part.bytes},
            id_checksum=_identity(part, info),
            seconds=first if number == 0 else {},
        )
        for number, part in enumerate(info.parts)
    )


def _identity(part: IndexFile, info: IndexInfo) -> str:
    """*Pure.* What a part answers: its vectors, and how the index was calibrated; steps that asked it ask it again."""
    if info.calibration is None:
        return part.sha256
    return fingerprint([part.sha256, [file.sha256 for file in info.penalties], info.calibration.to_json()])
