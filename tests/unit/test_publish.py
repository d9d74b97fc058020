"""publish: an index and its data as other tools read them; whole or not at all, and nothing that was taken down."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from clip_spark import storage
from clip_spark.analysis.publish import contents as contents_module
from clip_spark.analysis.publish import step
from clip_spark.analysis.publish.card import card
from clip_spark.analysis.publish.checksums import CHECKSUMS
from clip_spark.analysis.publish.spec import PublishSpec, VerifySpec
from clip_spark.analysis.publish.step import publish
from clip_spark.analysis.publish.verify import verify_dataset
from clip_spark.datasets.schema import record_id
from clip_spark.errors import ClipSparkError, DatasetError, InputError, OutputError, SpecError
from clip_spark.index.build.build import build_index
from clip_spark.index.change.remove import remove_records
from clip_spark.index.files.calibration import Calibration
from clip_spark.index.files.faiss_library import load_faiss
from clip_spark.index.specs import IndexSpec, RemoveSpec
from clip_spark.storage import files
from clip_spark.storage.local_cache import CACHE_VARIABLE
from tests.helpers_embeddings import numbered, unit_vectors, write_embeddings
from tests.helpers_tags import write_tags
from tests.services.hub import running_hub

ROWS, GONE = 260, (3, 100, 259)
VECTORS = unit_vectors(ROWS)
NAMES = [f"https://example.org/{n}.jpg" if n % 2 else f"/pictures/{n}.jpg" for n in range(ROWS)]
LEFT = np.delete(np.arange(ROWS), GONE)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Pictures in three shards, three of them taken down."""
    folder = tmp_path_factory.mktemp("published")
    write_embeddings(folder / "emb", VECTORS, NAMES, modality="image", shard_rows=120)
    spec = IndexSpec(embeddings=(str(folder / "emb"),), output=str(folder / "index"), parts=2)
    build_index(lambda: pytest.fail("no Spark"), spec)
    gone = tuple(record_id(NAMES[n]) for n in GONE)
    remove_records(lambda: pytest.fail("no Spark"), RemoveSpec(index=spec.output, ids=gone))
    return spec.output


def published(index: str, folder: Path, **options: Any) -> Path:
    publish(PublishSpec(index=index, output=str(folder / "out"), file_rows=100, **options))
    return folder / "out"


def table(folder: Path, pattern: str) -> pa.Table:
    return pa.concat_tables([pq.read_table(file) for file in sorted(folder.glob(pattern))])


def test_fondants_layout_has_rows_vectors_and_numbers_that_agree(index: str, tmp_path: Path) -> None:
    out = published(index, tmp_path)
    data, mapping = table(out, "data/*.parquet"), table(out, "id_mapping/*.parquet")
    assert data["url"].to_pylist() == mapping["url"].to_pylist() == [NAMES[n] for n in LEFT]
    assert mapping["i"].to_pylist() == list(range(len(LEFT))) and len(list(out.glob("data/*"))) == 3
    np.testing.assert_array_equal(np.stack(data["embedding"].to_pylist()).astype(np.float32), VECTORS[LEFT])
    query = unit_vectors(1, seed=9)
    scores, found = load_faiss().read_index(str(out / "faiss")).search(query, 10)
    np.testing.assert_array_equal(found[0], np.argsort(-(VECTORS[LEFT] @ query[0]), kind="stable")[:10])


def test_clip_retrievals_layout_answers_as_its_server_asks(index: str, tmp_path: Path) -> None:
    """Row i of the metadata is number i; it searches with search_and_reconstruct and reads all parquet files sorted."""
    out = published(index, tmp_path, layout="clip-retrieval")
    metadata = table(out, "metadata/*.parquet")
    found = load_faiss().read_index(str(out / "image.index"))
    _, numbers, vectors = found.search_and_reconstruct(VECTORS[[7]], 3)
    np.testing.assert_allclose(vectors[0, 0], VECTORS[7], atol=1e-6)
    row = metadata.slice(int(numbers[0, 0]), 1).to_pylist()[0]
    assert row["url"] == NAMES[7] and row["image_path"] == "" and row["record_id"] == record_id(NAMES[7])
    assert found.ntotal == metadata.num_rows == len(LEFT)


