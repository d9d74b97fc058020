"""What a picture is, is told by its bytes; only what is listed is decoded, within limits of time and memory."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clip_spark.errors import Rejected, SpecError
from clip_spark.pictures import careful
from clip_spark.pictures.decode import LAID, TURNED, decode, open_picture
from clip_spark.pictures.depth import white
from clip_spark.pictures.formats import ending, picture_format, what_else
from clip_spark.pictures.look import AS_STORED, Look
from clip_spark.runtime.child_process import TOO_LONG, Limits

PIL = pytest.importorskip("PIL.Image")
FIELD = Path(__file__).resolve().parents[1] / "field" / "inputs" / "formats"
PICTURE = PIL.fromarray(np.random.default_rng(7).integers(0, 256, (6, 5, 3), dtype=np.uint8)).resize((90, 120))


@pytest.fixture(scope="module", autouse=True)
def no_child_stays() -> Iterator[None]:
    """Children wait for the next picture; the next test counts its own."""
    yield
    careful.close()


def encoded(image: Any, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def near(one: Any, other: Any) -> float:
    """Mean difference in grey levels of two pictures as RGB."""
    return float(np.abs(np.asarray(one.convert("RGB")).astype(int) - np.asarray(other.convert("RGB"))).mean())


SAVED = (
    "JPEG",
    "PNG",
    "GIF",
    "WEBP",
    "BMP",
    "PPM",
    "TIFF",
    "AVIF",
    "JPEG2000",
    "ICO",
    "DDS",
    "TGA",
    "PCX",
    "SGI",
    "QOI",
)


@pytest.mark.parametrize("kind", SAVED)
def test_every_listed_format_is_told_by_its_bytes_and_read(kind: str) -> None:
    data = encoded(PICTURE, kind, **({"sizes": [PICTURE.size]} if kind == "ICO" else {}))
    assert picture_format(data) == kind
    found = decode(data)
    assert found.format == kind and found.size == PICTURE.size
    assert near(found.image, PICTURE) < (12 if kind in ("JPEG", "GIF", "WEBP", "AVIF", "JPEG2000") else 0.5)


@pytest.mark.parametrize("name", [path.name for path in sorted(FIELD.iterdir())])
def test_what_people_bring_is_read_or_refused_with_its_reason(name: str) -> None:
    refused = {
        "nofinaleoi.jpg": "cut short",
        "trunc_half.jpg": "cut short",
        "planar5.tif": "damaged",
        "html.jpg": "not a picture",
        "svg.svg": "not a picture",
        "zero.jpg": "empty",
    }
    for package, files in (("pillow_heif", ("heic.heic",)), ("pillow_jxl", ("jxl.jxl",))):
        if name in files:
            pytest.importorskip(package)
    data = (FIELD / name).read_bytes()
    if name in refused:
        with pytest.raises(Rejected) as caught:
            decode(data)
        assert caught.value.reason == refused[name]
    else:
        assert decode(data).image.mode in ("1", "L", "LA", "P", "RGB", "RGBA")


@pytest.mark.parametrize(
    ("package", "name", "people"), [("pillow_heif", "heic.heic", "HEIC"), ("pillow_jxl", "jxl.jxl", "JPEG XL")]
)
def test_a_format_without_its_reader_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, package: str, name: str, people: str
) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    monkeypatch.setattr(careful, "call", lambda function, item: function(item))
    with pytest.raises(Rejected, match=r"clip-spark\[pictures\]") as caught:
        decode((FIELD / name).read_bytes())
    assert caught.value.reason == f"{people} needs an extra"


@pytest.mark.parametrize(
    "data", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"\xd7\xcd\xc6\x9a" + bytes(90)]
)
def test_nothing_is_handed_to_other_programs(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PIL, "open", lambda *_, **__: pytest.fail("a decoder was tried"))
    with pytest.raises(Rejected, match="not a picture"):
        decode(data)


def test_others_are_named() -> None:
    heads = {b"<!DOCTYPE html>": "HTML", b"%PDF-1.7": "PDF", b"PK\x03\x04": "a zip archive", "déjà".encode(): "text"}
    assert {what_else(head) for head in heads} == set(heads.values()) and what_else(b"\x00\x01") == ""
    assert [ending(name) for name in ("a/b.JPG", "a.b/c", ".jpg", "x.tar.gz")] == ["jpg", "", "", "gz"]


@pytest.mark.parametrize("turn", range(1, 9))
def test_photographs_are_turned_as_their_tag_says(turn: int) -> None:
    from PIL import ImageOps

    tags = PIL.Exif()
    tags[0x0112] = turn
    for kind in ("JPEG", "PNG", "WEBP"):  # of TIFF Pillow itself applies the tag, always
        data = encoded(PICTURE, kind, exif=tags)
        upright = decode(data, Look("apply", "white"))
        assert near(upright.image, ImageOps.exif_transpose(PIL.open(io.BytesIO(data)))) == 0
        assert upright.size == PICTURE.size and upright.notices == ((TURNED,) if turn > 1 else ())
        assert decode(data, AS_STORED).image.size == PICTURE.size


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pictures_lie_on_the_background(mode: str) -> None:
    clear = PICTURE.convert("RGBA")
    clear.putalpha(PIL.linear_gradient("L").resize(clear.size))
    data = encoded(clear.quantize(64) if mode == "P" else clear.convert(mode), "PNG")
    plain = PIL.open(io.BytesIO(data)).convert("RGBA")
    for background, colour in (("white", "white"), ("black", "black"), ("20A0f0", "#20A0F0")):
        found = decode(data, Look("ignore", background))
        assert near(found.image, PIL.alpha_composite(PIL.new("RGBA", clear.size, colour), plain)) == 0
        assert found.image.mode == "RGB" and found.notices == (LAID,)
    assert decode(data, AS_STORED).image.mode == mode


def test_opaque_pictures_with_an_alpha_channel_stay_as_they_are() -> None:
    found = decode(encoded(PICTURE.convert("RGBA"), "PNG"), Look())
    assert found.image.mode == "RGBA" and not found.notices


@pytest.mark.parametrize(("orientation", "background"), [("left", "white"), ("apply", "red"), ("apply", "12345")])
def test_a_look_that_does_not_exist_is_refused(orientation: str, background: str) -> None:
    with pytest.raises(SpecError, match="must be"):
        Look(orientation, background)


@pytest.mark.parametrize(
    ("highest", "kind"), [(4095, np.uint16), (16383, np.uint16), (65535, np.int32), (1.0, np.float32)]
)
def test_deep_greys_are_scaled_by_what_they_hold(highest: float, kind: Any) -> None:
    grey = PICTURE.convert("L")
    deep = (np.asarray(grey).astype(np.float64) / np.asarray(grey).max() * highest).astype(kind)
    found = open_picture(encoded(PIL.fromarray(deep), "TIFF"))
    expected = np.asarray(grey).astype(float) * 255 / np.asarray(grey).max()
    assert found.mode == "L" and np.abs(np.asarray(found) - expected).max() <= 2


def test_odd_floats_are_no_error() -> None:
    values = np.full((8, 8), np.nan, np.float32)
    values[0] = (0, 0.5, 1, np.inf, -np.inf, -3, 0.25, 1)
    assert np.asarray(open_picture(encoded(PIL.fromarray(values), "TIFF")))[0].tolist() == [
        0,
        127,
        255,
        0,
        0,
        0,
        63,
        255,
    ]
    assert (white(0.2, True), white(200, True), white(0, False), white(1e12, False)) == (1, 255, 255, 1e12)


def test_a_small_file_with_very_many_pixels_is_refused_unread() -> None:
    bomb = encoded(PIL.new("RGB", (4200, 4200)), "JPEG2000")
    assert len(bomb) < 2000
    with pytest.raises(Rejected, match="too many pixels"):
        decode(bomb)


def test_a_decoder_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(careful, "LIMITS", Limits(seconds=5))
    careful.close()
    with pytest.raises(Rejected) as caught:
        careful.call(time.sleep, 600)
    assert caught.value.reason == TOO_LONG
    assert careful.call(len, "four") == 4
