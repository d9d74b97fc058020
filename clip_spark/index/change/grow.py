"""*Driver.* build-index on embeddings that have grown: is it enough to add what is new, or must all be built again?"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from clip_spark.datasets.manifest import INDEX, Manifest
from clip_spark.datasets.plan import Plan
from clip_spark.errors import OutputError
from clip_spark.index.build.embedding_sets import SHARDS
from clip_spark.index.change.new_rows import held_sources
from clip_spark.index.files.keys import is_exact, lists_of
from clip_spark.index.files.layout import index_info
from clip_spark.index.specs import MOST_PARTS

log = logging.getLogger(__name__)

OUTGROWN = 2
"""So many times the lists that the index has would be chosen now: then it is built again."""


def is_of(index: Manifest | None, plan: Plan, sets: Sequence[Manifest]) -> bool:
    """*Pure.* True if an index was built with these options of these sets, as they are now or as they were."""
    if index is None or (index.kind, index.spec) != (INDEX, plan.spec):
        return False
    return all(one.uri in held_sources(index) for one in sets)


def is_current(index: Manifest, sets: Sequence[Manifest]) -> bool:
    """*Pure.* True if the index holds these sets as they are now; it may hold others too, that were appended."""
    held = held_sources(index)
    return all(held[one.uri]["fingerprint"] == one.content_fingerprint for one in sets)


def can_grow(index: Manifest, sets: Sequence[Manifest], key: str) -> bool:
    """*Driver.* True if it is enough to add what is new; False if the index must be built again: the log says why.

    Args:
        index: what is official.
        sets: that it was built of, as they are now.
        key: that would be chosen for them now.

    Raises:
        OutputError: it must be built again, and that would lose other sets that were appended to it.
    """
    why = _why_not(index, sets, key)
    if not why:
        return True
    others = sorted(held_sources(index).keys() - {one.uri for one in sets})
    if others:
        raise OutputError(
            f"'{index.uri}' must be built again: {why}; but it also holds {', '.join(others)}. "
            "Build it of all sets with --overwrite and several --embeddings, or append those again afterwards."
        )
    log.info("'%s' is built again: %s", index.uri, why)
    return False


def _why_not(index: Manifest, sets: Sequence[Manifest], key: str) -> str:
    held = held_sources(index)
    for one in sets:
        if SHARDS not in held[one.uri]:
            return f"an older version did not note of which shards of '{one.uri}' it was made"
        gone = len(set(held[one.uri][SHARDS]) - {receipt.identity for receipt in one.receipts})
        if gone:
            return f"{gone} shards of '{one.uri}' that it was made of are no longer there"
    info = index_info(index)
    if is_exact(info.key) != is_exact(key) or lists_of(key) > OUTGROWN * lists_of(info.key):
        return f"{sum(one.rows for one in sets):,} vectors have outgrown '{info.key}'"
    return f"it has {len(info.parts)} parts already" if len(info.parts) >= MOST_PARTS else ""
