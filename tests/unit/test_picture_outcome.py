"""When embed-images is a failure: nothing came out, or more was rejected than may be; all is kept either way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from clip_spark.datasets import schema
from clip_spark.datasets.embeddings import embedding_table
from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.shards import ShardWriter
from clip_spark.embed.outcome import checked, rejects_table
from clip_spark.embed.specs import EmbedImagesSpec
from clip_spark.errors import ClipSparkError, SpecError

ID = pa.schema([("record_id", pa.string())])


def committed(folder: Path, rows: int, rejects: list[tuple[str, str, str]]) -> Manifest:
    run = begin_run(str(folder), Plan("embeddings", {}, {}, 1), overwrite=False)
    ids = [str(number) for number in range(rows)]
    with ShardWriter(run.output, run.plan.fingerprint, 0, {"embeddings": schema.EMBEDDINGS, "records": ID}) as writer:
        writer.write("embeddings", embedding_table(ids, np.eye(rows, 4, dtype=np.float32)))
        writer.write("records", pa.table({"record_id": pa.array(ids, pa.string())}))
        for reject in rejects:
            writer.reject(*reject)
        writer.finish()
    return run.commit({"encoder": {}, "modality": "image", "dim": 4})


BAD = [("a.jpg", "damaged", "no header"), ("b.jpg", "missing", "gone"), ("c.jpg", "missing", "gone too")]


def test_no_row_is_a_failure_with_the_reasons_and_one_example(tmp_path: Path) -> None:
    manifest = committed(tmp_path, 0, BAD)
    said = r"No picture could be embedded \(2 missing; 1 damaged, such as b.jpg: gone\); '.*/rejects' says which"
    with pytest.raises(ClipSparkError, match=said):
        checked(manifest, max_rejects=1.0)
    assert read_manifest(str(tmp_path)).rejects == {"damaged": 1, "missing": 2}


def test_no_row_and_no_reject_is_a_failure_too(tmp_path: Path) -> None:
    with pytest.raises(ClipSparkError, match=r"\(the inputs hold none\); See its report.json"):
        checked(committed(tmp_path, 0, []), max_rejects=1.0)


@pytest.mark.parametrize(("most", "fails"), [(1.0, False), (0.75, False), (0.74, True), (0.0, True)])
def test_more_rejects_than_may_be_are_a_failure_and_the_rows_stay(tmp_path: Path, most: float, fails: bool) -> None:
    manifest = committed(tmp_path, 1, BAD)
    if not fails:
        assert checked(manifest, most) is manifest
        return
    with pytest.raises(
        ClipSparkError, match=rf"75.0% of the pictures were rejected .* more than --max-rejects {most:g}"
    ):
        checked(manifest, most)
    assert read_manifest(str(tmp_path)).rows == 1


def test_no_rejects_are_no_failure(tmp_path: Path) -> None:
    assert checked(committed(tmp_path, 2, []), max_rejects=0.0).rows == 2


def test_each_reason_reaches_the_terminal_with_one_example(tmp_path: Path) -> None:
    found = rejects_table(committed(tmp_path, 1, BAD)).rows
    assert found == [("missing", 2, "b.jpg", "gone"), ("damaged", 1, "a.jpg", "no header")]


def test_a_negative_share_is_refused() -> None:
    with pytest.raises(SpecError, match="--max-rejects is -0.5; it must be at least 0"):
        EmbedImagesSpec(images=("a",), output="o", max_rejects=-0.5)