def test_lists_of_an_index_in_parts_become_one(tmp_path: Path) -> None:
    write_embeddings(tmp_path / "emb", VECTORS, numbered(ROWS))
    spec = IndexSpec(embeddings=(str(tmp_path / "emb"),), output=str(tmp_path / "index"))
    build_index(lambda: pytest.fail("no Spark"), spec)
    contents = contents_module.Contents(spec.output)
    faiss = load_faiss()
    trained = faiss.index_factory(32, "IVF4,Flat", faiss.METRIC_INNER_PRODUCT)
    trained.train(VECTORS)
    trained.add_with_ids(VECTORS[:5], np.arange(500, 505))
    faiss.write_index(trained, str(tmp_path / "trained.index"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contents_module, "open_local", lambda *_: faiss.read_index(str(tmp_path / "trained.index")))
        one = contents.faiss_index()
    one.nprobe = 4
    assert one.ntotal == ROWS
    np.testing.assert_array_equal(one.search(VECTORS, 1)[1][:, 0], np.arange(ROWS))
    contents.close()


def test_the_card_tells_what_the_manifests_know(index: str, tmp_path: Path) -> None:
    out = published(index, tmp_path, license="cc-by-4.0", name='Pictures: "all"')
    text = (out / "README.md").read_text()
    header = text.split("---\n")[1]
    assert 'pretty_name: "Pictures: \\"all\\""' in header and "license: cc-by-4.0" in header
    assert 'data_files: "data/*.parquet"' in header and "- n<1K" in header
    for said in ("257", "fake", "sha256", "recall at 10", "taken down, and not in here | 3", "load_dataset"):
        assert said in text, said
    assert not [n for n in GONE if NAMES[n] in text]


def test_the_card_lists_hubs_but_those_that_were_taken_down(index: str) -> None:
    contents = contents_module.Contents(index)
    hubs = tuple({"name": f"hub {n}", "position": n, "share": 0.2, "corrected": 0.01} for n in (GONE[0], 5))
    learnt = Calibration(asked_by="text", strength=0.5, nearest=8, hubs=hubs)
    contents.info = replace(contents.info, calibration=learnt)
    text = card(PublishSpec(index=index, output="out"), contents, "title")
    contents.close()
    assert "| hub 5 | 20.0% | 1.0% |" in text and f"hub {GONE[0]}" not in text


def test_a_copy_is_proven(index: str, tmp_path: Path) -> None:
    out = published(index, tmp_path)
    assert subprocess.run(["sha256sum", "--quiet", "-c", CHECKSUMS], cwd=out, check=False).returncode == 0
    assert "10 files" in verify_dataset(VerifySpec(dataset=str(out)))
    assert "an index of 260 images" in verify_dataset(VerifySpec(dataset=index))
    file = out / "data/part-00001.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    (out / "faiss").unlink()
    with pytest.raises(DatasetError, match="is no true copy: .*part-00001.parquet' has other bytes, 'faiss' is"):
        verify_dataset(VerifySpec(dataset=str(out)))
    with pytest.raises(InputError, match=f"has no {CHECKSUMS}: it is no publication"):
        verify_dataset(VerifySpec(dataset=str(tmp_path)))


def test_tars_hold_pictures_tags_and_vectors_by_row(tmp_path: Path) -> None:
    names = [str(tmp_path / f"{n}.png") for n in range(4)] + ["https://example.org/far.jpg"]
    for name in names[:3]:  # the fourth is gone
        Image.new("RGB", (4, 4), "red").save(name)
    write_embeddings(tmp_path / "emb", VECTORS[:5], names, modality="image")
    build_index(
        lambda: pytest.fail("no Spark"), IndexSpec(embeddings=(str(tmp_path / "emb"),), output=str(tmp_path / "i"))
    )
    remove_records(lambda: pytest.fail("no Spark"), RemoveSpec(index=str(tmp_path / "i"), ids=(record_id(names[0]),)))
    tags = write_tags(tmp_path / "tags", names[::-1], ("red", "small"))
    out = published(str(tmp_path / "i"), tmp_path, layout="webdataset", tags=tags)
    with tarfile.open(out / "00000.tar") as tar:
        found = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    assert [name for name in found if name.endswith("png")] == ["000000000.png", "000000001.png"]
    rows = [json.loads(found[f"{n:09d}.json"]) for n in range(4)]
    assert [row["uri"] for row in rows] == names[1:]
    assert rows[3]["tags"] == [{"text": "red", "score": 0.4}, {"text": "small", "score": 0.3}]
    np.testing.assert_array_equal(np.load(io.BytesIO(found["000000002.npy"])), VECTORS[3])
    before = (out / "00000.tar").read_bytes()
    published(str(tmp_path / "i"), tmp_path, layout="webdataset", tags=tags, overwrite=True)
    assert (out / "00000.tar").read_bytes() == before, "the same publication has the same bytes"


def test_lancedb_reads_its_table_back(index: str, tmp_path: Path) -> None:
    lancedb = pytest.importorskip("lancedb")
    out = published(index, tmp_path, layout="lancedb")
    rows = lancedb.connect(str(out)).open_table("vectors")
    query = unit_vectors(1, seed=9)[0]
    best = np.argsort(-(VECTORS[LEFT] @ query), kind="stable")[:5]
    found = rows.search(query).distance_type("cosine").limit(5).to_list()
    assert [row["id"] for row in found] == [record_id(NAMES[LEFT[n]]) for n in best] and rows.count_rows() == len(LEFT)
    assert "files have the bytes" in verify_dataset(VerifySpec(dataset=str(out)))
    (out / CHECKSUMS).unlink()  # killed before the end: what it left has other names than what comes now
    published(index, tmp_path, layout="lancedb")
    assert lancedb.connect(str(out)).open_table("vectors").count_rows() == len(LEFT)
    listed = {line.split("  ")[1] for line in (out / CHECKSUMS).read_text().splitlines()}
    assert listed | {CHECKSUMS} == {str(f.relative_to(out)) for f in out.rglob("*") if f.is_file()}
    published(index, tmp_path, overwrite=True)
    assert not (out / "vectors.lance").exists()


def test_usearch_finds_the_rows_of_the_data(index: str, tmp_path: Path) -> None:
    usearch = pytest.importorskip("usearch.index")
    out = published(index, tmp_path, layout="usearch")
    found = usearch.Index.restore(str(out / "vectors.usearch"))
    data = table(out, "data/*.parquet")
    keys = found.search(VECTORS[LEFT], 1).keys.reshape(-1)
    assert (keys == np.arange(len(LEFT))).mean() > 0.99 and len(found) == data.num_rows
    assert data["url"][int(found.search(VECTORS[7], 1).keys[0])].as_py() == NAMES[7]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"tags": "t"}, "go into a webdataset"),
        ({"layout": "embedding-atlas"}, "needs --map"),
        ({"map": "m"}, "needs --map"),
    ],
)
def test_what_a_layout_has_no_place_for_is_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(SpecError, match=why):
        PublishSpec(index="i", output="o", **options)


