"""export-tags: tags where other programs read them; nothing of the user's is lost, and all can be undone."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import struct
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clip_spark import storage
from clip_spark.analysis.exported_tags import in_file, iptc
from clip_spark.analysis.exported_tags.beside import add_booru
from clip_spark.analysis.exported_tags.edits import MEANWHILE, THERE, edit_of, make
from clip_spark.analysis.exported_tags.spec import ExportTagsSpec
from clip_spark.analysis.exported_tags.step import export_tags
from clip_spark.analysis.exported_tags.xmp import DC, RDF, add_words
from clip_spark.errors import ClipSparkError, OutputError, Rejected
from clip_spark.storage import conditional
from tests.helpers_tags import write_tags

WORDS = ("red fox", "a & <b>", "größe")
NAMES = ("a.jpg", "b.png", "sub/c.jpg", "sub/d.gif", "gone.jpg")
exiftool = pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed here")

DIGIKAM = f"""<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <r:RDF xmlns:r="{RDF}"><!-- > -->
  <r:Description r:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4">
   <k:subject xmlns:k="{DC}"><r:Bag><r:li>mine</r:li><r:li>red fox</r:li></r:Bag></k:subject>
  </r:Description>
 </r:RDF>
</x:xmpmeta>
""".encode()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Files of three formats, one in a folder below; noise, so that a changed pixel shows."""
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    for name in NAMES[:-1]:
        Image.fromarray(noise).save(folder / name)
    return folder


def uri_of(pictures: Path, name: str) -> str:
    return name if "::" in name else str(pictures / name)


def export(tmp_path: Path, pictures: Path, tagged: tuple[str, ...] = NAMES, **options: Any) -> dict[str, int]:
    tags = str(tmp_path / "tags")
    if not Path(tags).exists():
        write_tags(tmp_path / "tags", [uri_of(pictures, name) for name in tagged], WORDS)
    spec = ExportTagsSpec(**{"tags": tags, "output": str(tmp_path / "out"), **options})
    return dict(export_tags(lambda: pytest.fail("no Spark"), spec).rows)


def undo(tmp_path: Path) -> dict[str, int]:
    spec = ExportTagsSpec(output=str(tmp_path / "out"), undo=True)
    return dict(export_tags(lambda: pytest.fail("no Spark"), spec).rows)


