"""export-tags that is disturbed: in the end every picture has its tags beside it, and undo gives every file back."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

from clip_spark import storage
from clip_spark.analysis.exported_tags.edits import MADE, STOPPED, THERE
from clip_spark.analysis.exported_tags.spec import ExportTagsSpec
from clip_spark.analysis.exported_tags.step import export_tags
from clip_spark.analysis.exported_tags.xmp import add_words
from clip_spark.errors import ClipSparkError
from tests.faults.bench import BASE, Bench
from tests.faults.victims import KILLS
from tests.helpers_tags import write_tags
from tests.services.proxy import every

if TYPE_CHECKING:
    from tests.faults.scenarios import Scenario

PICTURES = f"{BASE}/in/pictures"
WORDS = ("red fox", "snow & ice", "größe")


def export_and_kill(victim: str) -> Callable[[Bench, Scenario, str], str]:
    """Kill a process of the cluster while this process is the driver."""

    def disturb(running: Bench, scenario: Scenario, output: str) -> str:
        spec, again = _prepared(output), ""
        with running.when(scenario.moment, spec.output, lambda: KILLS[victim](running.cluster)) as happened:
            try:
                export_tags(running.source(), spec)
            except ClipSparkError:
                again = ", run again"
        assert happened and happened[0] != "0", "the fault did not happen"
        return again + _finished(running, spec)

    return disturb


def export_and_kill_driver(running: Bench, scenario: Scenario, output: str) -> str:
    """SIGKILL of the whole driver, then the same command again, here."""
    spec, started = _prepared(output), list[subprocess.Popen[str]]()
    with running.when(scenario.moment, spec.output, lambda: os.killpg(started[0].pid, signal.SIGKILL) or 1) as happened:
        started.append(_submitted(running, spec))
        said, _ = started[0].communicate(timeout=running.driver_seconds)
    assert happened, f"the fault did not happen: {said[-800:]}"
    return ", run again" + _finished(running, spec)


def export_in_a_storm(running: Bench, _scenario: Scenario, output: str) -> str:
    """Faults of all kinds in a tenth of all requests, also while it is undone."""
    spec = _prepared(output)
    running.proxy.choose = every("mixed", one_in=10)
    before = running.proxy.faults
    export_tags(running.source(), spec)
    return f", {running.proxy.faults - before} faults" + _finished(running, spec)


def export_twice(running: Bench, _scenario: Scenario, output: str) -> str:
    """The same command twice at the same time."""
    spec = _prepared(output)
    both = [_submitted(running, spec) for _ in range(2)]
    said = [one.communicate(timeout=running.driver_seconds)[0] for one in both]
    statuses = [one.returncode for one in both]
    assert statuses == [0, 0], f"exit statuses {statuses}: {said[0][-400:]} {said[1][-400:]}"
    return _finished(running, spec)


def export_and_undo(running: Bench, scenario: Scenario, output: str) -> str:
    """It is undone while it runs: it stops, and what it has written since is given back by the next undo."""
    spec = _prepared(output)
    with running.when(scenario.moment, spec.output, lambda: _undo(running, spec) or 1) as happened:
        counts = dict(export_tags(running.source(), spec).rows)
    assert happened and counts.get(STOPPED), f"it did not stop: {counts}"
    _undo(running, spec)
    return f", stopped, files written before: {counts.get(MADE, 0)}"


def pictures_differ(output: str, _reference: str) -> str:
    """A phrase where the folder of pictures is not what it was before any tag, to the byte."""
    found, wanted = _files(_pictures_of(output)), _files(PICTURES)
    return next((f"other {name}" for name in sorted({*found, *wanted}) if found.get(name) != wanted.get(name)), "")


def _prepared(output: str) -> ExportTagsSpec:
    """Pictures of its own, and tags for them in many shards; what they are exported with."""
    place = _pictures_of(output)
    names = sorted(file.uri.rpartition("/")[2] for file in storage.list_files(PICTURES) if "broken" not in file.uri)
    for name, data in _files(PICTURES).items():
        storage.write_bytes(f"{place}/{name}", data)
    write_tags(output, [f"{place}/{name}" for name in names], WORDS)
    return ExportTagsSpec(tags=output, output=f"{output}-exported")


def _finished(running: Bench, spec: ExportTagsSpec) -> str:
    """The same command to its end: every picture has its tags, and stays as it was; then undone."""
    counts = dict(export_tags(running.source(), spec).rows)
    found, wanted = _files(_pictures_of(spec.tags)), _files(PICTURES)
    sidecar = add_words(b"", WORDS)
    tagged = {f"{name}.xmp": sidecar for name in wanted if "broken" not in name}
    assert found == wanted | tagged, f"{len(found)} files, {len(wanted | tagged)} wanted: {counts}"
    assert counts.get(MADE, 0) + counts.get(THERE, 0) == len(tagged), f"counted otherwise: {counts}"
    _undo(running, spec)
    return ", undone"


def _undo(running: Bench, spec: ExportTagsSpec) -> None:
    export_tags(running.source(), ExportTagsSpec(output=spec.output, undo=True))


def _submitted(running: Bench, spec: ExportTagsSpec) -> subprocess.Popen[str]:
    return running.start("export-tags", "--tags", spec.tags, "--output", spec.output)


def _pictures_of(output: str) -> str:
    return f"{output}-pictures"


def _files(uri: str) -> dict[str, bytes]:
    return {file.uri.rpartition("/")[2]: storage.read_bytes(file.uri) for file in storage.list_files(uri)}