class Killed(BaseException):
    pass


def test_killed_at_any_write_it_is_not_whole_and_goes_on(
    index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {file.relative_to(tmp_path / "whole/out"): file.read_bytes()
              for file in published(index, tmp_path / "whole").rglob("*") if file.is_file()}  # fmt: skip
    writes: list[str] = []
    places = [(storage, "write_bytes"), (storage, "write_json"), (storage, "open_write")]
    originals = {name: getattr(module, name) for module, name in places}

    def counted(name: str) -> Any:
        def write(uri: str, *others: Any) -> Any:
            if len(writes) == limit:
                raise Killed
            writes.append(uri)
            return originals[name](uri, *others)

        return write

    for module, name in places:
        monkeypatch.setattr(module, name, counted(name))
    out = tmp_path / "killed/out"
    for runs in range(1, 20):  # noqa: B007 - looked at below
        limit = 1
        writes.clear()
        try:
            published(index, tmp_path / "killed")
            break
        except Killed:
            assert not (out / CHECKSUMS).exists(), "what is not whole looks whole"
    assert runs == len(wanted), "each run has written one file more"
    assert {f.relative_to(out): f.read_bytes() for f in out.rglob("*") if f.is_file()} == wanted


def test_a_takedown_while_it_runs_leaves_nothing_whole(
    index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step.Contents, "changed", lambda _: True)
    with pytest.raises(OutputError, match="taken down from .* while it was published"):
        published(index, tmp_path)
    assert [file.name for file in (tmp_path / "out").rglob("*") if file.is_file()] == ["published.json"]
    monkeypatch.undo()
    assert (published(index, tmp_path) / CHECKSUMS).exists()


def test_an_output_of_somebody_else_is_refused(index: str, tmp_path: Path) -> None:
    out = published(index, tmp_path)
    before = (out / CHECKSUMS).read_bytes()
    assert published(index, tmp_path) == out and (out / CHECKSUMS).read_bytes() == before
    with pytest.raises(OutputError, match=r"holds another publication \(of 257 rows\)"):
        published(index, tmp_path, layout="clip-retrieval")
    published(index, tmp_path, layout="clip-retrieval", overwrite=True)
    assert not (out / "faiss").exists() and (out / "image.index").exists()
    assert json.loads((out / "published.json").read_text())["layout"] == "clip-retrieval"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("x")
    with pytest.raises(OutputError, match="holds files that publish did not write"):
        publish(PublishSpec(index=index, output=str(tmp_path / "mine")))
    with pytest.raises(ClipSparkError, match="inside|contains|lies"):
        publish(PublishSpec(index=index, output=f"{index}/out"))


def test_to_a_hub_it_goes_in_one_commit_and_comes_back(
    index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    with running_hub() as hub:
        monkeypatch.setitem(fsspec.config.conf, "hf", {"endpoint": hub.url, "token": "mine"})
        files.forget_clients()
        spec = PublishSpec(index=index, output="hf://datasets/me/pictures", file_rows=100)
        assert publish(spec) == len(LEFT)
        assert len(hub.commits) == 1 and CHECKSUMS in hub.commits[0] and "Bearer mine" in hub.tokens
        assert verify_dataset(VerifySpec(dataset=spec.output)) == "10 files have the bytes that were published"
        assert 'load_dataset("me/pictures"' in hub.files["me/pictures"]["README.md"].decode()
        with pytest.raises(OutputError, match="holds another publication"):
            publish(replace(spec, layout="clip-retrieval"))
        publish(replace(spec, layout="clip-retrieval", overwrite=True))
        assert "faiss" not in hub.files["me/pictures"] and "image.index" in hub.files["me/pictures"]
        assert not list((tmp_path / "cache").glob("publish-*"))
        with pytest.raises(InputError, match="is no data set on a hub"):
            publish(replace(spec, output="hf://me/pictures"))
    files.forget_clients()