def state(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Every file: bytes, permissions, time of change."""
    found = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            marks = file.stat()
            found[str(file.relative_to(folder))] = (file.read_bytes(), marks.st_mode, marks.st_mtime_ns)
    return found


def exif(path: Path, tag: str) -> list[str]:
    shown = subprocess.run(["exiftool", "-j", "-charset", "iptc=utf8", tag, str(path)], capture_output=True, check=True)
    found = json.loads(shown.stdout)[0].get(tag.rpartition(":")[2].strip("-#"), [])
    return found if isinstance(found, list) else [found]


FORMATS: list[tuple[dict[str, Any], int]] = [
    ({"format": "xmp"}, 4), ({"format": "xmp", "names": "stem"}, 4), ({"format": "xmp", "in_file": True}, 3),
    ({"format": "iptc"}, 2), ({"format": "booru"}, 4), ({"format": "imagefolder"}, 1),
]  # fmt: skip


@pytest.mark.parametrize(("options", "written"), FORMATS, ids=lambda value: str(value))
def test_undo_gives_every_file_back(tmp_path: Path, pictures: Path, options: dict[str, Any], written: int) -> None:
    (pictures / "a.jpg.xmp").write_bytes(DIGIKAM)
    (pictures / "a.xmp").write_bytes(DIGIKAM)
    (pictures / "a.txt").write_text("a caption, red fox,\n")
    (pictures / "metadata.jsonl").write_text('{"file_name": "sub/c.jpg", "text": "ü", "tags": ["mine"]}\n\n{"x": 1}')
    (pictures / "a.jpg").chmod(0o640)
    before = state(pictures)
    assert export(tmp_path, pictures, dry_run=True, **options) and state(pictures) == before
    found = export(tmp_path, pictures, **options)
    assert found.get("files written") == written, found
    after = state(pictures)
    assert after != before and set(before) <= set(after)
    again = export(tmp_path, pictures, **options)
    assert state(pictures) == after and again.get("files written before", written) == written
    assert undo(tmp_path)["files given back"] == written
    assert state(pictures) == before
    assert undo(tmp_path)["files as they were"] == written
    with pytest.raises(OutputError, match="was undone"):
        export(tmp_path, pictures, **options)


def test_pixels_and_permissions_stay_when_a_file_is_changed(tmp_path: Path, pictures: Path) -> None:
    (pictures / "a.jpg").chmod(0o600)
    pixels = {name: np.asarray(Image.open(pictures / name).convert("RGB")) for name in NAMES[:-1]}
    found = export(tmp_path, pictures, in_file=True)
    assert found["left alone: no JPEG or PNG"] == 1 and found["pictures that are gone"] == 1
    for name, wanted in pixels.items():
        np.testing.assert_array_equal(np.asarray(Image.open(pictures / name).convert("RGB")), wanted)
    assert (pictures / "a.jpg").stat().st_mode & 0o777 == 0o600
    assert b"a &amp; &lt;b&gt;" in Image.open(pictures / "a.jpg").info["xmp"]


@exiftool
@pytest.mark.parametrize("in_file", [False, True])
def test_exiftool_reads_the_subjects(tmp_path: Path, pictures: Path, in_file: bool) -> None:
    (pictures / "a.jpg.xmp").write_bytes(DIGIKAM)
    export(tmp_path, pictures, in_file=in_file)
    for name in NAMES[1:3]:
        file = pictures / (name if in_file else f"{name}.xmp")
        assert exif(file, "-XMP-dc:Subject") == list(WORDS)
    if not in_file:
        assert exif(pictures / "a.jpg.xmp", "-XMP-dc:Subject") == ["mine", *WORDS]
        assert exif(pictures / "a.jpg.xmp", "-XMP:Rating") == [4]


@exiftool
def test_exiftool_reads_keywords_beside_what_it_has_written_itself(tmp_path: Path, pictures: Path) -> None:
    file = pictures / "a.jpg"
    subprocess.run(["exiftool", "-q", "-overwrite_original", "-IPTC:Keywords=mine", "-IPTC:City=Ulm",
                    "-Orientation#=6", "-XMP:Rating=3", str(file)], check=True)  # fmt: skip
    export(tmp_path, pictures, format="iptc")
    assert exif(file, "-IPTC:Keywords") == ["mine", *WORDS] and exif(file, "-IPTC:City") == ["Ulm"]
    assert exif(file, "-XMP:Rating") == [3] and exif(file, "-Orientation#") == [6]
    checked = subprocess.run(["exiftool", "-validate", "-warning", "-a", str(file)], capture_output=True, text=True)
    assert "IPTC" not in checked.stdout, checked.stdout


@exiftool
def test_exiftool_takes_the_csv(tmp_path: Path, pictures: Path) -> None:
    export(tmp_path, pictures, NAMES[:3], format="csv", top=2)
    rows = list(csv.reader(io.StringIO((tmp_path / "out/tags.csv").read_text())))
    assert rows[1] == [str(pictures / "a.jpg"), "red fox; a & <b>", "0.4000; 0.3000"]
    command = ["exiftool", "-q", "-q", "-overwrite_original", f"-csv={tmp_path}/out/tags.csv", "-sep", "; ", "-r"]
    subprocess.run([*command, str(pictures)], check=True, capture_output=True)
    assert exif(pictures / "sub/c.jpg", "-XMP-dc:Subject") == list(WORDS[:2])


def test_tags_of_imagefolder_join_the_rows_that_are_there(tmp_path: Path, pictures: Path) -> None:
    (pictures / "metadata.jsonl").write_text(
        '{"file_name": "sub/c.jpg", "text": "ü", "tags": ["mine", "red fox"]}\n{"file_name":"z.jpg",  "text": "kept"}\n'
    )
    found = export(tmp_path, pictures, (*NAMES[:-1], "tar://x.jpg::/0.tar"), format="imagefolder", min_score=0.25)
    assert found["rows that were there"] == 2 and found["pictures inside of tars and tables, or on the web"] == 1
    lines = (pictures / "metadata.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["tags"] == ["mine", *WORDS[:2]] and json.loads(lines[0])["text"] == "ü"
    assert lines[1] == '{"file_name":"z.jpg",  "text": "kept"}'
    assert [json.loads(line)["file_name"] for line in lines[2:]] == ["a.jpg", "b.png", "sub/d.gif"]
    (pictures / "metadata.csv").write_text("file_name,text\n")
    with pytest.raises(OutputError, match="has a metadata.csv"):
        export(tmp_path, pictures, format="imagefolder", output=str(tmp_path / "other"))


class Killed(BaseException):
    pass


@pytest.mark.parametrize(
    "options",
    [
        {"format": "booru"},
        pytest.param({"format": "xmp", "in_file": True}, marks=pytest.mark.long),
        pytest.param({"format": "imagefolder"}, marks=pytest.mark.long),
    ],
    ids=str,
)
def test_killed_at_any_write_it_goes_on_or_is_undone(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    (pictures / "a.txt").write_text("mine")
    (pictures / "metadata.jsonl").write_text('{"file_name": "a.jpg", "tags": ["mine"]}\n')
    write_tags(tmp_path / "tags", [uri_of(pictures, name) for name in NAMES], WORDS)
    before, limit, writes = state(pictures), 10**9, 0
    places = [(storage, "write_bytes"), (storage, "write_json"), (storage, "open_write"), (storage, "create_bytes")]
    originals = {name: getattr(module, name) for module, name in places}

    def counted(name: str) -> Any:
        def write(uri: str, *others: Any) -> Any:
            nonlocal writes
            if writes == limit:
                raise Killed
            writes += 1
            return originals[name](uri, *others)

        return write

    for module, name in places:
        monkeypatch.setattr(module, name, counted(name))
    export(tmp_path, pictures, **options)
    wanted, needed = content(pictures), writes
    undo(tmp_path)
    assert state(pictures) == before and needed > 3
    for killed_at in range(needed):
        for goes_on in (True, False):
            shutil.rmtree(tmp_path / "out")
            limit, writes = killed_at, 0
            with pytest.raises(Killed):
                export(tmp_path, pictures, **options)
            limit = 10**9
            if goes_on:
                export(tmp_path, pictures, **options)
                assert content(pictures) == wanted, killed_at
            if (tmp_path / "out/export.json").exists():
                limit, writes = 2, 0
                with suppress(Killed):
                    undo(tmp_path)
                limit = 10**9
                undo(tmp_path)
            else:
                (tmp_path / "out").mkdir(exist_ok=True)
            assert state(pictures) == before, killed_at


def content(folder: Path) -> dict[str, bytes]:
    return {name: data for name, (data, _, _) in state(folder).items()}


def test_a_file_that_somebody_has_changed_since_is_not_touched(tmp_path: Path, pictures: Path) -> None:
    export(tmp_path, pictures)
    (pictures / "a.jpg.xmp").write_text("mine now")
    (pictures / "b.png.xmp").unlink()
    found = undo(tmp_path)
    assert found == {"changed since": 1, "files as they were": 1, "files given back": 2}
    assert (pictures / "a.jpg.xmp").read_text() == "mine now"


def test_another_export_into_the_same_notes_is_refused(tmp_path: Path, pictures: Path) -> None:
    export(tmp_path, pictures)
    with pytest.raises(OutputError, match="holds the notes of another export.*--undo"):
        export(tmp_path, pictures, format="booru")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("x")
    with pytest.raises(OutputError, match="did not write"):
        export(tmp_path, pictures, output=str(tmp_path / "mine"))
    with pytest.raises(ClipSparkError, match="no export of tags"):
        export_tags(lambda: pytest.fail("no Spark"), ExportTagsSpec(output=str(tmp_path / "mine"), undo=True))


def test_of_two_runs_at_once_the_first_to_note_decides(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second has read files that the first has changed already: its notes would lose what was there before."""
    (pictures / "a.txt").write_text("mine")
    before, real = state(pictures), conditional.create_bytes

    def slow(uri: str, data: bytes) -> bool:
        if "journal" in uri:
            monkeypatch.setattr(storage, "create_bytes", real)
            export(tmp_path, pictures, format="booru")
            shutil.rmtree(tmp_path / "out/done")
        return real(uri, data)

    monkeypatch.setattr(storage, "create_bytes", slow)
    export(tmp_path, pictures, format="booru")
    undo(tmp_path)
    assert state(pictures) == before


def packet(inside: str) -> bytes:
    return f'<x xmlns:r="{RDF}" xmlns:d="{DC}"><r:RDF>{inside}</r:RDF></x>'.encode()


@pytest.mark.parametrize(
    "inside",
    ['<r:Description r:about=">"/>', '<r:Description r:about=">"><d:subject><r:Bag/></d:subject></r:Description>'],
)
def test_words_go_into_elements_that_are_closed_in_themselves(inside: str) -> None:
    found = add_words(packet(inside), ["x", "x"])
    assert found.count(b">x<") == 1 and found.count(b"subject") == 2 and b'about=">"' in found
    assert add_words(found, ["x"]) == found


@pytest.mark.parametrize(
    ("damaged", "why"),
    [
        (b"<x", "damaged XMP"), (b"<x/>", "no rdf:Description"), ("<x/>".encode("utf-16"), "another encoding"),
        (b'<?xml version="1.0" encoding="latin1"?><x/>', "latin1"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "entities"),
        (packet("<r:Description><d:subject/></r:Description>"), "no list"),
    ],
)  # fmt: skip
def test_packets_that_cannot_be_changed_are_left_alone(damaged: bytes, why: str) -> None:
    with pytest.raises(Rejected, match=why):
        add_words(damaged, ["x"])


def segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload


@pytest.mark.parametrize(
    ("segments", "why"),
    [
        (segment(0xEB, b"JP..jumb..c2pa"), "signed"),
        (segment(0xE2, b"MPF\0...") + segment(0xED, iptc.HEADER), "several pictures"),
        (segment(0xED, iptc.HEADER) * 2, "several packets"),
        (segment(0xED, iptc.HEADER + b"8BIM\4\4\0\0\0\0\0\x09abc"), "damaged IPTC"),
        (segment(0xED, iptc.HEADER + b"8BIM\4\4\0\0\0\0\0\x06\x1c\2\x19\0\1\xfc"), "IPTC of another encoding"),
        (b"\xff\xe1\xff\xff", "damaged JPEG"),
    ],
)  # fmt: skip
def test_what_a_change_would_break_is_left_alone(segments: bytes, why: str) -> None:
    data = b"\xff\xd8" + segments + b"\xff\xda\0\0"
    with pytest.raises(Rejected, match=why):
        in_file.change_iptc(data, lambda before: iptc.add_keywords(before, ["größe"]))


def test_a_digest_that_held_holds_again() -> None:
    iim = b"\x1c\2\x19\0\4mine"
    digest = hashlib.md5(iim).digest()
    payload = (
        iptc.HEADER
        + iptc.Resource(iptc.IIM, b"\0\0", iim).to_bytes()
        + iptc.Resource(iptc.DIGEST, b"\0\0", digest).to_bytes()
    )
    found = iptc.add_keywords(payload, ["new"])
    assert hashlib.md5(iim + b"\x1c\2\x19\0\3new").digest() in found


def test_booru_text_keeps_what_is_there() -> None:
    assert add_booru(b"", ["a, b", "c"]) == b"a b, c\n"
    assert add_booru(b"c, d\r\n", ["c", "e"]) == b"c, d, e\r\n"
    assert add_booru(b"c", ["c"]) == b"c"
    with pytest.raises(Rejected, match="another encoding"):
        add_booru(b"\xff", ["a"])


def test_an_edit_holds_only_what_differs(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    found = edit_of(str(tmp_path / "x"), b"a" * 10**6 + b"z" * 10**6, b"a" * 10**6 + b"--" + b"z" * 10**6)
    assert found is not None and (found.start, found.before, found.after) == (10**6, b"", b"--")
    same = edit_of(str(tmp_path / "x"), b"aba", b"ababa")
    assert same is not None and len(same.before) == 0 and len(same.after) == 2


@pytest.mark.parametrize(
    ("wrote", "fate"), [(b"red fox\n", THERE), (b"mine\n", MEANWHILE)], ids=["the same", "a person"]
)
def test_a_file_that_comes_just_before_is_judged_by_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrote: bytes, fate: str
) -> None:
    place, real = str(tmp_path / "a.txt"), conditional.create_bytes
    edit = edit_of(place, None, b"red fox\n")
    assert edit is not None
    monkeypatch.setattr(storage, "create_bytes", lambda uri, data: (real(uri, wrote), real(uri, data))[1])
    assert make(str(tmp_path / "out"), [edit]) == {fate: 1}
    assert storage.read_bytes(place) == wrote
