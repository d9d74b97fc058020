"""Records that kill every process that works on them: only they may be lost, each with its reason."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from clip_spark import storage
from clip_spark.datasets.manifest import read_manifest
from clip_spark.datasets.schema import record_id
from clip_spark.runtime.child_process import DEADLY
from tests.faults.bench import BASE, Bench
from tests.faults.compare import rows_of

if TYPE_CHECKING:
    from tests.faults.scenarios import Scenario

DEADLY_CODE = Path(__file__).parent / "deadly" / "sitecustomize.py"


def poison(running: Bench, scenario: Scenario, output: str) -> str:
    """Run where some records are deadly; exactly these must be rejected."""
    word, ids = deadly_picture() if scenario.step.command == "embed-images" else deadly_word()
    folder = running.folder / f"deadly-{scenario.step.command}"
    folder.mkdir()
    shutil.copy(DEADLY_CODE, folder)
    (folder / "armed").write_text(word)
    with running.application({"spark.executorEnv.PYTHONPATH": str(folder)}):
        running.run(scenario.step, output)
    found = read_manifest(output)
    assert found.rejects.get(DEADLY) == len(ids), f"rejected: {found.rejects}, deadly: {len(ids)}"
    wanted = rows_of(read_manifest(f"{BASE}/{scenario.step.dataset}"), "records")
    odd = rows_of(found, "records") != [row for row in wanted if row["record_id"] not in ids]
    assert not odd, "records other than the deadly ones are missing"
    return f", {len(ids)} rejected"


def deadly_word() -> tuple[str, set[str]]:
    """The rarest word of the texts, and the ids of the records that hold it."""
    records = rows_of(read_manifest(f"{BASE}/ngrams"), "records")
    holders = defaultdict(set)
    for row in records:
        for word in re.findall("[a-z]+", row["text"]):
            holders[word].add(row["record_id"])
    counts = Counter({word: -len(ids) for word, ids in holders.items() if len(word) > 3})
    word = counts.most_common(1)[0][0]
    return word, holders[word]


def deadly_picture() -> tuple[str, set[str]]:
    """sha1 of the first picture that can be read, and its id."""
    uri = rows_of(read_manifest(f"{BASE}/image-embeddings"), "records")[0]["uri"]
    return hashlib.sha1(storage.read_bytes(uri)).hexdigest(), {record_id(uri)}


def only_poison_is_missing(output: str, reference: str) -> str:
    """Judge: every record of the undisturbed run is there or rejected; `poison` has compared the rows."""
    found, wanted = (read_manifest(uri) for uri in (output, reference))
    totals = [manifest.rows + sum(manifest.rejects.values()) for manifest in (found, wanted)]
    return "" if totals[0] == totals[1] else f"{totals[0]} records accounted for, {totals[1]} undisturbed"
