"""Damaged pictures and archives: no crash, no hang, no traceback; rows + rejects + left out are all that there is.

`MUTATIONS=5000` (or `make fuzz-pictures`) tries so many of each kind; the seed of a failure is in its message.
"""

from __future__ import annotations

import io
import os
import random
import tarfile
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip_spark.errors import Rejected
from clip_spark.pictures import careful
from clip_spark.pictures.decode import decode, decode_here
from clip_spark.pictures.items import LeftOut, Picture, Unreadable
from clip_spark.pictures.look import Look
from clip_spark.pictures.table_rows import TablePart
from clip_spark.pictures.tars import TarPart
from clip_spark.runtime.child_process import Apart, Limits

FIELD = Path(__file__).resolve().parents[1] / "field" / "inputs" / "formats"
MUTATIONS = int(os.environ.get("MUTATIONS", "40"))
FILES = sorted(path.name for path in FIELD.iterdir() if path.stat().st_size)
LOOK = Look()


@lru_cache(64)
def original(name: str) -> bytes:
    return (FIELD / name).read_bytes()


def mutated(data: bytes, seed: str) -> bytes:
    """Bytes changed, cut out, doubled or cut off at random places, most of them near the beginning."""
    chance = random.Random(seed)
    found = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at = int(len(found) * chance.random() ** chance.choice((1, 4)))
        length = chance.choice((1, 1, 4, 64))
        kind = chance.randrange(5)
        if kind == 0:
            del found[at : at + length]
        elif kind == 1:
            found[at:at] = found[at : at + length]
        elif kind == 2 and chance.random() < 0.3:
            del found[at:]
        else:
            found[at : at + length] = bytes(chance.choice((0, 255, chance.randrange(256))) for _ in range(length))
    return bytes(found)


def outcome(data: bytes) -> str:
    """`picture` or the reason of the reject; anything else is an error."""
    try:
        decode_here(data, LOOK)
    except Rejected as error:
        return error.reason
    return "picture"


def test_mutated_pictures_are_pictures_or_rejects() -> None:
    with Apart(outcome, Limits(seconds=60, memory_bytes=3 << 30, most_deadly=0)) as judge:
        for number in range(MUTATIONS * 5):
            seed = f"{FILES[number % len(FILES)]} {number}"
            try:
                judge(mutated(original(FILES[number % len(FILES)]), seed))
            except Exception as error:
                pytest.fail(f"mutation '{seed}': {error!r}")


@pytest.fixture(scope="module", autouse=True)
def no_child_stays() -> Iterator[None]:
    """Children wait for the next picture; the next test counts its own."""
    yield
    careful.close()


def tar_of(members: list[tuple[str, bytes]]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


NAMES = st.sampled_from(["a", "b", "a.left", "a.right", "d/a", "._a", "é"])
ENDINGS = st.sampled_from([".jpg", ".PNG", ".txt", ".json", ".cls", "", ".caption"])
CONTENTS = st.binary(max_size=40).map(b"~".__add__)
"""Of no known format, so that a name alone decides: a TIFF without an ending would be a picture."""
MEMBERS = st.lists(st.tuples(st.builds(str.__add__, NAMES, ENDINGS), CONTENTS), max_size=12)


@settings(max_examples=MUTATIONS * 3)
@given(MEMBERS)
def test_all_members_of_a_tar_are_accounted_for(members: list[tuple[str, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "0.tar").write_bytes(tar_of(members))
        found = list(TarPart(str(Path(folder) / "0.tar")).read())
    visible = {name for name, _ in members if not name.rpartition("/")[2].startswith(".")}
    pictures = {name for name in visible if name.lower().endswith((".jpg", ".png"))}
    assert {item.uri[len("tar://") :].split("::")[0] for item in found if isinstance(item, Picture)} == pictures
    texts = {name for name in visible if name.endswith((".txt", ".json", ".caption"))}
    others = len(members) - len(visible) + len(visible - pictures - texts) + (not visible)
    assert sum(isinstance(item, LeftOut) for item in found) == others
    assert all(item.reason == "no picture" for item in found if isinstance(item, Unreadable))


def test_mutated_archives_keep_what_can_be_read(tmp_path: Path) -> None:
    members = [(f"{number}{kind}", os.urandom(700)) for number in range(6) for kind in (".jpg", ".txt")]
    pq.write_table(pa.table({"jpg": [data for _, data in members]}), tmp_path / "t.parquet")
    table = pa.table({"jpg": [data for _, data in members], "n": range(len(members))})
    for name, writer in {"file.arrow": pa.ipc.new_file, "stream.arrow": pa.ipc.new_stream}.items():
        with writer(str(tmp_path / name), table.schema) as sink:
            sink.write_table(table, max_chunksize=5)
    names = ("t.parquet", "file.arrow", "stream.arrow")
    wholes = {"t.tar": tar_of(members), **{name: (tmp_path / name).read_bytes() for name in names}}
    for number in range(MUTATIONS):
        for name, whole in wholes.items():
            seed = f"{name} {number}"
            (tmp_path / name).write_bytes(mutated(whole, seed))
            part = TarPart(str(tmp_path / name)) if name == "t.tar" else TablePart(str(tmp_path / name))
            try:
                found = list(part.read())
            except Exception as error:
                pytest.fail(f"mutation '{seed}': {error!r}")
            assert found and all(isinstance(item, (Picture, Unreadable, LeftOut)) for item in found)


def test_a_bomb_costs_little(tmp_path: Path) -> None:
    with pytest.raises(Rejected):
        decode(b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + b"\x7f\xff\xff\xff" * 2 + b"\x08\x02\0\0\0" + bytes(40))
