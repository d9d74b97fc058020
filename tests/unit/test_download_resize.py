"""What is stored of a picture: img2dataset's modes, with its sizes."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from clip_spark.pictures.download.resize import to_stored
from clip_spark.pictures.download.specs import DownloadSpec
from clip_spark.pictures.download.statuses import Failed
from tests.services.picture_web import picture

BIG, SMALL = (640, 480), (60, 40)


def stored(data: bytes, **options: Any) -> tuple[Image.Image, Any]:
    found = to_stored(data, DownloadSpec(records="r", output="o", **options))
    return Image.open(io.BytesIO(found.data)), found


@pytest.mark.parametrize(
    ("mode", "big", "small", "enlarged"),
    [
        ("keep_ratio", (341, 256), (60, 40), (384, 256)),
        ("keep_ratio_largest", (256, 192), (60, 40), (256, 171)),
        ("center_crop", (256, 256), (60, 40), (256, 256)),
        ("border", (256, 256), (256, 256), (256, 256)),
        ("no", (640, 480), (60, 40), (60, 40)),
    ],
)
def test_sizes(mode: str, big: tuple[int, int], small: tuple[int, int], enlarged: tuple[int, int]) -> None:
    assert stored(picture(1, BIG), resize_mode=mode)[0].size == big
    assert stored(picture(1, SMALL), resize_mode=mode)[0].size == small
    assert stored(picture(1, SMALL), resize_mode=mode, upscale=True)[0].size == enlarged


def test_bars_are_white_and_the_picture_is_in_the_middle() -> None:
    image, _ = stored(picture(1, BIG), resize_mode="border", encode_format="png")
    assert image.getpixel((128, 5)) == (255, 255, 255) and image.getpixel((128, 128))[0] < 5  # type: ignore[index]


def test_formats_and_what_is_kept_as_it_came() -> None:
    data = picture(9, SMALL, "WEBP")
    assert stored(data)[0].format == "JPEG"
    assert stored(data, encode_format="png")[0].format == "PNG"
    for options in ({"skip_reencode": True}, {"resize_mode": "no"}):
        found = stored(data, **options)[1]
        assert (found.data, found.ending, found.size, found.original) == (data, "webp", SMALL, SMALL)
    assert stored(picture(9, BIG, "WEBP"), skip_reencode=True)[1].ending == "jpg"


def test_a_photograph_that_lies_on_its_side_is_stored_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image, found = stored(picture(1, BIG, exif=exif))
    assert image.size == (256, 341) and found.original == BIG


@pytest.mark.parametrize(
    ("data", "options", "reason"),
    [
        (picture(1, SMALL), {"min_image_size": 50}, "too small"),
        (picture(1, (400, 20)), {"max_aspect_ratio": 3.0}, "too long"),
        (b"<html>", {}, "not a picture"),
        (b"", {}, "not a picture"),
    ],
)
def test_what_is_not_stored(data: bytes, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(Failed, match=reason):
        stored(data, **options)
